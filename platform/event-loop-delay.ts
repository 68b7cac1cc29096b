import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Gauge } from 'prom-client';
import type { Clock } from '../core/clock.ts';
import type { Milliseconds } from '../core/units.ts';

/** Sets `gauge` to the 99th percentile of the event loop's delay, seconds, over each `period`. */
export const watchEventLoopDelay = (gauge: Gauge<'process'>, role: string, clock: Clock, period: Milliseconds = 5000): Disposable => {
  const resolutionMs = 10;
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  const timer = clock.every(period, () => {
    // The histogram holds the timer's whole interval, not what it was late by. Nanoseconds.
    gauge.set({ process: role }, Math.max(0, histogram.percentile(99) / 1e9 - resolutionMs / 1000));
    histogram.reset();
  });
  return {
    [Symbol.dispose]: () => {
      timer[Symbol.dispose]();
      histogram.disable();
    },
  };
};
