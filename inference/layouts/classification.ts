/**
 * The output of classifiers: float [1, classes], logits or probabilities. The best class is one detection that covers the whole picture.
 */
import { MediaError } from '../../core/errors.ts';
import type { Letterbox } from '../../core/letterbox.ts';
import { MAX_CLASSES, describeOutput, isFloat } from './layout.ts';
import type { LayoutKind, OutputLayout, OutputValues, RawDetection } from './layout.ts';

/** How far from 1 the sum of probabilities in half floats may lie. */
const SUM_TOLERANCE = 0.01;

/** Values from 0 to 1 whose sum is 1 have been through softmax already. */
const areProbabilities = (values: Float32Array): boolean => {
  let sum = 0;
  for (const value of values) {
    if (!(value >= 0 && value <= 1)) return false;
    sum += value;
  }
  return Math.abs(sum - 1) <= SUM_TOLERANCE;
};

export class ClassificationLayout implements OutputLayout {
  readonly id = 'classification';
  readonly outputs: readonly string[];
  readonly classes: number;

  constructor(output: string, classes: number) {
    this.outputs = [output];
    this.classes = classes;
  }

  decode([output]: readonly OutputValues[], confidence: number, place: Letterbox): readonly RawDetection[] {
    const values = output?.values;
    if (values?.length !== this.classes) throw new Error(`${values?.length ?? 0} values are not ${this.classes} classes`);
    let classId = 0;
    for (const [id, value] of values.entries()) {
      if (!Number.isFinite(value)) return [];
      if (value > (values[classId] ?? 0)) classId = id;
    }
    const best = values[classId] ?? 0;
    // Softmax of the largest value: 1 / Σ e^(value − largest), which cannot overflow.
    const score = areProbabilities(values) ? best : 1 / values.reduce((sum, value) => sum + Math.exp(value - best), 0);
    return score >= confidence ? [{ classId, confidence: score, bbox: { x: 0, y: 0, width: place.sourceWidth, height: place.sourceHeight } }] : [];
  }
}

export const classification: LayoutKind = {
  id: 'classification',
  shape: 'float[1, classes]',
  of: (outputs) => {
    const output = outputs[0];
    if (outputs.length !== 1 || !output || !isFloat(output.type)) return null;
    const [batch, classes = 0, ...rest] = output.dims;
    // [1, classes, 1, 1] comes from networks whose last layer is a convolution.
    if (batch !== 1 || classes < 2 || (rest.length !== 0 && rest.length !== 2) || rest.some((size) => size !== 1)) return null;
    if (classes > MAX_CLASSES) throw new MediaError('UNPROCESSABLE', `output ${describeOutput(output)} has ${classes} classes, at most ${MAX_CLASSES} are taken`);
    return new ClassificationLayout(output.name, classes);
  },
};
