import { MediaError } from '../../../core/errors.ts';

export interface CallBudgetOptions {
  readonly maxCalls: number;
  readonly maxBytes: number;
}

/** One call's share; disposing gives it back, more than once does nothing. */
export interface CallShare extends Disposable {
  /** The request has come. Throws RESOURCE_EXHAUSTED when the requests of all calls together are more than is held; one alone always may. */
  hold(bytes: number): void;
}

const full = (why: string): MediaError => new MediaError('RESOURCE_EXHAUSTED', why, { reason: 'TOO_MANY_CALLS', retryAfterSeconds: 1 });

/** Bounds what calls hold, in number and bytes: each from before its request is read until its answer has left. */
export class CallBudget {
  readonly #options: CallBudgetOptions;
  #calls = 0;
  #bytes = 0;

  constructor(options: CallBudgetOptions) {
    this.#options = options;
  }

  get calls(): number { return this.#calls; }

  /** Throws RESOURCE_EXHAUSTED when there are as many calls as may be. */
  enter(): CallShare {
    const { maxCalls, maxBytes } = this.#options;
    if (this.#calls >= maxCalls) throw full(`the worker has ${maxCalls} KServe calls, as many as it takes (worker.kserve_calls)`);
    this.#calls++;
    let [held, left] = [0, false];
    return {
      hold: (bytes) => {
        if (left) return;
        if (this.#bytes > 0 && this.#bytes + bytes > maxBytes) throw full(`the requests that the worker has and this one of ${bytes} bytes are more than ${maxBytes} bytes (worker.kserve_bytes)`);
        this.#bytes += bytes;
        held += bytes;
      },
      [Symbol.dispose]: () => {
        if (left) return;
        left = true;
        this.#calls--;
        this.#bytes -= held;
      },
    };
  }
}
