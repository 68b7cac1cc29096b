/** The quantiles of the last `size` numbers. */
export class Percentile {
  readonly #size: number;
  #values: number[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  add(value: number): void {
    this.#values.push(value);
    if (this.#values.length > this.#size) this.#values.shift();
  }

  /** The value that a share of `quantile` (0..1) does not exceed; null before any came. */
  value(quantile: number): number | null {
    if (this.#values.length === 0) return null;
    const sorted = [...this.#values].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(quantile * sorted.length))] ?? null;
  }
}
