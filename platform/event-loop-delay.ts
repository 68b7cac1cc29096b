import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Gauge } from 'prom-client';
import type { Clock } from '../core/clock.ts';
import type { Milliseconds } from '../core/units.ts';

/**
 * How often the event loop's delay is looked at. Node's default, 10 ms, wakes an idle process a hundred times a second, for 5 ms of CPU in each:
 * as much as two recorded cameras cost.
 */
export const EVENT_LOOP_LOOK_MS: Milliseconds = 50;

/** Sets `gauge` to the 99th percentile of the event loop's delay, seconds, over each `period`. */
export const watchEventLoopDelay = (gauge: Gauge<'process'>, role: string, clock: Clock, period: Milliseconds = 5000): Disposable => {
  const histogram = monitorEventLoopDelay({ resolution: EVENT_LOOP_LOOK_MS });
  histogram.enable();
  const timer = clock.every(period, () => {
    // The histogram holds the timer's whole interval, not what it was late by. Nanoseconds.
    gauge.set({ process: role }, Math.max(0, histogram.percentile(99) / 1e9 - EVENT_LOOP_LOOK_MS / 1000));
    histogram.reset();
  });
  return {
    [Symbol.dispose]: () => {
      timer[Symbol.dispose]();
      histogram.disable();
    },
  };
};
