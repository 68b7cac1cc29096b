import type { Milliseconds } from '../../core/units.ts';
import type { InferenceTimings } from '../../inference/port.ts';
import type { SkipReason } from '../port.ts';
import type { Measured } from './capacity.ts';
import type { ModelChain } from './picture-costs.ts';

/** Pictures that were offered to the workers in vain. A worker that is gone, or that refuses a model, is not overloaded. */
const LOST: readonly SkipReason[] = ['superseded', 'no_credit', 'deadline'];
/** Sooner than this a picture was sent as it came. */
const WAITED_MS: Milliseconds = 2;
const TICKS = 3;

/** Pictures that were looked at by one model for one kind of detector. */
export interface SeenBy {
  readonly chain: ModelChain;
  readonly pictures: number;
}

/** What was measured; what the pictures have cost is for others to say. */
export interface Stretch {
  readonly measured: Omit<Measured, 'work'>;
  readonly seen: readonly SeenBy[];
}

/** Adds up what becomes of the pictures of all cameras, second by second, until there is enough to judge by. */
export class QosWindow {
  #seen = new Map<string, SeenBy>();
  #delivered = 0;
  #waited = 0;
  #lost = 0;
  #units = 0;
  #late = 0;
  #waitMs = 0;
  #cpu = 0;
  #seconds = 0;
  #ticks = 0;
  #settling = false;

  onResult({ queueMs, waitMs }: Pick<InferenceTimings, 'queueMs' | 'waitMs'>, chain: ModelChain): void {
    this.#delivered++;
    if (queueMs > WAITED_MS) this.#waited++;
    this.#waitMs += queueMs + waitMs;
    const key = chain.join('\n');
    this.#seen.set(key, { chain, pictures: (this.#seen.get(key)?.pictures ?? 0) + 1 });
  }

  onSkip(reason: SkipReason, count: number): void {
    if (LOST.includes(reason)) this.#lost += count;
  }

  /** An access unit for detectors has come to the extractor, or has been left out on its way; `late`: so late that no detector is shown it. */
  onUnit(late: boolean): void {
    this.#units++;
    if (late) this.#late++;
  }

  /** Steps were changed: what the second to come tells is of before. */
  settle(): void {
    this.#settling = true;
  }

  /** Another second has passed, in which this share of the machine's cores was busy. Null: it is too early to say anything. */
  tick(cpu: number): Stretch | null {
    this.#ticks++;
    this.#seconds++;
    this.#cpu += cpu;
    if (this.#settling) {
      this.#settling = false;
      this.#forget();
      return null;
    }
    if (this.#ticks < TICKS) return null;
    const stretch: Stretch = {
      measured: {
        seconds: this.#seconds, delivered: this.#delivered, waited: this.#waited, lost: this.#lost, units: this.#units, late: this.#late,
        waitMs: this.#delivered === 0 ? 0 : this.#waitMs / this.#delivered, cpu: this.#cpu / this.#seconds,
      },
      seen: [...this.#seen.values()],
    };
    this.#ticks = 0;
    this.#forget();
    return stretch;
  }

  #forget(): void {
    this.#seen = new Map();
    this.#delivered = this.#waited = this.#lost = this.#units = this.#late = this.#waitMs = this.#cpu = this.#seconds = 0;
  }
}
