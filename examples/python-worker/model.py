"""One ONNX detector: what goes into it, and detections out of it.

Knows nothing of gRPC. Replace this file to run something else than ONNX Runtime: `worker.py` wants a class with the attributes and
the two methods of `Model`.

Two layouts of outputs are known here (docs/spec/extractor-and-inference.md, "Models", has all four of the server's own worker):
  yolo        float [1, 4 + classes, anchors]: cx, cy, width, height in input pixels, then class scores; NMS within each class
  end_to_end  float [1, boxes, 6]: x1, y1, x2, y2 in input pixels, score, class; no NMS
"""
import ast
import hashlib
import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

DEFAULT_CONFIDENCE = 0.35
DEFAULT_SIDE = 640
DEFAULT_STRIDE = 32
NMS_IOU = 0.5
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}

# Whatever a file says, this is all it gets.
MAX_MODEL_BYTES = 512 << 20
MAX_SIDECAR_BYTES = 1 << 20
MAX_SIDE = 4096
MAX_PIXEL_BYTES = 24 << 20  # with room to spare in a message of 32 MiB
MAX_OUTPUT_VALUES = 64 << 20
MAX_ANCHORS = 500_000
MAX_CLASSES = 10_000
MAX_CANDIDATES = 1000
MAX_DETECTIONS = 300


def has_exact_int8() -> bool:
    """Whether the CPU has VNNI. It is exact by itself then, and being told to costs almost three times the CPU."""
    try:
        cpu = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return re.search(r"^flags\s*:.*\b(?:avx512_vnni|avx_vnni)\b", cpu, re.MULTILINE) is not None


class ModelError(Exception):
    """The file cannot be used; the text says why."""


class BadRequest(Exception):
    """The picture does not fit the model."""


@dataclass(frozen=True)
class Detection:
    """Box in pixels of the encoded picture, inside it; x, y = top left."""

    class_id: int
    class_name: str
    confidence: float
    x: float
    y: float
    width: float
    height: float


class Model:
    """Attributes: name, digest, input_width, input_height, is_u8, labels, default_confidence."""

    def __init__(self, path: Path, threads: int, coco_labels: Path | None) -> None:
        """Loads, checks the tensors and runs once. Raises ModelError."""
        self.name = path.name.removesuffix(".onnx")
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise ModelError(f"larger than {MAX_MODEL_BYTES} bytes")
        content = path.read_bytes()
        self.digest = hashlib.sha256(content).hexdigest()
        self._session = open_session(content, threads)
        properties = self._session.get_modelmeta().custom_metadata_map
        sidecar = read_sidecar(path.with_name(f"{self.name}.json"))
        self.default_confidence = sidecar.get("confidence", DEFAULT_CONFIDENCE)
        known = read_labels(path.with_name(f"{self.name}.labels.json")) or parse_names(properties.get("names", ""))

        self._read_input(sidecar.get("size") or parse_size(properties.get("imgsz", "")), parse_stride(properties.get("stride", "")))
        # Numbers 0..255 become what a float model wants by three tables of 256 values.
        scale = {"mean": [0, 0, 0], "std": [1, 1, 1]} | (IMAGENET if sidecar.get("normalise") == "imagenet" else sidecar.get("normalise", {}))
        self._tables = [(np.arange(256) * (1 / 255 / std) - mean / std).astype(np.float32) for mean, std in zip(scale["mean"], scale["std"])]

        # The warm-up run: the shapes of its outputs tell the layout.
        try:
            outputs = self._session.run(None, {self._input: self._tensor(bytes(self._pixel_bytes))})
        except Exception as error:
            raise ModelError(f"the warm-up run failed: {error}") from error
        self._shape = outputs[0].shape
        self._layout, classes = choose_layout(outputs, None if known is None else len(known), properties.get("task"), sidecar.get("layout"))
        if known is None and classes == 80 and coco_labels is not None:
            known = read_labels(coco_labels)
        self.labels = list(known or []) if classes is None else [label_of(known or [], i) for i in range(classes)]

    def infer(self, pixels: bytes, source_width: int, source_height: int, confidence: float) -> list[Detection]:
        """Detections of at least `confidence`, best first. Raises BadRequest for pixels of the wrong length."""
        if len(pixels) != self._pixel_bytes:
            raise BadRequest(f"{self.name} takes {self._pixel_bytes} bytes of pixels, not {len(pixels)}")
        output = self._session.run(None, {self._input: self._tensor(pixels)})[0]
        yolo = self._layout == "yolo"
        # An end-to-end model may give another number of boxes each time, up to a limit.
        if output.shape != self._shape and (yolo or output.ndim != 3 or output.shape[::2] != (1, 6) or output.shape[1] > MAX_ANCHORS):
            raise RuntimeError(f"the output {list(output.shape)} is not {list(self._shape)} as it was at first")
        decode = decode_yolo if yolo else decode_end_to_end
        found = decode(output[0], confidence, len(self.labels) or MAX_CLASSES)
        place = Letterbox(source_width, source_height, self.input_width, self.input_height)
        detections = []
        for class_id, score, corners in found:
            box = place.to_source(corners)
            if box is not None:
                detections.append(Detection(class_id, label_of(self.labels, class_id), min(1.0, score), *box))
        return detections[:MAX_DETECTIONS]

    def _read_input(self, size: list[int] | None, stride: int) -> None:
        """The one picture input; a symbolic size is that of the sidecar or the metadata, else 640, rounded up to the stride."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise ModelError(f"a model takes one picture, this one takes {[(i.name, i.shape) for i in inputs]}")
        (given,) = inputs
        batch, a, b, c = (side if isinstance(side, int) and side > 0 else None for side in given.shape)
        if batch not in (None, 1):
            raise ModelError(f"the input {given.shape} is not one picture")
        if given.type == "tensor(uint8)" and c == 3:
            self.is_u8, sides = True, (a, b)
        elif given.type == "tensor(float)" and a == 3:
            self.is_u8, sides = False, (b, c)
        else:
            raise ModelError(f"the input {given.type} {given.shape} is neither uint8[1,height,width,3] nor float32[1,3,height,width]")
        usual = size or [DEFAULT_SIDE, DEFAULT_SIDE]
        self.input_height, self.input_width = (side or math.ceil(usual[i] / stride) * stride for i, side in enumerate(sides))
        self._pixel_bytes = 3 * self.input_width * self.input_height
        if max(self.input_width, self.input_height) > MAX_SIDE or self._pixel_bytes > MAX_PIXEL_BYTES:
            raise ModelError(f"the input would be {self.input_width}x{self.input_height} pixels, more than is taken")
        self._input = given.name

    def _tensor(self, pixels: bytes) -> np.ndarray:
        picture = np.frombuffer(pixels, np.uint8).reshape(1, self.input_height, self.input_width, 3)
        if self.is_u8:
            return picture
        return np.stack([table[picture[..., channel]] for channel, table in enumerate(self._tables)], axis=1)


class Letterbox:
    """How the picture lies in the model's input: aspect kept, centred, whole pixels. The client has put it there; this finds the way back."""

    def __init__(self, source_width: int, source_height: int, input_width: int, input_height: int) -> None:
        scale = min(input_width / source_width, input_height / source_height)
        # Halves go up: Python's round() would take them to the even number.
        width = min(input_width, max(1, math.floor(source_width * scale + 0.5)))
        height = min(input_height, max(1, math.floor(source_height * scale + 0.5)))
        self.left, self.top = (input_width - width) // 2, (input_height - height) // 2
        self.scale_x, self.scale_y = source_width / width, source_height / height
        self.source_width, self.source_height = source_width, source_height

    def to_source(self, corners: np.ndarray) -> tuple[float, float, float, float] | None:
        """x1, y1, x2, y2 in input pixels → x, y, width, height in source pixels, clipped; None when nothing of it is in the picture."""
        x1, x2 = ((float(x) - self.left) * self.scale_x for x in corners[0::2])
        y1, y2 = ((float(y) - self.top) * self.scale_y for y in corners[1::2])
        x1, x2 = (min(self.source_width, max(0.0, x)) for x in (x1, x2))
        y1, y2 = (min(self.source_height, max(0.0, y)) for y in (y1, y2))
        return (x1, y1, x2 - x1, y2 - y1) if x2 > x1 and y2 > y1 else None


Found = list[tuple[int, float, np.ndarray]]
"""Class, score, corners in input pixels; best first."""


def decode_yolo(rows: np.ndarray, confidence: float, _classes: int) -> Found:
    scores = np.where(rows[4:] > -1, rows[4:], -1)  # what is no number is no detection
    # Doubles from here on: a threshold of 0.35 rounded to a float would let others through.
    best = scores.max(axis=0).astype(np.float64)
    wanted = (best >= confidence) & (best >= 0) & np.isfinite(rows[:4]).all(axis=0) & (rows[2:4] > 0).all(axis=0)
    best, classes = best[wanted], scores[:, wanted].argmax(axis=0)
    cx, cy, width, height = rows[:4, wanted].astype(np.float64)
    corners = np.stack([cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2], axis=1)
    # Of equal scores the smaller box goes first: the larger is the one that spans two objects.
    order = np.lexsort((area(corners), -best))[:MAX_CANDIDATES]
    kept: Found = []
    while len(order) > 0 and len(kept) < MAX_DETECTIONS:
        first, order = order[0], order[1:]
        kept.append((int(classes[first]), float(best[first]), corners[first]))
        same_object = (classes[order] == classes[first]) & (iou(corners[first], corners[order]) > NMS_IOU)
        order = order[~same_object]
    return kept


def decode_end_to_end(rows: np.ndarray, confidence: float, classes: int) -> Found:
    rows = rows.astype(np.float64)
    score, class_id = rows[:, 4], rows[:, 5]
    wanted = (score >= confidence) & (score >= 0) & (class_id >= 0) & (class_id < classes) & (class_id == np.floor(class_id)) & np.isfinite(rows[:, :4]).all(axis=1)
    rows = rows[wanted]
    rows = rows[np.argsort(-np.minimum(1, rows[:, 4]), kind="stable")]
    return [(int(row[5]), float(row[4]), row[:4]) for row in rows]


def area(corners: np.ndarray) -> np.ndarray:
    return (corners[..., 2] - corners[..., 0]) * (corners[..., 3] - corners[..., 1])


def iou(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box with each of the others."""
    width = np.minimum(one[2], others[:, 2]) - np.maximum(one[0], others[:, 0])
    height = np.minimum(one[3], others[:, 3]) - np.maximum(one[1], others[:, 1])
    both = np.maximum(width, 0) * np.maximum(height, 0)
    return both / (area(one) + area(others) - both)


def choose_layout(outputs: list[np.ndarray], labels: int | None, task: str | None, wanted: str | None) -> tuple[str, int | None]:
    """The layout and how many classes there are (None: the tensors do not say). Raises ModelError."""
    # Outputs of other tasks (segment, pose, obb) can look like detectors of many classes.
    if task not in (None, "detect"):
        raise ModelError(f'the model\'s task is "{task[:50]}"; this worker knows detect')
    shape = outputs[0].shape if len(outputs) == 1 and outputs[0].dtype in (np.float32, np.float16) else ()
    if len(shape) == 3 and shape[0] == 1 and outputs[0].size <= MAX_OUTPUT_VALUES:
        if shape[2] == 6 and shape[1] <= MAX_ANCHORS and wanted in (None, "end_to_end"):
            return "end_to_end", labels
        classes, anchors = shape[1] - 4, shape[2]
        # [1, boxes, values] would look like hundreds of classes of a few anchors, unless the names say that it is right.
        if 1 <= classes <= MAX_CLASSES and 1 <= anchors <= MAX_ANCHORS and (anchors > shape[1] or classes == labels) and wanted in (None, "yolo"):
            return "yolo", classes
    given = ", ".join(f"{output.dtype}{list(output.shape)}" for output in outputs[:8])
    raise ModelError(f"the output {given} has no known layout; known are yolo float[1, 4 + classes, anchors] and end_to_end float[1, boxes, 6]")


def open_session(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    options.intra_op_num_threads = threads or min(cores, 4)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    # Threads that spin between pictures double the CPU of a live stream.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # CPUs with AVX2 but no VNNI overflow when they add int8 products; with this, they do not.
    options.add_session_config_entry("session.x64quantprecision", "0" if has_exact_int8() else "1")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common class
        raise ModelError(str(error)) from error


def label_of(labels: list[str], class_id: int) -> str:
    return labels[class_id] if class_id < len(labels) else f"class {class_id}"


def parse_names(text: str) -> list[str] | None:
    """`{0: 'person', 1: 'bicycle'}`, as Ultralytics writes them; None for anything else."""
    if len(text) > MAX_SIDECAR_BYTES:
        return None
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(names, dict) or not names or not all(type(i) is int and 0 <= i < MAX_CLASSES and isinstance(label, str) for i, label in names.items()):
        return None
    return [names.get(i, f"class {i}")[:200] for i in range(max(names) + 1)]


def parse_size(text: str) -> list[int] | None:
    """`[480, 640]` (height, width) or `640`."""
    match = re.fullmatch(r"\s*(?:\[\s*([0-9]{1,5})\s*,\s*([0-9]{1,5})\s*\]|([0-9]{1,5}))\s*", text)
    size = [int(match[1] or match[3]), int(match[2] or match[3])] if match else [0]
    return size if min(size) > 0 else None


def parse_stride(text: str) -> int:
    """Strides are 8 to 64 in practice; anything else is as good as none."""
    stride = int(text) if re.fullmatch(r"\s*[0-9]{1,3}\s*", text) else 0
    return stride if 1 <= stride <= 128 else DEFAULT_STRIDE


def read_json(path: Path) -> object:
    """None when there is no such file. Raises ModelError."""
    try:
        if path.stat().st_size > MAX_SIDECAR_BYTES:
            raise ModelError(f"{path.name} is larger than 1 MiB")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name}: {error}") from error


def read_labels(path: Path) -> list[str] | None:
    labels = read_json(path)
    if labels is None:
        return None
    if not isinstance(labels, list) or not 1 <= len(labels) <= MAX_CLASSES or not all(isinstance(label, str) and len(label) <= 200 for label in labels):
        raise ModelError(f"{path.name} is no array of 1 to {MAX_CLASSES} names")
    return labels


def is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def read_sidecar(path: Path) -> dict:
    """`{model}.json`, checked; `size` becomes [height, width]. Raises ModelError."""
    sidecar = read_json(path)
    if sidecar is None:
        return {}
    if not isinstance(sidecar, dict) or not sidecar.keys() <= {"confidence", "size", "normalise", "layout"}:
        raise ModelError(f'{path.name} is no object of "confidence", "size", "normalise" and "layout"')
    if "confidence" in sidecar and not is_number(sidecar["confidence"], 0, 1):
        raise ModelError(f'{path.name}: "confidence" is a number 0..1')
    if "size" in sidecar:
        size = sidecar["size"] if isinstance(sidecar["size"], list) else [sidecar["size"]] * 2
        if len(size) != 2 or not all(isinstance(side, int) and is_number(side, 1, MAX_SIDE) for side in size):
            raise ModelError(f'{path.name}: "size" is a side, or [height, width]')
        sidecar["size"] = size
    if "normalise" in sidecar and sidecar["normalise"] != "imagenet":
        scale = sidecar["normalise"]
        if not isinstance(scale, dict) or scale.keys() != {"mean", "std"} or not all(
            isinstance(three, list) and len(three) == 3 and all(is_number(value, least, math.inf) for value in three)
            for three, least in ((scale["mean"], -math.inf), (scale["std"], 1e-6))
        ):
            raise ModelError(f'{path.name}: "normalise" is "imagenet" or {{"mean": [r, g, b], "std": [r, g, b]}}')
    if sidecar.get("layout", "yolo") not in ("yolo", "end_to_end"):
        raise ModelError(f'{path.name}: this worker knows the layouts "yolo" and "end_to_end"')
    return sidecar
