/** A picture that somebody sends to see what a model finds in it (INF-3). */
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { MAX_SENT_PICTURE_BYTES } from '../../extractor/port.ts';
import type { SentPictureDetector, SentPictureFailure, SentPictureOutcome } from '../../extractor/port.ts';
import { readBody } from '../../platform/read-body.ts';
import { CallBudget } from '../call-budget.ts';

/** What a model found, and how long everything took. */
export type Trial = Omit<Extract<SentPictureOutcome, { readonly seen: true }>, 'seen' | 'annotated'> & { readonly totalMs: Milliseconds };

export interface TrialRequest {
  readonly model: string;
  /** 0..1; null: the model's own default. */
  readonly confidence: number | null;
  /** Whose body, which nobody has read from yet, is the picture. */
  readonly request: IncomingMessage;
  /** The id of who asks. */
  readonly user: string;
}

/** Pictures that are held at a time, of all users and of one. */
const MAX_AT_ONCE = 8;
const MAX_OF_ONE = 2;
/** Of one user: a trial is a person's look, and live cameras use the same workers. Whoever has many pictures streams them by gRPC. */
const PER_MINUTE = 60;
/** A picture that has not come by then comes no more. */
const BODY_MS: Milliseconds = 30_000;
/** Names longer than this are no model's. */
const MAX_NAME = 256;
const RETRY_SECONDS = 1;

const FAILURES: Readonly<Record<SentPictureFailure, { readonly code: ErrorCode; readonly reason: string; readonly retryAfterSeconds?: number }>> = {
  no_model: { code: 'NOT_FOUND', reason: 'MODEL_NOT_FOUND' },
  model_not_ready: { code: 'FAILED_PRECONDITION', reason: 'MODEL_NOT_READY', retryAfterSeconds: 2 },
  refused: { code: 'UNPROCESSABLE', reason: 'MODEL_REFUSES' },
  worker_lost: { code: 'UNAVAILABLE', reason: 'NO_WORKER', retryAfterSeconds: 2 },
  deadline: { code: 'DEADLINE_EXCEEDED', reason: 'DEADLINE_EXCEEDED' },
  format: { code: 'UNSUPPORTED_MEDIA_TYPE', reason: 'PICTURE_FORMAT' },
  too_large: { code: 'PAYLOAD_TOO_LARGE', reason: 'PICTURE_TOO_LARGE' },
  damaged: { code: 'UNPROCESSABLE', reason: 'PICTURE_DAMAGED' },
  decoder_lost: { code: 'UNAVAILABLE', reason: 'DECODER_LOST', retryAfterSeconds: RETRY_SECONDS },
  stopping: { code: 'UNAVAILABLE', reason: 'SERVER_STOPS', retryAfterSeconds: RETRY_SECONDS },
};

/** Shows single pictures to models: the same way as pictures that come by gRPC, a few at a time. */
export class ModelTrials {
  readonly #detector: SentPictureDetector;
  readonly #clock: Clock;
  readonly #budget: CallBudget;
  /** Under way, by user. */
  readonly #open = new Map<string, number>();

  constructor({ detector, clock }: { readonly detector: SentPictureDetector; readonly clock: Clock }) {
    this.#detector = detector;
    this.#clock = clock;
    this.#budget = new CallBudget(PER_MINUTE, clock);
  }

  /**
   * Throws NOT_FOUND (no such model), FAILED_PRECONDITION (it is not ready), RESOURCE_EXHAUSTED (too many at a time, or in a minute), UNSUPPORTED_MEDIA_TYPE,
   * PAYLOAD_TOO_LARGE, UNPROCESSABLE (the picture is damaged), UNAVAILABLE, DEADLINE_EXCEEDED, and INVALID_ARGUMENT where no whole body comes.
   */
  async look({ model, confidence, request, user }: TrialRequest): Promise<Trial> {
    checkMediaType(request.headers['content-type']);
    if (model.length > MAX_NAME) throw new MediaError('NOT_FOUND', 'There is no such model.', { reason: FAILURES.no_model.reason });
    this.#budget.spend(user);
    using _place = this.#take(user);
    const bytes = await readBody(request, { maxBytes: MAX_SENT_PICTURE_BYTES, withinMs: BODY_MS, clock: this.#clock });
    const receivedAt = this.#clock.monotonic();
    const outcome = await this.#detector.detect({ bytes, model, confidence, annotated: false });
    if (!outcome.seen) throw failureOf(outcome, model);
    const { width, height, detections, modelDigest, times } = outcome;
    return { width, height, detections, modelDigest, times, totalMs: this.#clock.monotonic() - receivedAt };
  }

  #take(user: string): Disposable {
    const own = this.#open.get(user) ?? 0;
    const all = [...this.#open.values()].reduce((sum, each) => sum + each, 0);
    if (own >= MAX_OF_ONE || all >= MAX_AT_ONCE) {
      throw new MediaError('RESOURCE_EXHAUSTED', `${String(own >= MAX_OF_ONE ? own : all)} pictures are being looked at; send this one after them.`, { reason: 'TOO_MANY_TRIALS', retryAfterSeconds: RETRY_SECONDS });
    }
    this.#open.set(user, own + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#open.get(user) ?? 1) - 1;
        if (left > 0) this.#open.set(user, left);
        else this.#open.delete(user);
      },
    };
  }
}

/** What the picture really is, its bytes tell; forms and JSON are none. */
const checkMediaType = (contentType: string | undefined): void => {
  const type = (contentType ?? 'application/octet-stream').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type.startsWith('image/') || type === 'application/octet-stream') return;
  throw new MediaError('UNSUPPORTED_MEDIA_TYPE', 'The body must be the picture itself, JPEG, PNG or WebP, and no form: curl --data-binary @picture.jpg -H "content-type: image/jpeg".', { reason: 'PICTURE_FORMAT', context: { content_type: type.slice(0, 100) } });
};

const failureOf = ({ reason, detail }: Extract<SentPictureOutcome, { readonly seen: false }>, model: string): MediaError => {
  const { code, ...options } = FAILURES[reason];
  const message = reason === 'no_model' ? `There is no model ${model}. Models that are ready: ${detail === '' ? 'none' : detail}.` : detail;
  return new MediaError(code, message, { ...options, context: { model } });
};
