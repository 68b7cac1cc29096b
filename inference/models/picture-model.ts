import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { letterbox } from '../../core/letterbox.ts';
import { chooseLayout } from '../layouts/choose-layout.ts';
import type { OutputLayout, OutputShape, OutputValues } from '../layouts/layout.ts';
import type { InferenceFrame, InferenceOutcome, ModelInfo } from '../port.ts';
import { labelsFor } from './model-metadata.ts';
import type { ModelMetadata } from './model-metadata.ts';
import type { PictureInput } from './picture-input.ts';
import { checkOutputSizes } from './tensor-contract.ts';

/** A model whose input is known, and what its outputs were when it ran once. */
export interface WarmModel extends Pick<ModelInfo, 'name' | 'digest' | 'backend'> {
  readonly metadata: ModelMetadata;
  readonly input: PictureInput;
  readonly outputs: readonly OutputShape[];
  /** Holds `coco80.labels.json`. */
  readonly bundledFolder: string;
}

/** What is the same whoever runs a model: a picture becomes its input, its outputs become detections. */
export class PictureModel {
  readonly info: ModelInfo;
  /** The outputs `answer` wants, in their order. */
  readonly outputs: readonly string[];
  readonly #layout: OutputLayout;
  readonly #input: PictureInput;

  private constructor(info: ModelInfo, layout: OutputLayout, input: PictureInput) {
    this.info = info;
    this.outputs = layout.outputs;
    this.#layout = layout;
    this.#input = input;
  }

  /** Throws UNPROCESSABLE for outputs of no known layout. */
  static async of({ name, digest, backend, metadata, input, outputs, bundledFolder }: WarmModel): Promise<PictureModel> {
    checkOutputSizes(outputs);
    const layout = chooseLayout(outputs, metadata.hints);
    const { labels, defaultConfidence } = metadata;
    const { width, height, layout: inputLayout } = input.contract;
    const info: ModelInfo = {
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

  /** Asks `run` for the values of `outputs` and decodes them. Throws INVALID_ARGUMENT for pixels of the wrong length. */
  async infer(frame: InferenceFrame, clock: Clock, run: () => Promise<readonly OutputValues[]>): Promise<InferenceOutcome> {
    const { info } = this;
    if (frame.pixels.length !== this.#input.bytes) {
      throw new MediaError('INVALID_ARGUMENT', `${info.name} takes ${this.#input.bytes} bytes of pixels, not ${frame.pixels.length}`);
    }
    const began = clock.monotonic();
    const values = await run();
    const place = letterbox(frame.sourceWidth, frame.sourceHeight, info.inputWidth, info.inputHeight);
    const detections = this.#layout.decode(values, frame.confidence, place).map((raw) => ({
      className: info.labels[raw.classId] ?? `class ${raw.classId}`,
      classId: raw.classId,
      confidence: raw.confidence,
      bbox: raw.bbox,
      trackId: null,
    }));
    return { detections, inferenceMs: clock.monotonic() - began, model: info.name, modelDigest: info.digest };
  }
}
