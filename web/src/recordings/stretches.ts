/** What is recorded in a window. Pure; times are Unix ms. */
import type { Recording } from './api.ts';
import type { TimeWindow } from './time-window.ts';

export interface Stretch extends TimeWindow {
  readonly bytes: number;
  /** Still being written. */
  readonly open: boolean;
}

/** In order. */
export const stretchesOf = (recordings: readonly Recording[]): readonly Stretch[] =>
  recordings.map(({ start, end, bytes, open }) => ({ start: Date.parse(start), end: Date.parse(end), bytes, open })).sort((a, b) => a.start - b.start);

/** Too little to be played. */
const LEAST_MS = 200;
/** What is played when somebody points behind the end. */
const TAIL_MS = 10_000;

/** The first recorded moment at or after `at`; where nothing follows, shortly before the end. Null when nothing is recorded. */
export const recordedFrom = (stretches: readonly Stretch[], at: number): number | null => {
  const next = stretches.find(({ end }) => end > at + LEAST_MS);
  if (next) return Math.max(at, next.start);
  const last = stretches.at(-1);
  return last ? Math.max(last.start, last.end - TAIL_MS) : null;
};

/** A range without the time at its beginning in which nothing was recorded: its file begins with the first picture there is. */
export const withoutLead = <R extends { readonly from: number; readonly to: number }>(stretches: readonly Stretch[], range: R): R => {
  const first = stretches.find(({ end }) => end > range.from);
  return first && first.start > range.from && first.start < range.to ? { ...range, from: first.start } : range;
};

/** The last recorded moment at or before `at`, a little before the end of what it is in; null when nothing is. */
export const recordedUntil = (stretches: readonly Stretch[], at: number): number | null => {
  const before = stretches.findLast(({ start }) => start < at - LEAST_MS);
  return before ? Math.min(at, before.end) : null;
};

/** Seconds of the window that are recorded. */
export const recordedSeconds = (stretches: readonly Stretch[], window: TimeWindow): number =>
  stretches.reduce((sum, { start, end }) => sum + Math.max(0, Math.min(end, window.end) - Math.max(start, window.start)), 0) / 1000;
