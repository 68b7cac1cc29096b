import { create } from '@bufbuild/protobuf';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { MAX_SENT_PICTURE_BYTES } from '../../extractor/port.ts';
import type { SentPictureFailure, SentPictureOutcome } from '../../extractor/port.ts';
import { StreamProcessedFrameSchema } from '../../proto/gen/imageflow/v1/stream/messages_pb.ts';
import type { StreamProcessedFrame } from '../../proto/gen/imageflow/v1/stream/messages_pb.ts';

/** Why a frame has no detections: what the detector says, and what becomes of frames before it sees them. */
export type FrameFailure = SentPictureFailure | 'superseded' | 'empty';

/** What became of a frame. */
export type FrameOutcome = Extract<SentPictureOutcome, { seen: true }> | { readonly seen: false; readonly reason: FrameFailure; readonly detail: string };

/** A frame that is to be answered. */
export interface AskedFrame {
  /** Which of its stream: 0, 1, … */
  readonly sequence: number;
  readonly timestampMs: bigint;
  readonly sourceId: string;
  readonly model: string;
}

/** `FrameError.code` of an answer. */
const CODES: Readonly<Record<FrameFailure, string>> = {
  empty: 'FRAME_EMPTY',
  format: 'PICTURE_FORMAT',
  too_large: 'PICTURE_TOO_LARGE',
  damaged: 'PICTURE_DAMAGED',
  superseded: 'FRAME_SUPERSEDED',
  deadline: 'DEADLINE_EXCEEDED',
  worker_lost: 'NO_WORKER',
  model_not_ready: 'MODEL_NOT_READY',
  refused: 'MODEL_REFUSES',
  no_model: 'UNKNOWN_PIPELINE',
  decoder_lost: 'DECODER_LOST',
  stopping: 'SERVER_STOPS',
};

/** The same, of one that was looked at and whose picture does not go back. */
const NOT_ANNOTATED = {
  too_large: { code: 'PROCESSED_DATA_TOO_LARGE', message: `The picture with its boxes has more than ${String(MAX_SENT_PICTURE_BYTES)} bytes; what was found in it is told.` },
  failed: { code: 'PROCESSED_DATA_FAILED', message: 'The boxes could not be drawn into the picture; what was found in it is told.' },
} as const;

/** What concerns more than the frame, and ends the stream; undefined: the frame alone. */
export const failureOfStream = (outcome: FrameOutcome, { model }: AskedFrame): MediaError | undefined => {
  if (outcome.seen) return undefined;
  if (outcome.reason === 'stopping') return new MediaError('UNAVAILABLE', 'The server stops.', { reason: CODES.stopping, retryAfterSeconds: 1 });
  if (outcome.reason !== 'no_model') return undefined;
  return new MediaError('NOT_FOUND', `There is no pipeline or model ${model}. Models here: ${outcome.detail}. Pipelines of several steps come in a later version.`, { reason: CODES.no_model, context: { pipeline: model } });
};

/** The answer to a frame, `totalMs` after it was received. */
export const frameAnswer = ({ sequence, timestampMs, sourceId, model }: AskedFrame, outcome: FrameOutcome, totalMs: Milliseconds): StreamProcessedFrame => {
  const whole = (ms: Milliseconds): bigint => BigInt(Math.round(ms));
  const common = { sourceId, timestampMs, sequence: BigInt(sequence), processingTimeMs: whole(totalMs) };
  if (!outcome.seen) {
    return create(StreamProcessedFrameSchema, {
      ...common, stats: { totalProcessingTimeMs: whole(totalMs), totalMs }, error: { code: CODES[outcome.reason], message: outcome.detail },
    });
  }
  const { width, height, detections, modelDigest, annotated, times } = outcome;
  return create(StreamProcessedFrameSchema, {
    ...common, width, height, modelUsed: model, modelDigest,
    ...(annotated?.made === true && { processedData: annotated.bytes }),
    ...(annotated?.made === false && { error: NOT_ANNOTATED[annotated.why] }),
    detections: detections.map(({ className, classId, confidence, bbox }) => ({ className, classId, confidence, bbox })),
    stats: { totalProcessingTimeMs: whole(totalMs), aiInferenceTimeMs: whole(times.inferenceMs), resizeTimeMs: whole(times.resizeMs), ...times, totalMs },
  });
};
