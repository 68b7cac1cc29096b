/** Time ranges on one camera. All half open: a range that ends where another begins does not overlap it. */
import type { Milliseconds } from '../../core/units.ts';

export interface Range {
  /** Unix ms. */
  readonly from: Milliseconds;
  readonly to: Milliseconds;
}

/** The same times in as few ranges as possible, in order. */
export const merged = (ranges: readonly Range[]): Range[] => {
  const result: { from: Milliseconds; to: Milliseconds }[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = result.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else result.push({ from, to });
  }
  return result;
};

/** Whether one of `ranges`, as `merged` made them, overlaps the range. */
export const overlapsAny = (ranges: readonly Range[], { from, to }: Range): boolean => {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.to ?? 0) > from) high = middle;
    else low = middle + 1;
  }
  const candidate = ranges[low];
  return candidate !== undefined && candidate.from < to;
};
