import type { Milliseconds } from '../../core/units.ts';

/** A detector's own model, and behind it the lighter ones down to the one that is meant. */
export type ModelChain = readonly [own: string, ...lighter: readonly string[]];

/** Of a model not measured yet, in pictures of the one before it: more than most lighter models, so that no more is believed to be saved than is. */
const UNMEASURED = 0.7;
/** A picture is never taken for cheaper than this. */
const LEAST = 0.1;
/** Pictures before a model counts as measured, and the weight of a new one in the mean. */
const ENOUGH = 20;
const NEW = 0.05;
/** Models whose times are remembered; those not heard of for longest are forgotten. */
const MOST_MODELS = 256;

interface Measured {
  readonly ms: Milliseconds;
  readonly pictures: number;
}

/**
 * What a picture costs with a lighter model, in pictures of the detector's own: by the time the models take. What was learned counts
 * from `settle` on, so that a capacity and what is to fit into it are counted alike in between.
 */
export class PictureCosts {
  readonly #learned = new Map<string, Measured>();
  #settled: ReadonlyMap<string, Measured> = new Map();

  /** A picture took so long in the model alone. */
  onResult(model: string, ms: Milliseconds): void {
    const before = this.#learned.get(model);
    this.#learned.delete(model); // to the end
    this.#learned.set(model, before ? { ms: before.ms + (ms - before.ms) * Math.max(NEW, 1 / (before.pictures + 1)), pictures: before.pictures + 1 } : { ms, pictures: 1 });
    const [oldest] = this.#learned.keys();
    if (this.#learned.size > MOST_MODELS && oldest !== undefined) this.#learned.delete(oldest);
  }

  /** What was learned counts from now on. */
  settle(): void {
    this.#settled = new Map(this.#learned);
  }

  /** With each of the chain's models: 1, and then none more than the one before. */
  along([own, ...lighter]: ModelChain): readonly number[] {
    const whole = this.#msOf(own);
    let cost = 1;
    return [cost, ...lighter.map((model) => {
      const ms = this.#msOf(model);
      cost = whole === null || ms === null ? Math.max(LEAST, cost * UNMEASURED) : Math.min(cost, Math.max(LEAST, ms / whole));
      return cost;
    })];
  }

  #msOf(model: string): Milliseconds | null {
    const measured = this.#settled.get(model);
    return measured && measured.pictures >= ENOUGH && measured.ms > 0 ? measured.ms : null;
  }
}
