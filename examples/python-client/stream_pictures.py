"""Streams pictures to ImageFlow Edge by gRPC and prints what a detector sees in them, one line of JSON for each.

    IMAGEFLOW_TOKEN=… python stream_pictures.py --server localhost:50051 *.jpg

The protocol is proto/imageflow/v1/camera_stream_processor.proto.
"""
import argparse
import json
import os
import sys
import time
from pathlib import Path

import grpc

# Messages and service are made from the .proto file here, in memory. `python -m grpc_tools.protoc` makes files of them.
sys.path.append(str(Path(__file__).resolve().parents[2] / "proto"))
messages = grpc.protos("imageflow/v1/stream/messages.proto")
services = grpc.services("imageflow/v1/camera_stream_processor.proto")

# A picture of 8 MiB and its detections; gRPC's own limit is half of that.
MAX_ANSWER_BYTES = 9 << 20


def frames(files: list[Path], source: str, pipeline: str, params: dict[str, str]):
    """gRPC asks for the next frame when it can send it: the server sets the pace."""
    for i, path in enumerate(files):
        frame = messages.StreamVideoFrame(frame_data=path.read_bytes(), timestamp_ms=time.time_ns() // 1_000_000)
        if i == 0:  # later frames are looked at in the same way
            frame.metadata.source_id = source
            frame.metadata.pipeline_id = pipeline
            frame.metadata.processing_params.update(params)
        yield frame


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="JPEG or PNG, at most 8 MiB and 25 megapixels each")
    parser.add_argument("--server", default="localhost:50051", help="the server's grpc.port")
    parser.add_argument("--token", default=os.environ.get("IMAGEFLOW_TOKEN", ""), help="an access token with pipeline:execute (POST /v1/auth/login); better in $IMAGEFLOW_TOKEN")
    parser.add_argument("--source", default="", help="a name for the camera; answers carry it")
    parser.add_argument("--pipeline", default="detect", help="`detect` or the name of a model")
    parser.add_argument("--annotated", type=Path, metavar="FOLDER", help="write the pictures with their boxes drawn in there, under the same names")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a processing parameter, e.g. confidence_threshold=0.3 or frames=newest")
    args = parser.parse_args()
    params = dict(param.split("=", 1) for param in args.param)
    if args.annotated:
        params["processed_data"] = "annotated"
        args.annotated.mkdir(parents=True, exist_ok=True)
    with grpc.insecure_channel(args.server, [("grpc.max_receive_message_length", MAX_ANSWER_BYTES)]) as channel:
        stub = services.CameraStreamProcessorStub(channel)
        answers = stub.ProcessVideoStream(frames(args.files, args.source, args.pipeline, params), metadata=[("authorization", f"Bearer {args.token}")])
        try:
            for answer in answers:
                if answer.processed_data:
                    (args.annotated / args.files[answer.sequence].name).write_bytes(answer.processed_data)
                print(json.dumps({
                    "file": args.files[answer.sequence].name,
                    "error": answer.error.code if answer.HasField("error") else None,
                    "total_ms": round(answer.stats.total_ms, 1),
                    "detections": [{
                        "class_name": found.class_name, "confidence": found.confidence,
                        "bbox": {"x": found.bbox.x, "y": found.bbox.y, "width": found.bbox.width, "height": found.bbox.height},
                    } for found in answer.detections],
                }), flush=True)
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
