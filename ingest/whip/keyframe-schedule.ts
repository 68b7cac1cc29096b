import type { Milliseconds } from '../../core/units.ts';

/** Requests closer together than this are one. */
const MIN_DISTANCE_MS = 500;
/** A request unanswered for this long is repeated, more strongly. */
const ANSWER_MS = 1_000;
/** A publisher begins with a key frame; one that has not come by then was lost on the way. */
const FIRST_MS = 500;

/**
 * When to ask a publisher for a key frame (D-2): at the latest `intervalMs` after the last one, and when somebody needs one. PLI first;
 * FIR when it is not answered within a second. Pure.
 */
export class KeyframeSchedule {
  readonly #intervalMs: Milliseconds;
  #lastKeyframe: Milliseconds | null = null;
  #wanted = false;
  #askedSince: Milliseconds | null = null;
  #lastAsked = Number.NEGATIVE_INFINITY;

  constructor(intervalMs: Milliseconds) {
    this.#intervalMs = intervalMs;
  }

  /** Since when a request has been unanswered; null when none is. */
  get unansweredSince(): Milliseconds | null {
    return this.#askedSince;
  }

  /** The first packet of a track arrived: from now on a key frame is expected. */
  started(now: Milliseconds): void {
    this.#lastKeyframe ??= now - this.#intervalMs + FIRST_MS;
  }

  keyframe(now: Milliseconds): void {
    this.#lastKeyframe = now;
    this.#askedSince = null;
    this.#wanted = false;
  }

  /** Somebody needs one: a viewer, a decoder, or a picture was lost. */
  request(): void {
    this.#wanted = true;
  }

  /** What to send now, if anything. */
  due(now: Milliseconds): 'pli' | 'fir' | null {
    if (this.#askedSince !== null) {
      if (now - this.#lastAsked < ANSWER_MS) return null;
      this.#lastAsked = now;
      return 'fir';
    }
    if (this.#lastKeyframe === null || (!this.#wanted && now - this.#lastKeyframe < this.#intervalMs)) return null;
    if (now - this.#lastAsked < MIN_DISTANCE_MS) return null;
    this.#askedSince = now;
    this.#lastAsked = now;
    this.#wanted = false;
    return 'pli';
  }
}
