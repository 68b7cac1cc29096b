/** What trials of a model have in common: pictures to run it on, whether two runs gave the same, and which takes longer. */
import type { Milliseconds } from '../../core/units.ts';
import type { OutputValues } from '../layouts/layout.ts';

/** Of each of two ways; of quick runs as many more as fit. */
const LEAST_ROUNDS = 7;
const MOST_ROUNDS = 51;
const ROUNDS_MS: Milliseconds = 500;
/** What computes in another order gives other last digits: values near to equal are equal, and a few may have changed places. */
const TOLERANCE = 0.01;
const MAX_APART = 0.01;

/** Of some runs. */
export interface Times {
  readonly median: Milliseconds;
  readonly least: Milliseconds;
}

/**
 * How long two ways to run take; each gives the milliseconds of one run. Taken by turns: a machine with other work is not equally fast
 * for long. Null: `isOver` before there were enough.
 */
export const byTurns = async ([a, b]: readonly [() => Promise<Milliseconds>, () => Promise<Milliseconds>], isOver: () => boolean): Promise<readonly [Times, Times] | null> => {
  const times: [Milliseconds[], Milliseconds[]] = [[], []];
  for (let [round, sum] = [0, 0]; round < LEAST_ROUNDS || (round < MOST_ROUNDS && sum < ROUNDS_MS); round++) {
    if (round < LEAST_ROUNDS && isOver()) return null;
    const [one, other] = [await a(), await b()];
    times[0].push(one);
    times[1].push(other);
    sum += one + other;
  }
  return [summary(times[0]), summary(times[1])];
};

const summary = (times: readonly Milliseconds[]): Times => {
  const sorted = times.toSorted((a, b) => a - b);
  return { median: sorted[sorted.length >> 1] ?? 0, least: sorted[0] ?? 0 };
};

export const shown = (ms: Milliseconds): string => ms.toFixed(ms < 10 ? 2 : 1);

/** Bytes of 128 values from `base` on that look like none of a picture's (Lehmer, Park and Miller 1988), always the same. */
export const noise = (bytes: number, base: number): Uint8Array => {
  let state = 1 + base;
  return Uint8Array.from({ length: bytes }, () => {
    state = (state * 48_271) % 0x7fff_ffff;
    return base + (state >> 8) % 128;
  });
};

/**
 * The same outputs, but for what another order of adding changes: one value in a hundred, or a share of `maxApart`, may be another. `unit`: below
 * which values an output's are compared as if they were so large.
 */
export const alike = (some: readonly OutputValues[], others: readonly OutputValues[], unit: (values: Float32Array) => number = () => 1, maxApart = MAX_APART): boolean =>
  some.length === others.length && some.every(({ values }, at) => {
    const other = others[at]?.values;
    if (other?.length !== values.length) return false;
    const least = unit(values);
    let apart = 0;
    for (const [i, value] of values.entries()) if (!near(value, other[i] ?? Number.NaN, least)) apart++;
    return apart <= maxApart * values.length;
  });

const near = (a: number, b: number, least: number): boolean => Object.is(a, b) || Math.abs(a - b) <= TOLERANCE * Math.max(least, Math.abs(a));
