import type { AccessUnit } from '../core/access-unit.ts';
import type { Milliseconds } from '../core/units.ts';

const BUCKET_MS = 100;
const BUCKETS = 10;

/** What a stream can see of itself, unit by unit: counts since the session began, rates over the last second (ING-7). Allocates nothing per unit. */
export class StreamMeter {
  readonly #bytes = new Float64Array(BUCKETS);
  readonly #pictures = new Float64Array(BUCKETS);
  #bucket = 0;
  #videoUnits = 0;
  #lastRandomAccess: Milliseconds | null = null;
  #keyframeInterval: Milliseconds | null = null;

  /** Video access units since the session began. */
  get videoUnits(): number {
    return this.#videoUnits;
  }

  /** Time between the last two random access pictures; null until two came in one epoch. */
  get keyframeIntervalMs(): Milliseconds | null {
    return this.#keyframeInterval;
  }

  /** Counts one unit; `now` is monotonic. */
  count(unit: AccessUnit, now: Milliseconds): void {
    this.#advance(now);
    const slot = this.#bucket % BUCKETS;
    this.#bytes[slot] = (this.#bytes[slot] ?? 0) + unit.byteLength;
    if (unit.kind !== 'video') return;
    this.#pictures[slot] = (this.#pictures[slot] ?? 0) + 1;
    this.#videoUnits++;
    if (!unit.randomAccess) return;
    const at = unit.pts / 90;
    if (this.#lastRandomAccess !== null && at > this.#lastRandomAccess) this.#keyframeInterval = at - this.#lastRandomAccess;
    this.#lastRandomAccess = at;
  }

  /** A new epoch: distances to what came before mean nothing. */
  interrupt(): void {
    this.#lastRandomAccess = null;
  }

  /** Bits and pictures of the last second. */
  rates(now: Milliseconds): { readonly bitrateBps: number; readonly fps: number } {
    this.#advance(now);
    const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0);
    return { bitrateBps: sum(this.#bytes) * 8, fps: sum(this.#pictures) };
  }

  #advance(now: Milliseconds): void {
    const bucket = Math.floor(now / BUCKET_MS);
    if (bucket <= this.#bucket) return;
    const steps = Math.min(BUCKETS, bucket - this.#bucket);
    for (let i = 0; i < steps; i++) {
      this.#bytes[(bucket - i) % BUCKETS] = 0;
      this.#pictures[(bucket - i) % BUCKETS] = 0;
    }
    this.#bucket = bucket;
  }
}
