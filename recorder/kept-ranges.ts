/** Which recordings retention spares: disjoint ranges per camera, found by bisection. */
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { KeptRange } from '../media-control/port.ts';
import type { SegmentRecord } from './port.ts';

interface Disjoint {
  /** Ascending; `to[i] < from[i + 1]`. */
  readonly from: readonly Milliseconds[];
  readonly to: readonly Milliseconds[];
}

export class KeptRanges {
  readonly #cameras = new Map<CameraId, Disjoint>();

  /** Ranges in any order; they may overlap. */
  constructor(ranges: readonly KeptRange[]) {
    for (const [camera, mine] of Map.groupBy(ranges, (range) => range.camera)) this.#cameras.set(camera, joined(mine));
  }

  /** Whether any moment of the segment is to be kept. */
  has({ camera, start, duration }: Pick<SegmentRecord, 'camera' | 'start' | 'duration'>): boolean {
    const ranges = this.#cameras.get(camera);
    if (!ranges) return false;
    const { from, to } = ranges;
    let low = 0; // the first range that ends behind the segment's start
    for (let high = to.length; low < high;) {
      const middle = (low + high) >>> 1;
      if ((to[middle] ?? Infinity) <= start) low = middle + 1;
      else high = middle;
    }
    const begins = from[low];
    return begins !== undefined && begins < start + Math.max(duration, 1);
  }
}

const joined = (ranges: readonly KeptRange[]): Disjoint => {
  const from: Milliseconds[] = [];
  const to: Milliseconds[] = [];
  for (const range of [...ranges].sort((a, b) => a.from - b.from)) {
    if (!(range.from < range.to)) continue;
    const last = to.at(-1);
    if (last !== undefined && range.from <= last) to[to.length - 1] = Math.max(last, range.to);
    else {
      from.push(range.from);
      to.push(range.to);
    }
  }
  return { from, to };
};
