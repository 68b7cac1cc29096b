/** What was seen in each of so many equal parts of a stretch of time. Pure; times are Unix ms. */
import type { Milliseconds } from '../../core/units.ts';
import { SEEN_LIVE } from '../sightings.ts';

/** So many classes and models have lanes of their own; what is found after them is left out. */
const MAX_LANES = 1000;

/** [from, to) in equal parts. */
export interface Buckets {
  readonly from: Milliseconds;
  readonly to: Milliseconds;
  readonly count: number;
}

/** A class that one source has seen: in one picture, where `last_ms` is `first_ms`, or again and again without a break. */
export interface Seen {
  readonly class_name: string;
  /** As in `sightings`. */
  readonly analysed_by: string;
  readonly first_ms: Milliseconds;
  readonly last_ms: Milliseconds;
  /** Detections. */
  readonly count: number;
  /** The most in one picture. */
  readonly at_once: number;
  readonly max_confidence: number;
}

/** What one source has seen of one class. */
export interface Lane {
  readonly className: string;
  /** The model whose analyses found it; null: it was seen live. */
  readonly model: string | null;
  /** Detections within the whole time. */
  readonly count: number;
  readonly maxConfidence: number;
  /** Of each bucket. Its detections; */
  readonly counts: readonly number[];
  /** and the most in one picture: 0 where it was not seen. */
  readonly atOnce: readonly number[];
}

interface Growing {
  readonly className: string;
  readonly analysedBy: string;
  count: number;
  maxConfidence: number;
  readonly counts: Uint32Array;
  readonly atOnce: Uint32Array;
}

/** Sorts what was seen into buckets. What is beyond a stretch of time counts for nothing, what reaches into it as far as it does. */
export class Timeline {
  readonly #buckets: Buckets;
  readonly #lanes = new Map<string, Growing>();
  readonly #leftOut = new Set<string>();

  constructor(buckets: Buckets) { this.#buckets = buckets; }

  /** The detections of a sighting lie somewhere between its ends: they are spread evenly, and their sum stays what it is. */
  add(seen: Seen): void {
    const { from, to, count: parts } = this.#buckets;
    if (seen.last_ms < from || seen.first_ms >= to) return;
    const lane = this.#laneOf(seen);
    if (lane === undefined) return;
    const [first, last] = [this.#bucketOf(seen.first_ms), this.#bucketOf(seen.last_ms)];
    const width = (to - from) / parts;
    const length = seen.last_ms - seen.first_ms;
    const before = (edge: number): number => (edge > last ? seen.count : edge <= first ? 0 : Math.round((seen.count * (from + edge * width - seen.first_ms)) / length));
    for (let i = Math.max(0, first); i <= Math.min(last, parts - 1); i++) {
      const share = before(i + 1) - before(i);
      lane.counts[i] = (lane.counts[i] ?? 0) + share;
      lane.atOnce[i] = Math.max(lane.atOnce[i] ?? 0, seen.at_once);
      lane.count += share;
    }
    lane.maxConfidence = Math.max(lane.maxConfidence, seen.max_confidence);
  }

  /** Those with the most detections first, at most so many; and how many more there were. */
  lanes(most: number): { readonly lanes: readonly Lane[]; readonly leftOut: number } {
    const all = [...this.#lanes.values()].sort((a, b) => b.count - a.count || compare(a.className, b.className) || compare(a.analysedBy, b.analysedBy));
    return {
      lanes: all.slice(0, most).map(({ className, analysedBy, count, maxConfidence, counts, atOnce }) => ({
        className, model: analysedBy === SEEN_LIVE ? null : analysedBy, count, maxConfidence, counts: [...counts], atOnce: [...atOnce],
      })),
      leftOut: Math.max(0, all.length - most) + this.#leftOut.size,
    };
  }

  /** Below 0 or beyond the last one for what is outside. */
  #bucketOf(at: Milliseconds): number {
    const { from, to, count } = this.#buckets;
    const i = Math.floor(((at - from) * count) / (to - from));
    // Rounding may push a moment just before the end beyond it.
    return at < to ? Math.min(i, count - 1) : i;
  }

  #laneOf({ class_name: className, analysed_by: analysedBy }: Seen): Growing | undefined {
    const key = JSON.stringify([className, analysedBy]);
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    if (this.#lanes.size >= MAX_LANES) {
      this.#leftOut.add(key);
      return undefined;
    }
    const { count } = this.#buckets;
    const lane = { className, analysedBy, count: 0, maxConfidence: 0, counts: new Uint32Array(count), atOnce: new Uint32Array(count) };
    this.#lanes.set(key, lane);
    return lane;
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
