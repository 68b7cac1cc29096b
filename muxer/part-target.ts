import type { Milliseconds } from '../core/units.ts';

/** A part lasts at least so much of its target, RFC 8216bis §4.4.4.9. */
const SHORTEST_PART = 0.85;
/** Jittering pictures: the middle between the least and the most that the target allows (0.85 and 1) is this far below it. */
const JITTER_ROOM = 1.08;
/** Timestamps jitter: a part this little short of `partMs` counts as full, instead of a picture too long. */
const TOLERANCE_MS = 5;
/** Pictures whose steps differ by less are steady. */
const STEADY_MS = 1;
/** D-1: parts become longer than `partMs` for the sake of the target by no more than this. */
const MOST_STRETCH = 1.1;
/** So long no part fits its target: the camera's rate has changed for good (night, another profile). */
const MISFIT_MS = 10_000;

/** What the target looks at in a part. */
export interface CutPart {
  readonly duration: Milliseconds;
  readonly randomAccess: boolean;
  readonly beforeRandomAccess: boolean;
}

/**
 * How long the parts of a session are, and the promise that LL-HLS makes of it: PART-TARGET, which no part may exceed and which players expect to
 * stay. It follows from the first pictures. Steady ones (a camera that counts its own) make parts of one length, and that is it; jittering ones
 * (a browser's) get room on both sides. The muxer then closes a part before the picture that would take it over the target.
 *
 * What cannot be kept: one picture that alone lasts longer than the target, because others were lost, is a part that is too long: better than
 * a hold-back of seconds for everybody all the time. When nothing fits for 10 s, the next random access picture begins with a new target. Pure.
 */
export class PartTarget {
  readonly #partMs: Milliseconds;
  #ms: Milliseconds | null = null;
  #closesMs: Milliseconds;
  #misfitMs: Milliseconds = 0;

  /** `partMs`: `media.part_ms`. */
  constructor(partMs: Milliseconds) {
    this.#partMs = partMs;
    this.#closesMs = partMs - TOLERANCE_MS;
  }

  /** The target; null before the first part. */
  get ms(): Milliseconds | null {
    return this.#ms;
  }

  /** A part this long is full. */
  get closesMs(): Milliseconds {
    return this.#closesMs;
  }

  /** Sets the target by the steps from picture to picture (from sound to sound, where there is no video). */
  begin(steps: readonly Milliseconds[]): Milliseconds {
    const sorted = [...steps].sort((a, b) => a - b);
    const longest = sorted.at(-1) ?? this.#partMs;
    // The median: a stream may begin with a pause.
    const step = ((sorted[sorted.length >> 1] ?? longest) + (sorted[(sorted.length - 1) >> 1] ?? longest)) / 2;
    const steady = sorted.length > 1 && longest - (sorted[0] ?? 0) < STEADY_MS;
    const usual = Math.max(1, Math.ceil((this.#partMs - TOLERANCE_MS) / step)) * step;
    const target = Math.ceil(steady ? usual + TOLERANCE_MS : Math.max(this.#partMs, usual) * JITTER_ROOM);
    const least = target * SHORTEST_PART;
    this.#ms = target;
    this.#closesMs = Math.max(this.#partMs - TOLERANCE_MS, least <= this.#partMs * MOST_STRETCH ? least : 0);
    this.#misfitMs = 0;
    return target;
  }

  /** Notes a part that was cut, of these steps; returns the target that holds from this part on. */
  follow(part: CutPart, steps: () => readonly Milliseconds[]): Milliseconds {
    let target = this.#ms ?? this.begin(steps());
    if (part.randomAccess && this.#misfitMs >= MISFIT_MS) target = this.begin(steps());
    if (part.duration > target) this.#misfitMs += part.duration;
    else if (part.randomAccess || part.beforeRandomAccess) return target; // may be short
    else this.#misfitMs = part.duration < target * SHORTEST_PART ? this.#misfitMs + part.duration : 0;
    return target;
  }
}
