/**
 * Where formats that take 30 ms or more for a picture of 720p are encoded, one at a time for all cameras: many who want such pictures wait for each
 * other, and the decoders do not wait for them.
 */
export class SlowLane {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
