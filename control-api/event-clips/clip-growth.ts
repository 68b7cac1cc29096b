/** Whether an event makes a clip of its own or belongs to the one before it. Pure. */
import type { Milliseconds } from '../../core/units.ts';

/** Unix ms, [from, to). */
export interface ClipRange {
  readonly from: Milliseconds;
  readonly to: Milliseconds;
}

/** Something seen from `first` to `last`, Unix ms. */
export interface Sighting {
  readonly first: Milliseconds;
  readonly last: Milliseconds;
}

export interface Roll {
  readonly pre_seconds: number;
  readonly post_seconds: number;
}

/** What is seen all day is a clip after the other, each short enough to be looked through. */
export const LONGEST_CLIP: Milliseconds = 10 * 60_000;

/** The clip as it is to be: `before` made longer, or a new one; undefined when `before` holds all of it. */
export const grownBy = (before: ClipRange | undefined, { first, last }: Sighting, { pre_seconds, post_seconds }: Roll): { readonly range: ClipRange; readonly isNew: boolean } | undefined => {
  const from = Math.round(first - pre_seconds * 1000);
  const to = Math.max(from + 1, Math.round(last + post_seconds * 1000));
  const touches = before !== undefined && from <= before.to && to >= before.from;
  if (touches && from >= before.from - pre_seconds * 1000 && to <= before.to) return undefined;
  if (touches && to - before.from <= LONGEST_CLIP) return { range: { from: Math.min(from, before.from), to: Math.max(to, before.to) }, isNew: false };
  // A clip that is long enough is not told twice: the next one begins where it ends.
  const start = touches ? Math.max(from, Math.min(before.to, to - 1)) : from;
  return { range: { from: start, to: Math.min(to, start + LONGEST_CLIP) }, isNew: true };
};
