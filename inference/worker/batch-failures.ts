import type { LoadedModel } from '../models/loaded-model.ts';

/** So many runs in a row that failed although each of their pictures alone did not. */
const MANY = 3;

/** Which models fail with several pictures at once: what they did when they were measured may hold no more, or not for other servers. */
export class BatchFailures {
  readonly #inARow = new WeakMap<LoadedModel, number>();

  /** A run with several pictures failed; `onePictureDid`: so did a picture of it alone. True when these have just become many. */
  note(model: LoadedModel, onePictureDid: boolean): boolean {
    if (onePictureDid) return false;
    const failures = (this.#inARow.get(model) ?? 0) + 1;
    this.#inARow.set(model, failures);
    return failures === MANY;
  }

  /** One did not fail. */
  forget(model: LoadedModel): void {
    this.#inARow.delete(model);
  }

  areMany(model: LoadedModel): boolean {
    return (this.#inARow.get(model) ?? 0) >= MANY;
  }
}
