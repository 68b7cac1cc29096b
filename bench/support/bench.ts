export interface Figure {
  readonly figure: string;
  readonly value: number | string;
  readonly unit: string;
  /** What the project asks for, in words. */
  readonly target?: string;
  readonly met?: boolean;
}

export interface Bench {
  readonly what: string;
  run(): Promise<readonly Figure[]>;
}

/** The value below which a share `q` (0..1) of `values` lies. NaN for none. */
export const quantile = (values: readonly number[], q: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
};

/** Rounded to `digits` decimals, for results people read. */
export const round = (value: number, digits = 2): number => Number(value.toFixed(digits));
