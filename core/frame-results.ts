import type { Clock } from './clock.ts';
import type { DetectionResult } from './detection.ts';
import type { FrameRef } from './frame-ref.ts';
import type { Milliseconds } from './units.ts';

/** What pictures and results are joined by. */
export interface FramePicture {
  readonly frame: FrameRef;
  /** Unix ms. */
  readonly capturedAt: Milliseconds;
}

/** A picture waits so long for the results of its frame; then it goes with what there is. */
const WAIT_MS: Milliseconds = 250;
/** A detector silent for so long, or for as long as its last result holds, is not waited for. */
const SILENT_MS: Milliseconds = 1_000;
/** One silent for so long is forgotten. */
const FORGOTTEN_MS: Milliseconds = 60_000;
/** Pictures that wait at a time; the oldest of more goes at once. */
const MAX_WAITING = 8;
/** Results remembered of each detector: those of pictures that may still come. */
const REMEMBERED = 16;
/** A frame without a result of its own has the last one for so many intervals of its detector (D-7), and no longer than a detector of one picture a second has. */
const HELD_INTERVALS = 2;
const MOST_HELD_MS: Milliseconds = 2_000;

interface Detector {
  /** In order of their frames. */
  results: DetectionResult[];
  heardAt: Milliseconds;
}

export interface FrameResultsOptions<P extends FramePicture> {
  readonly clock: Clock;
  /** One result at most of each detector. */
  readonly deliver: (picture: P, results: readonly DetectionResult[]) => void;
  /** Whether a detector may still say something of this very picture. Absent: nobody knows which pictures detectors look at. */
  readonly awaits?: (picture: P, detector: string) => boolean;
  /** The picture is not delivered any more. */
  readonly onForgotten?: (picture: P) => void;
}

/** Joins pictures with what detectors found in those very frames; both come in the order in which they are shown (not in that of `seq`, where there are B-frames), a result later than its picture. */
export class FrameResults<P extends FramePicture> implements Disposable {
  readonly #options: FrameResultsOptions<P>;
  readonly #detectors = new Map<string, Detector>();
  #waiting: { readonly picture: P; readonly until: Milliseconds }[] = [];
  #timer: Disposable | null = null;
  /** The only detector whose results are wanted; null: all. */
  #only: string | null = null;

  constructor(options: FrameResultsOptions<P>) {
    this.#options = options;
  }

  choose(detector: string | null): void {
    this.#only = detector;
    this.#deliverReady();
  }

  onResult(detector: string, result: DetectionResult): void {
    const known = this.#detectors.get(detector);
    const heardAt = this.#options.clock.monotonic();
    if (known && known.results.at(-1)?.frame.epoch === result.frame.epoch) {
      known.results = [...known.results.slice(1 - REMEMBERED), result];
      known.heardAt = heardAt;
    } else this.#detectors.set(detector, { results: [result], heardAt });
    this.#deliverReady();
  }

  onPicture(picture: P): void {
    this.#waiting.push({ picture, until: this.#options.clock.monotonic() + WAIT_MS });
    if (this.#waiting.length > MAX_WAITING) this.#deliverFirst();
    this.#deliverReady();
  }

  /** Lets go of the pictures that wait. Results are remembered. */
  [Symbol.dispose](): void {
    if (this.#waiting.length === 0) return; // nor is there a timer
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { picture } of waiting) this.#options.onForgotten?.(picture);
  }

  #deliverReady(): void {
    const now = this.#options.clock.monotonic();
    for (const [id, { heardAt }] of this.#detectors) if (now - heardAt > FORGOTTEN_MS) this.#detectors.delete(id);
    while (this.#waiting[0] && (now >= this.#waiting[0].until || this.#isKnown(this.#waiting[0].picture, now))) this.#deliverFirst();
    this.#timer?.[Symbol.dispose]();
    const [first] = this.#waiting;
    this.#timer = first ? this.#options.clock.after(first.until - now, () => { this.#deliverReady(); }) : null;
  }

  #deliverFirst(): void {
    const first = this.#waiting.shift();
    if (!first) return;
    this.#options.deliver(first.picture, this.#wanted().flatMap(({ results }) => resultOf(first.picture, results) ?? []));
  }

  /** Every detector that may has said something of this frame or of a later one: what it has not said it will not say. */
  #isKnown(picture: P, now: Milliseconds): boolean {
    const { frame, capturedAt } = picture;
    const { awaits } = this.#options;
    return this.#wanted().every(({ id, results, heardAt }) => {
      if (now - heardAt > Math.max(SILENT_MS, heldMs(results.at(-2), results.at(-1))) || (awaits && !awaits(picture, id))) return true;
      const last = results.at(-1);
      return last !== undefined && (last.frame.epoch > frame.epoch || (last.frame.epoch === frame.epoch && last.capturedAt >= capturedAt));
    });
  }

  #wanted(): readonly (Detector & { readonly id: string })[] {
    return [...this.#detectors].flatMap(([id, detector]) => (this.#only === null || this.#only === id ? [{ id, ...detector }] : []));
  }
}

/** The result of the picture's own frame, else the last one before it, if it is not too old. */
const resultOf = ({ frame, capturedAt }: FramePicture, results: readonly DetectionResult[]): DetectionResult | undefined => {
  const own = results.find((result) => result.frame.epoch === frame.epoch && result.frame.seq === frame.seq);
  if (own) return own;
  const index = results.findLastIndex((result) => result.frame.epoch === frame.epoch && result.capturedAt < capturedAt);
  const result = results[index];
  if (!result) return undefined;
  const holds = results[index + 1] ? heldMs(result, results[index + 1]) : heldMs(results[index - 1], result);
  return capturedAt - result.capturedAt <= holds ? result : undefined;
};

/** How long a result holds whose detector gave these two in a row; 0 while that is not known. */
const heldMs = (one: DetectionResult | undefined, next: DetectionResult | undefined): Milliseconds =>
  one && next ? Math.min(MOST_HELD_MS, HELD_INTERVALS * (next.capturedAt - one.capturedAt)) : 0;
