import type { Milliseconds } from './units.ts';

/** Time, injected so that tests own it. The only file that may call `Date.now`, `performance.now` and `setTimeout`. */
export interface Clock {
  /** Wall time, Unix epoch, milliseconds. Steps when the host's clock is set. */
  now(): Milliseconds;
  /** Milliseconds since an arbitrary start; never steps. For durations and deadlines. */
  monotonic(): Milliseconds;
  /** Calls back once after `delay`; disposing cancels. Does not keep the process alive. */
  after(delay: Milliseconds, callback: () => void): Disposable;
  /** Calls back every `period`; disposing cancels. Does not keep the process alive. */
  every(period: Milliseconds, callback: () => void): Disposable;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delay, callback) => {
    const timer = setTimeout(callback, delay);
    timer.unref();
    return { [Symbol.dispose]: () => { clearTimeout(timer); } };
  },
  every: (period, callback) => {
    const timer = setInterval(callback, period);
    timer.unref();
    return { [Symbol.dispose]: () => { clearInterval(timer); } };
  },
};

/** Resolves after `delay`; rejects with the signal's reason when aborted. Keeps the process alive. */
export const sleep = (delay: Milliseconds, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) { reject(signal.reason as Error); return; }
    const onAbort = (): void => { clearTimeout(timer); reject(signal?.reason as Error); };
    const timer = setTimeout(() => { signal?.removeEventListener('abort', onAbort); resolve(); }, delay);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
