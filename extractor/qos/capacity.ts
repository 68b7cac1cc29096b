import type { Milliseconds } from '../../core/units.ts';
import type { Allocation } from './share-out.ts';

/** What became of the pictures of all cameras in a stretch of time. */
export interface Measured {
  readonly seconds: number;
  /** Pictures with a result. */
  readonly delivered: number;
  /** What these have cost, in pictures of the detectors' own models: less than one each with a lighter one. */
  readonly work: number;
  /** Of these, pictures that had to wait for credit. */
  readonly waited: number;
  /** Pictures the workers had no room or no time for: superseded, no credit, deadline. */
  readonly lost: number;
  /** Access units that came for detectors, and of these those the extractor came to too late to show them to one. */
  readonly units: number;
  readonly late: number;
  /** Mean wait of a picture for credit and in the worker's queue, milliseconds. */
  readonly waitMs: Milliseconds;
  /** Busy share of this machine's cores, 0..1. */
  readonly cpu: number;
}

export type OverloadCause = 'worker_busy' | 'queue_wait' | 'extractor_busy' | 'cpu_busy';

/** What gets through a second, as far as has been found out, in pictures of the detectors' own models. Infinity: as many as are asked for. */
export interface Capacity {
  readonly perSecond: number;
  /** Of the last stretch. */
  readonly overload: OverloadCause | null;
  /** Of the last overload there was. */
  readonly cause: OverloadCause;
  /** Nothing is tried before. The governor's time. */
  readonly holdUntil: Milliseconds;
  /** How long nothing is tried after an overload; longer each time that trying led to one. */
  readonly holdMs: Milliseconds;
  /** Raised so many times since the last overload; the last time at. */
  readonly raised: number;
  readonly raisedAt: Milliseconds;
}

/** Few losses come from pictures that meet by chance; more, while most find credit when they come, from a moment's stall. */
const LOST_SHARE = 0.05;
const WAITED_SHARE = 0.5;
const LATE_SHARE = 0.1;
/** Beyond this there is no doubt. */
const HEAVY_SHARE = 0.4;
const LEAST_COUNT = 3;
/** A picture that waits for longer is hardly fresh; it is as late as one that the extractor no longer shows to a detector. */
const MOST_WAIT_MS: Milliseconds = 250;
/** With less idle time than this one camera at a time is raised; and who is late is so for want of it. */
const BUSY_CPU = 0.95;
/** Of what got through under overload, so that no queue stands. */
const USED_SHARE = 0.9;
const FIRST_RAISE = 0.125;
const LEAST_HOLD_MS: Milliseconds = 10_000;
const MOST_HOLD_MS: Milliseconds = 60_000;
/** An overload this soon after a raise is that raise's doing. */
const TRIAL_MS: Milliseconds = 30_000;

export const UNLIMITED: Capacity = { perSecond: Infinity, overload: null, cause: 'worker_busy', holdUntil: -Infinity, holdMs: LEAST_HOLD_MS, raised: 0, raisedAt: -Infinity };

const shareOf = (part: number, whole: number): number => (part < LEAST_COUNT ? 0 : part / whole);

const overloadOf = ({ delivered, waited, lost, units, late, waitMs, cpu }: Omit<Measured, 'work'>): OverloadCause | null => {
  if (shareOf(lost, lost + delivered) > LOST_SHARE && waited >= WAITED_SHARE * delivered) return 'worker_busy';
  if (delivered >= LEAST_COUNT && waitMs > MOST_WAIT_MS) return 'queue_wait';
  if (shareOf(late, units) > LATE_SHARE) return cpu > BUSY_CPU ? 'cpu_busy' : 'extractor_busy';
  return null;
};

/** It is about to be found out anew: what pictures cost may be, too, as nothing that was found out before counts. */
export const isFoundAnew = (before: Capacity, measured: Omit<Measured, 'work'>): boolean => before.perSecond === Infinity || (measured.delivered > 0 && overloadOf(measured) !== null);

/**
 * What the capacity is taken for after another stretch. Under overload it is what got through, less some room. Without one it is raised,
 * carefully at first and then faster and faster (with a busy machine always carefully), as soon as all cameras run at what `allocation` gives them (`settled`).
 */
export const measure = (before: Capacity, measured: Measured, allocation: Allocation, settled: boolean, now: Milliseconds): Capacity => {
  if (allocation.levels.size === 0) return UNLIMITED; // what was found out was of other cameras
  const overload = overloadOf(measured);
  if (overload !== null) return overloaded(before, overload, measured, now);
  const { raised, holdUntil } = before;
  const { delivered, work, seconds } = measured;
  const perSecond = Math.max(before.perSecond, work / seconds); // so much got through without an overload
  // Where nothing gets through there is nothing to go by: the workers are gone, or hang.
  if (perSecond === Infinity || !settled || now < holdUntil || delivered === 0) return { ...before, overload, perSecond };
  const share = measured.cpu > BUSY_CPU ? 0 : Math.min(1, FIRST_RAISE * 2 ** raised);
  const more = allocation.next === null ? Infinity : Math.max(allocation.next, perSecond * (1 + share));
  return { ...before, overload, perSecond: more, raised: raised + 1, raisedAt: now };
};

const overloaded = (before: Capacity, overload: OverloadCause, { delivered, work, lost, seconds }: Measured, now: Milliseconds): Capacity => {
  // A worker that answers nothing hangs: what it manages is not known, and no rate is low enough for it.
  if (overload === 'worker_busy' && delivered === 0) return { ...before, overload, cause: overload };
  // A moment's stall is no overload: what follows tells, unless there is no doubt.
  const doubtful = before.perSecond === Infinity && before.overload === null && shareOf(lost, lost + delivered) <= HEAVY_SHARE;
  if (doubtful) return { ...before, overload, cause: overload };
  const begins = before.raised > 0 || before.perSecond === Infinity;
  const holdMs = !begins ? before.holdMs : now - before.raisedAt < TRIAL_MS ? Math.min(MOST_HOLD_MS, before.holdMs * 2) : LEAST_HOLD_MS;
  return { perSecond: (USED_SHARE * work) / seconds, overload, cause: overload, holdUntil: now + holdMs, holdMs, raised: 0, raisedAt: before.raisedAt };
};
