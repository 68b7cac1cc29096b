import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { letterbox } from '../../core/letterbox.ts';
import { chooseLayout } from '../layouts/choose-layout.ts';
import type { OutputLayout, OutputShape, OutputValues } from '../layouts/layout.ts';
import type { InferenceFrame, InferenceOutcome, ModelInfo } from '../port.ts';
import { labelsFor } from './model-metadata.ts';
import type { ModelMetadata } from './model-metadata.ts';
import type { PictureInput } from './picture-input.ts';
import { shapesOfOne } from './split-outputs.ts';
import { checkOutputSizes } from './tensor-contract.ts';

/** A model whose input is known, and what its outputs were when it ran once, with one picture. */
export interface WarmModel extends Pick<ModelInfo, 'name' | 'digest' | 'backend'> {
  readonly metadata: ModelMetadata;
  readonly input: PictureInput;
  readonly outputs: readonly OutputShape[];
  /** Holds `coco80.labels.json`. */
  readonly bundledFolder: string;
}

/** What is the same whoever runs a model: pictures become its input, its outputs become detections. */
export class PictureModel {
  readonly info: Omit<ModelInfo, 'batch' | 'provider'>;
  /** The outputs `infer` wants, in their order. */
  readonly outputs: readonly string[];
  readonly #layout: OutputLayout;
  readonly #input: PictureInput;

  private constructor(info: PictureModel['info'], layout: OutputLayout, input: PictureInput) {
    this.info = info;
    this.outputs = layout.outputs;
    this.#layout = layout;
    this.#input = input;
  }

  /** Throws UNPROCESSABLE for outputs of no known layout. */
  static async of({ name, digest, backend, metadata, input, outputs, bundledFolder }: WarmModel): Promise<PictureModel> {
    checkOutputSizes(outputs);
    const layout = chooseLayout(shapesOfOne(outputs, input.pictures(1)), metadata.hints);
    const { labels, defaultConfidence } = metadata;
    const { width, height, layout: inputLayout } = input.contract;
    const info: PictureModel['info'] = {
      name,
      digest,
      backend,
      inputWidth: width,
      inputHeight: height,
      inputLayout,
      labels: layout.classes === null ? (labels ?? []) : await labelsFor(labels, layout.classes, layout.id === 'classification' ? null : bundledFolder),
      defaultConfidence,
      state: 'ready',
      failure: null,
    };
    return new PictureModel(info, layout, input);
  }

  /** Asks `run` for the values of `outputs` of each picture and decodes them. Throws INVALID_ARGUMENT for pixels of the wrong length. */
  async infer(frames: readonly InferenceFrame[], clock: Clock, run: () => Promise<readonly (readonly OutputValues[])[]>): Promise<readonly InferenceOutcome[]> {
    const { info } = this;
    for (const { pixels } of frames) {
      if (pixels.length !== this.#input.bytes) throw new MediaError('INVALID_ARGUMENT', `${info.name} takes ${this.#input.bytes} bytes of pixels, not ${pixels.length}`);
    }
    const began = clock.monotonic();
    const values = await run();
    const found = frames.map((frame, at) => this.#decode(frame, values[at] ?? []));
    const inferenceMs = clock.monotonic() - began;
    return found.map((detections) => ({ detections, inferenceMs, model: info.name, modelDigest: info.digest }));
  }

  #decode({ sourceWidth, sourceHeight, confidence }: InferenceFrame, values: readonly OutputValues[]): InferenceOutcome['detections'] {
    const { inputWidth, inputHeight, labels } = this.info;
    const place = letterbox(sourceWidth, sourceHeight, inputWidth, inputHeight);
    return this.#layout.decode(values, confidence, place).map((raw) => ({
      className: labels[raw.classId] ?? `class ${raw.classId}`,
      classId: raw.classId,
      confidence: raw.confidence,
      bbox: raw.bbox,
      trackId: null,
    }));
  }
}
