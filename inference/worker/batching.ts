import type { Milliseconds } from '../../core/units.ts';

/** A picture that waits for its turn. */
export interface WaitingPicture {
  readonly model: string;
  /** `Clock.monotonic()`. */
  readonly receivedAt: Milliseconds;
  /** From then on: later nobody wants the answer. */
  readonly deadlineMs: Milliseconds;
}

/** What a model does with several pictures. */
export interface BatchLimits {
  /** In one run; at least 1. */
  readonly most: number;
  /** A picture may wait so long for others. */
  readonly delayMs: Milliseconds;
}

export interface NextBatch<P extends WaitingPicture> {
  /** Those whose deadline has passed: not to be run. */
  readonly expired: readonly P[];
  /** To be run now, of one model, in the order they came; none: nothing is due. */
  readonly batch: readonly P[];
  /** Then something is due; null: never, unless more comes. Of no meaning with a `batch`. */
  readonly dueAt: Milliseconds | null;
}

export const isExpired = ({ receivedAt, deadlineMs }: WaitingPicture, now: Milliseconds): boolean => now - receivedAt > deadlineMs;

/** It waits for others no longer than the delay, and never longer than half of the time it has: the rest is for its run. */
const latest = ({ receivedAt, deadlineMs }: WaitingPicture, delayMs: Milliseconds): Milliseconds => receivedAt + Math.min(delayMs, deadlineMs / 2);

/**
 * What to run next of what waits, `queue` in the order it came. Pictures of one model run together, as many as wait, whosever they are.
 * Of the models that are due (as many pictures as fit wait, or one has waited as long as it may) it is that whose oldest picture came first.
 */
export const nextBatch = <P extends WaitingPicture>(queue: readonly P[], now: Milliseconds, limitsOf: (model: string) => BatchLimits): NextBatch<P> => {
  const expired: P[] = [];
  const models = new Map<string, P[]>();
  for (const picture of queue) {
    if (isExpired(picture, now)) {
      expired.push(picture);
      continue;
    }
    const others = models.get(picture.model);
    if (others) others.push(picture);
    else models.set(picture.model, [picture]);
  }
  let dueAt: Milliseconds | null = null;
  for (const [model, pictures] of models) {
    const { most, delayMs } = limitsOf(model);
    const due = pictures.length >= most ? now : Math.min(...pictures.map((picture) => latest(picture, delayMs)));
    if (due <= now) return { expired, batch: pictures.slice(0, most), dueAt: null };
    dueAt = Math.min(dueAt ?? Infinity, due);
  }
  return { expired, batch: [], dueAt };
};
