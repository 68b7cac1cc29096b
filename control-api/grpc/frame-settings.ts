import type { VideoMetadata } from '../../proto/gen/imageflow/v1/stream/messages_pb.ts';
import { ValidationError } from '../problem.ts';

/** How a frame of a client's stream is to be looked at. */
export interface FrameSettings {
  readonly sourceId: string;
  readonly model: string;
  /** 0..1; null: the model's own default. */
  readonly confidence: number | null;
  /** While it waits it gives way to a newer frame. */
  readonly mayGiveWay: boolean;
  /** The picture is wanted back with its boxes drawn in. */
  readonly annotated: boolean;
}

/** The pipeline every server has: the default detector. */
const DEFAULT_PIPELINE = 'detect';
const MAX_NAME = 256;
/** Of a wrong name, so that an error with many of them is one that clients take. */
const MAX_SHOWN = 64;
const NUMBER = /^(?:\d+(?:\.\d+)?|\.\d+)(?:e-?\d{1,2})?$/i;
/** A longer text is no number that anybody writes. */
const MAX_NUMBER = 32;
const MAX_PARAMETERS = 16;

/**
 * What `metadata` asks for; without any, the default detector. Throws INVALID_ARGUMENT with the fields that are wrong. Whether there is such a model shows only
 * at the worker.
 */
export const frameSettings = (metadata: Pick<VideoMetadata, 'sourceId' | 'pipelineId' | 'processingParams'> | undefined, defaultModel: string): FrameSettings => {
  const { sourceId = '', pipelineId = '', processingParams = {} } = metadata ?? {};
  const wrong: { readonly field: string; readonly message: string; readonly value: string }[] = [];
  const refuse = (field: string, message: string, value: string): void => { wrong.push({ field, message, value: value.slice(0, 100) }); };
  if (sourceId.length > MAX_NAME) refuse('metadata.source_id', `at most ${String(MAX_NAME)} characters`, sourceId);
  if (pipelineId.length > MAX_NAME) refuse('metadata.pipeline_id', `at most ${String(MAX_NAME)} characters`, pipelineId);
  const isDefault = pipelineId === '' || pipelineId === DEFAULT_PIPELINE;
  let model = isDefault ? defaultModel : pipelineId;
  let confidence: number | null = null;
  let mayGiveWay = false;
  let annotated = false;
  const parameters = Object.entries(processingParams);
  if (parameters.length > MAX_PARAMETERS) refuse('metadata.processing_params', `at most ${String(MAX_PARAMETERS)} parameters`, String(parameters.length));
  for (const [name, value] of parameters.slice(0, MAX_PARAMETERS)) {
    const field = `metadata.processing_params.${name.slice(0, MAX_SHOWN)}`;
    switch (name) {
      case 'confidence_threshold':
        confidence = value.length <= MAX_NUMBER && NUMBER.test(value) ? Number(value) : Number.NaN;
        if (!(confidence >= 0 && confidence <= 1)) refuse(field, 'a number of 0 to 1 expected', value);
        break;
      case 'ai_model':
        if (value === '' || value.length > MAX_NAME) refuse(field, `the name of a model expected, of at most ${String(MAX_NAME)} characters`, value);
        else if (!isDefault && value !== pipelineId) refuse(field, 'pipeline_id names another model already', value);
        else model = value;
        break;
      case 'frames':
        if (value !== 'every' && value !== 'newest') refuse(field, '`every` or `newest` expected', value);
        mayGiveWay = value === 'newest';
        break;
      case 'processed_data':
        if (value !== 'none' && value !== 'annotated') refuse(field, '`none` or `annotated` expected', value);
        annotated = value === 'annotated';
        break;
      default:
        refuse(field, 'there is no such parameter; there are: confidence_threshold, ai_model, frames, processed_data', value);
    }
  }
  if (wrong.length > 0) throw new ValidationError(wrong, 'The metadata of the frame is not valid.');
  return { sourceId, model, confidence, mayGiveWay, annotated };
};
