/** What was detected, and when, as a time line draws it. Pure; times are Unix ms. */
import type { TimeWindow } from './time-window.ts';
import { spanOf } from './time-window.ts';

/** Of one class, what one source has seen, as `GET /v1/detections/timeline` answers. */
export interface SeenClass {
  readonly class_name: string;
  /** Of an analysis; null: it was seen live. */
  readonly model: string | null;
  readonly count: number;
  /** Of each bucket: detections, and the most in one picture. */
  readonly counts: readonly number[];
  readonly at_once: readonly number[];
}

export interface SeenTime {
  readonly from: string;
  readonly to: string;
  readonly buckets: number;
  readonly seen: readonly SeenClass[];
  readonly left_out: number;
}

/** [from, to) in so many equal parts. */
export interface Buckets {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** Something seen in a part of the time. */
export interface SeenPart extends TimeWindow {
  /** 0 to 1, by its detections beside those of the fullest part; those of a class that live detection and analyses have seen count once. */
  readonly height: number;
  readonly classes: readonly { readonly name: string; readonly atOnce: number; /** Only analyses have seen it. */ readonly found: boolean }[];
}

const MOST_BUCKETS = 200;
const WIDTHS = [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000];

/** The parts to ask for so as to fill a window: they lie on full steps of time, so that they stand still in a window that moves. */
export const bucketsOf = (window: TimeWindow): Buckets => {
  const width = WIDTHS.find((each) => spanOf(window) / each <= MOST_BUCKETS) ?? WIDTHS.at(-1) ?? 1;
  const from = Math.floor(window.start / width) * width;
  const to = Math.ceil(window.end / width) * width;
  return { from, to, count: Math.round((to - from) / width) };
};

/** The parts in which something was seen, in order; of one class where one is named. */
export const partsOf = (time: SeenTime, className: string | null): readonly SeenPart[] => {
  const [from, to] = [Date.parse(time.from), Date.parse(time.to)];
  const width = (to - from) / time.buckets;
  const classes = [...Map.groupBy(time.seen.filter((each) => className === null || each.class_name === className), (each) => each.class_name)];
  const parts: (Omit<SeenPart, 'height'> & { readonly count: number })[] = [];
  for (let i = 0; i < time.buckets; i++) {
    // Live detection and each analysis see the same objects: what the most is seen by counts.
    const most = (of: readonly (readonly number[])[]): number => Math.max(0, ...of.map((each) => each[i] ?? 0));
    const here = classes
      .map(([name, sources]) => ({ name, count: most(sources.map(({ counts }) => counts)), atOnce: most(sources.map((each) => each.at_once)), found: sources.every((each) => each.model !== null || (each.at_once[i] ?? 0) === 0) }))
      .filter(({ atOnce }) => atOnce > 0)
      .sort((a, b) => b.count - a.count);
    if (here.length > 0) parts.push({ start: from + i * width, end: from + (i + 1) * width, count: here.reduce((sum, { count }) => sum + count, 0), classes: here.map(({ name, atOnce, found }) => ({ name, atOnce, found })) });
  }
  const fullest = Math.max(1, ...parts.map(({ count }) => count));
  // Few detections are still seen beside many.
  return parts.map(({ count, ...part }) => ({ ...part, height: Math.sqrt(Math.max(1, count) / fullest) }));
};

/** The classes of a time, those with the most detections first. */
export const classesOf = (time: SeenTime | null): readonly string[] => [...new Set(time?.seen.map((each) => each.class_name))];

const SHOWN = 3;

/** What was seen at a moment, in words; empty for nothing. */
export const seenAt = (parts: readonly SeenPart[], at: number): string => {
  const classes = parts.find(({ start, end }) => at >= start && at < end)?.classes ?? [];
  const words = classes.slice(0, SHOWN).map(({ name, atOnce, found }) => `${atOnce > 1 ? `${name} × ${atOnce}` : name}${found ? ' (analysis)' : ''}`);
  return [...words, ...(classes.length > SHOWN ? [`${classes.length - SHOWN} more`] : [])].join(', ');
};
