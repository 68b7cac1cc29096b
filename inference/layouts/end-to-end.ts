/**
 * The output of detectors that select by themselves in one tensor: float [1, boxes, 6], each row x1, y1, x2, y2 in input pixels, score
 * and class. YOLO10 and YOLO26, any Ultralytics export with `nms=True`, and CenterNet's decoded top-k.
 */
import { MediaError } from '../../core/errors.ts';
import type { Letterbox } from '../../core/letterbox.ts';
import { MAX_ANCHORS, describeOutput, isFloat } from './layout.ts';
import type { LayoutKind, OutputLayout, OutputValues, RawDetection } from './layout.ts';
import { detectionsOf } from './selected-box.ts';
import type { SelectedBox } from './selected-box.ts';

const ROW = 6;

export class EndToEndLayout implements OutputLayout {
  readonly id = 'end_to_end';
  readonly outputs: readonly string[];
  readonly classes: number | null;

  constructor(output: string, classes: number | null) {
    this.outputs = [output];
    this.classes = classes;
  }

  decode([output]: readonly OutputValues[], confidence: number, place: Letterbox): readonly RawDetection[] {
    const values = output?.values;
    if (values === undefined || values.length % ROW !== 0 || values.length > ROW * MAX_ANCHORS) throw new Error(`${values?.length ?? 0} values are not rows of ${ROW}`);
    return detectionsOf(rows(values), this.classes, confidence, place);
  }
}

function* rows(values: Float32Array): Generator<SelectedBox> {
  for (let at = 0; at < values.length; at += ROW) {
    const [x1 = 0, y1 = 0, x2 = 0, y2 = 0, score = 0, classId = -1] = values.subarray(at, at + ROW);
    yield { x1, y1, x2, y2, score, classId };
  }
}

export const endToEnd: LayoutKind = {
  id: 'end_to_end',
  shape: 'float[1, boxes, 6]',
  of: (outputs, hints) => {
    const output = outputs[0];
    if (outputs.length !== 1 || !output || !isFloat(output.type) || output.dims.length !== 3) return null;
    const [batch, boxes = 0, row] = output.dims;
    if (batch !== 1 || row !== ROW) return null;
    if (boxes > MAX_ANCHORS) throw new MediaError('UNPROCESSABLE', `output ${describeOutput(output)} has ${boxes} boxes, at most ${MAX_ANCHORS} are taken`);
    return new EndToEndLayout(output.name, hints.classes);
  },
};
