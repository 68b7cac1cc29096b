/** Runs of models, by model and the number of pictures they had. */
export class RunCounts {
  readonly #models = new Map<string, Map<number, number>>();

  note(model: string, pictures: number): void {
    let runs = this.#models.get(model);
    if (!runs) this.#models.set(model, (runs = new Map<number, number>()));
    runs.set(pictures, (runs.get(pictures) ?? 0) + 1);
  }

  /** Models that are there no more are forgotten. */
  keep(isThere: (model: string) => boolean): void {
    for (const model of this.#models.keys()) if (!isThere(model)) this.#models.delete(model);
  }

  get all(): readonly { readonly model: string; readonly pictures: number; readonly runs: bigint }[] {
    return [...this.#models].flatMap(([model, runs]) => [...runs].map(([pictures, count]) => ({ model, pictures, runs: BigInt(count) })));
  }
}
