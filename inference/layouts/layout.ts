/** What all output layouts have in common: tensors in, detections out. */
import type { Box } from '../../core/detection.ts';
import type { Letterbox } from '../../core/letterbox.ts';

/** The layouts that are known, as a sidecar names them. */
export const LAYOUT_IDS = ['yolo', 'end_to_end', 'top_k', 'classification'] as const;
export type LayoutId = (typeof LAYOUT_IDS)[number];

/** An output of a model before its values are looked at. Sizes are those of a run; a symbolic one is whatever came. */
export interface OutputShape {
  readonly name: string;
  /** ONNX Runtime's name of the element type. */
  readonly type: string;
  readonly dims: readonly number[];
}

/** An output of one run. Integers and half floats have become floats. */
export interface OutputValues {
  readonly dims: readonly number[];
  /** As many as `dims` say. */
  readonly values: Float32Array;
}

export interface RawDetection {
  readonly classId: number;
  readonly confidence: number;
  /** In pixels of the source picture, clipped to it. */
  readonly bbox: Box;
}

/** What is known of a model when its layout is chosen. */
export interface LayoutHints {
  /** How many class names the model or its sidecar has; null: none. */
  readonly classes: number | null;
  /** Ultralytics' `task`. */
  readonly task: string | null;
  /** The sidecar's `layout`. */
  readonly layout: LayoutId | null;
  /** The sidecar's `boxes` and `first_class`, for models that select by themselves. */
  readonly boxes: BoxConvention | null;
  readonly firstClass: number | null;
}

/** How a box is written: its corners' order, in pixels of the input or as shares of it. */
export const BOX_CONVENTIONS = ['xyxy_pixels', 'xyxy_normalised', 'yxyx_pixels', 'yxyx_normalised'] as const;
export type BoxConvention = (typeof BOX_CONVENTIONS)[number];

/** Decodes one model's outputs; may keep its working buffers from run to run. */
export interface OutputLayout {
  readonly id: LayoutId;
  /** The outputs it wants, in the order `decode` takes them. */
  readonly outputs: readonly string[];
  /** How many classes there are; null: the tensors do not say. */
  readonly classes: number | null;
  /**
   * Detections of at least `confidence`, best first, at most `MAX_DETECTIONS`, inside the picture. Values that are no numbers are no
   * detections. Throws for tensors that are not of the layout's shape.
   */
  decode(outputs: readonly OutputValues[], confidence: number, place: Letterbox): readonly RawDetection[];
}

/** A kind of layout that a model may have. */
export interface LayoutKind {
  readonly id: LayoutId;
  /** Its shape in words, for refusals. */
  readonly shape: string;
  /** The model's layout if it is of this kind, else null. Throws UNPROCESSABLE when it is, but cannot be used. */
  of(outputs: readonly OutputShape[], hints: LayoutHints): OutputLayout | null;
}

export const MAX_CLASSES = 10_000;
export const MAX_DETECTIONS = 300;
/** A YOLO model of 4096 × 4096 has 344,064. More are not looked at picture by picture. */
export const MAX_ANCHORS = 500_000;

/** Element types whose values are scores or coordinates. */
export const isFloat = (type: string): boolean => type === 'float32' || type === 'float16';

/** `float32[1,84,8400]` */
export const describeOutput = ({ type, dims }: OutputShape): string => `${type}[${dims.join(',')}]`;
