import type { Clock } from '../core/clock.ts';
import type { Milliseconds } from '../core/units.ts';

/** A signal that aborts after `ms` on our clock, or when `parent` does. Dispose it when the work is done. */
export const deadline = (clock: Clock, ms: Milliseconds, parent?: AbortSignal): { readonly signal: AbortSignal } & Disposable => {
  const controller = new AbortController();
  const timer = clock.after(ms, () => { controller.abort(new Error(`no answer within ${String(ms)} ms`)); });
  return {
    signal: parent === undefined ? controller.signal : AbortSignal.any([controller.signal, parent]),
    [Symbol.dispose]: () => { timer[Symbol.dispose](); },
  };
};
