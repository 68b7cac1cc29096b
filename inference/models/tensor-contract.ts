import type { InferenceSession } from 'onnxruntime-node';
import { MediaError } from '../../core/errors.ts';
import type { ModelMetadata } from './model-metadata.ts';

/** What a model takes. */
export interface InputContract {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly layout: 'u8-nhwc' | 'f32-nchw';
}

/** What a YOLO-layout model gives: float32 [1, 4 + classes, anchors]. */
export interface OutputContract {
  readonly classes: number;
  readonly anchors: number;
}

const MAX_SIDE = 4096;
/** A picture must fit a gRPC message (32 MiB) with room to spare. */
const MAX_PIXEL_BYTES = 24 << 20;
const MAX_CLASSES = 10_000;
const MAX_OUTPUT_VALUES = 64 << 20;

const refuse = (why: string): MediaError => new MediaError('UNPROCESSABLE', why);

/** The one picture input of a session. A symbolic batch is one; a symbolic size is the metadata's `imgsz`. Throws UNPROCESSABLE for anything else. */
export const inputContract = (inputs: readonly InferenceSession.ValueMetadata[], metadata: ModelMetadata): InputContract => {
  const input = inputs[0];
  if (inputs.length !== 1 || !input?.isTensor) throw refuse(`a detector takes one tensor, this one takes ${inputs.length}`);
  const shape = input.shape;
  const described = `${input.type}[${shape.join(',')}]`;
  const [batch, a, b, c] = shape;
  if (shape.length !== 4 || (typeof batch === 'number' && batch !== 1)) throw refuse(`input ${described} is not one picture`);
  const sized = (value: number | string | undefined, of: 0 | 1): number => (typeof value === 'number' ? value : (metadata.imageSize?.[of] ?? 0));
  let layout: InputContract['layout'];
  let height: number;
  let width: number;
  if (input.type === 'uint8' && c === 3) {
    layout = 'u8-nhwc';
    height = sized(a, 0);
    width = sized(b, 1);
  } else if (input.type === 'float32' && a === 3) {
    layout = 'f32-nchw';
    height = sized(b, 0);
    width = sized(c, 1);
  } else throw refuse(`input ${described} is neither uint8[1,height,width,3] nor float32[1,3,height,width]`);
  if (width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE || width * height * 3 > MAX_PIXEL_BYTES) {
    throw refuse(`input ${described} has no usable size`);
  }
  return { name: input.name, width, height, layout };
};

/** Checks what a warm-up run gave. `labels`: how many classes the model names, if it does. Throws UNPROCESSABLE. */
export const outputContract = (type: string, dims: readonly number[], labels: number | null): OutputContract => {
  const [batch, rows, anchors] = dims;
  const described = `${type}[${dims.join(',')}]`;
  if (type !== 'float32' || dims.length !== 3 || batch !== 1 || rows === undefined || anchors === undefined) {
    throw refuse(`output ${described} is not float32[1, 4 + classes, anchors]`);
  }
  const classes = rows - 4;
  // [1, anchors, 6] (boxes after NMS) would look like hundreds of classes of six anchors.
  if (classes < 1 || classes > MAX_CLASSES || rows * anchors > MAX_OUTPUT_VALUES || (anchors <= rows && classes !== labels)) {
    throw refuse(`output ${described} is not float32[1, 4 + classes, anchors]`);
  }
  return { classes, anchors };
};
