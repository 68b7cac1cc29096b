/** The geometry of a time line: a window of time on a bar, what zooming and dragging do to it, and where its ticks are. Pure; times are Unix ms. */
import { midnight } from './midnight.ts';

export interface TimeWindow {
  readonly start: number;
  readonly end: number;
}

const MIN_SPAN = 10_000;
export const MAX_SPAN = 7 * 86_400_000;
const STEPS = [1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 21_600_000, 43_200_000, 86_400_000];

export const spanOf = ({ start, end }: TimeWindow): number => end - start;

/** Where a moment is on the bar: 0 at its left end, 1 at its right, beyond for what is outside. */
export const fractionOf = (window: TimeWindow, at: number): number => (at - window.start) / spanOf(window);

export const momentAt = (window: TimeWindow, fraction: number): number => window.start + Math.min(1, Math.max(0, fraction)) * spanOf(window);

/** Left edge and width in percent of the part of a range that is in the window; null when none is. A short range keeps a width that can be seen. */
export const barOf = (window: TimeWindow, from: number, to: number, minPercent = 0.15): { readonly left: string; readonly width: string } | null => {
  if (to <= window.start || from >= window.end) return null;
  const left = Math.max(0, fractionOf(window, from)) * 100;
  const width = Math.max(minPercent, Math.min(1, fractionOf(window, to)) * 100 - left);
  return { left: `${Math.min(left, 100 - minPercent).toFixed(3)}%`, width: `${width.toFixed(3)}%` };
};

/** `factor` 0.5 shows half of it. The moment `around` stays where it is on the bar, unless the window would reach beyond `latest`. */
export const zoomed = (window: TimeWindow, factor: number, around: number, latest: number): TimeWindow => {
  const span = Math.min(MAX_SPAN, Math.max(MIN_SPAN, spanOf(window) * factor));
  const start = around - fractionOf(window, around) * span;
  return within({ start, end: start + span }, latest);
};

/** So much of its length later; earlier when negative. */
export const moved = (window: TimeWindow, share: number, latest: number): TimeWindow => {
  const by = share * spanOf(window);
  return within({ start: window.start + by, end: window.end + by }, latest);
};

/** A window with some air around a range, so that its ends can be taken hold of. */
export const around = (from: number, to: number): TimeWindow => {
  const air = Math.max(30_000, (to - from) * 0.25);
  const span = Math.min(MAX_SPAN, to - from + 2 * air);
  const start = (from + to) / 2 - span / 2;
  return { start, end: start + span };
};

/** A moment that is held at a place of the bar: 0 its left end, 1 its right. */
export interface Held {
  readonly at: number;
  readonly place: number;
}

/** Fingers closer to each other than this share of the bar tell nothing. */
const LEAST_APART = 0.02;

/** The window in which two moments are where two fingers hold them; where it would be too short or too long, or reach beyond `latest`, as near to it as can be. Null: the fingers are too close, or have crossed. */
export const heldBy = (a: Held, b: Held, latest: number): TimeWindow | null => {
  const [apart, time] = [b.place - a.place, b.at - a.at];
  if (Math.abs(apart) < LEAST_APART || time / apart <= 0) return null;
  const span = Math.min(MAX_SPAN, Math.max(MIN_SPAN, time / apart));
  const start = (a.at + b.at) / 2 - ((a.place + b.place) / 2) * span;
  return within({ start, end: start + span }, latest);
};

const within = (window: TimeWindow, latest: number): TimeWindow =>
  (window.end <= latest ? window : { start: latest - spanOf(window), end: latest });

/** The moments that get a label, at most `most` of them, on full local hours where the step is one. */
export const ticksOf = (window: TimeWindow, most: number): { readonly at: readonly number[]; readonly step: number } => {
  const step = STEPS.find((each) => spanOf(window) / each <= most) ?? STEPS.at(-1) ?? MIN_SPAN;
  const at: number[] = [];
  // Counted from each midnight anew: a day of 23 or 25 hours has its ticks on the same hours.
  for (let day = midnight(window.start); day < window.end; day = midnight(day, 1)) {
    const next = midnight(day, 1);
    for (let tick = day + Math.max(0, Math.ceil((window.start - day) / step)) * step; tick < Math.min(next, window.end); tick += step) at.push(tick);
  }
  return { at, step };
};
