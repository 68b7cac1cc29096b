/** Ranges of wall time: what of one is recorded, and what is not. Pure. Unix ms, [from, to). */
import type { Milliseconds } from '../../core/units.ts';

export interface WallRange {
  readonly from: Milliseconds;
  readonly to: Milliseconds;
}

/** Less than this between two recordings is a matter of clocks, not a gap. */
const SMALLEST: Milliseconds = 50;

/**
 * Splits `range` by what was `recorded`, by its begin; it may overlap. `free` and `covered` are in order, touch nobody of their own kind, and make
 * up the range but for what is too short to be a gap, which counts as covered.
 */
export const splitByRecorded = (range: WallRange, recorded: Iterable<WallRange>): { readonly free: WallRange[]; readonly covered: WallRange[] } => {
  const free: WallRange[] = [];
  const covered: WallRange[] = [];
  let position = range.from;
  const cover = (to: Milliseconds): void => {
    if (to <= position) return;
    const last = covered.at(-1);
    if (last?.to === position) covered[covered.length - 1] = { from: last.from, to };
    else covered.push({ from: position, to });
    position = to;
  };
  const leave = (to: Milliseconds): void => {
    if (to - position < SMALLEST) cover(to);
    else {
      free.push({ from: position, to });
      position = to;
    }
  };
  for (const { from, to } of recorded) {
    if (from >= range.to) break;
    if (to <= position || to <= from) continue;
    if (from > position) leave(from);
    cover(Math.min(to, range.to));
  }
  if (range.to > position) leave(range.to);
  return { free, covered };
};
