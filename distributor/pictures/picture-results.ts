import type { Clock } from '../../core/clock.ts';
import type { DetectionResult } from '../../core/detection.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { LivePicture } from '../../extractor/port.ts';

/** A picture waits so long for the results of its frame; then it goes with what there is. */
const WAIT_MS: Milliseconds = 250;
/** A detector silent for so long is not waited for. */
const SILENT_MS: Milliseconds = 1_000;
/** Pictures that wait at a time; the oldest of more goes at once. */
const MAX_WAITING = 8;
/** Results remembered of each detector: those of pictures that may still come. */
const REMEMBERED = 16;
/** A frame without a result of its own has the last one for so many intervals of its detector (D-7). */
const HELD_INTERVALS = 2;

interface Detector {
  /** In order of their frames. */
  results: DetectionResult[];
  heardAt: Milliseconds;
}

export interface PictureResultsOptions {
  readonly clock: Clock;
  /** One result at most of each detector. */
  readonly deliver: (picture: LivePicture, results: readonly DetectionResult[]) => void;
}

/** Joins pictures with what detectors found in those very frames; both come in order, a result later than its picture. */
export class PictureResults implements Disposable {
  readonly #options: PictureResultsOptions;
  readonly #detectors = new Map<string, Detector>();
  #waiting: { readonly picture: LivePicture; readonly until: Milliseconds }[] = [];
  #timer: Disposable | null = null;
  /** The only detector whose results are wanted; null: all. */
  #only: string | null = null;

  constructor(options: PictureResultsOptions) {
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

  onPicture(picture: LivePicture): void {
    this.#waiting.push({ picture, until: this.#options.clock.monotonic() + WAIT_MS });
    if (this.#waiting.length > MAX_WAITING) this.#deliverFirst();
    this.#deliverReady();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    this.#waiting = [];
  }

  #deliverReady(): void {
    const now = this.#options.clock.monotonic();
    for (const [id, { heardAt }] of this.#detectors) if (now - heardAt > SILENT_MS) this.#detectors.delete(id);
    while (this.#waiting[0] && (now >= this.#waiting[0].until || this.#isKnown(this.#waiting[0].picture))) this.#deliverFirst();
    this.#timer?.[Symbol.dispose]();
    const [first] = this.#waiting;
    this.#timer = first ? this.#options.clock.after(first.until - now, () => { this.#deliverReady(); }) : null;
  }

  #deliverFirst(): void {
    const first = this.#waiting.shift();
    if (!first) return;
    this.#options.deliver(first.picture, this.#wanted().flatMap(({ results }) => resultOf(first.picture, results) ?? []));
  }

  /** Every detector has said something of this frame or of a later one: what it has not said it will not say. */
  #isKnown({ frame }: LivePicture): boolean {
    return this.#wanted().every(({ results }) => {
      const last = results.at(-1)?.frame;
      return last !== undefined && (last.epoch > frame.epoch || (last.epoch === frame.epoch && last.seq >= frame.seq));
    });
  }

  #wanted(): readonly Detector[] {
    if (this.#only === null) return [...this.#detectors.values()];
    const only = this.#detectors.get(this.#only);
    return only ? [only] : [];
  }
}

/** The result of the picture's own frame, else the last one before it, if it is not too old. */
const resultOf = ({ frame, capturedAt }: LivePicture, results: readonly DetectionResult[]): DetectionResult | undefined => {
  const own = results.find((result) => result.frame.epoch === frame.epoch && result.frame.seq === frame.seq);
  if (own) return own;
  const index = results.findLastIndex((result) => result.frame.epoch === frame.epoch && result.frame.seq < frame.seq);
  const result = results[index];
  if (!result) return undefined;
  const [near, far] = [results[index + 1] ?? result, results[index + 1] ? result : results[index - 1]];
  if (!far) return undefined;
  return capturedAt - result.capturedAt <= HELD_INTERVALS * (near.capturedAt - far.capturedAt) ? result : undefined;
};
