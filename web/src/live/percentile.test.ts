import { describe, expect, test } from 'vitest';
import { Percentile } from './percentile.ts';

const of = (size: number, values: readonly number[]): Percentile => {
  const percentile = new Percentile(size);
  for (const value of values) percentile.add(value);
  return percentile;
};

describe('the quantiles of the last numbers', () => {
  test('are null before any came', () => {
    expect(new Percentile(10).value(0.5)).toBeNull();
  });

  test('are that number while there is one', () => {
    for (const quantile of [0, 0.5, 0.95, 1]) expect(of(10, [7]).value(quantile)).toBe(7);
  });

  test('go by size, not by the order of arrival, also with two digits and below zero', () => {
    const values = [100, 9, -5, 20, 3];
    expect([0, 0.2, 0.4, 0.6, 0.8, 1].map((quantile) => of(5, values).value(quantile))).toEqual([-5, 3, 9, 20, 100, 100]);
  });

  test('are those of the nearest rank among a hundred', () => {
    const hundred = of(100, Array.from({ length: 100 }, (_, i) => (i * 37) % 100));
    expect([0.5, 0.95, 0.99].map((quantile) => hundred.value(quantile))).toEqual([50, 95, 99]);
  });

  test('forget what is older than the last `size`', () => {
    const percentile = of(3, [1000, 1, 2, 3]);
    expect(percentile.value(1)).toBe(3);
    percentile.add(0);
    expect([percentile.value(0), percentile.value(1)]).toEqual([0, 3]);
  });

  test('can be asked again and again: asking changes nothing', () => {
    const percentile = of(3, [3, 1, 2]);
    expect(percentile.value(0.5)).toBe(2);
    percentile.add(9); // pushes out the 3, the oldest, and not the smallest
    expect([percentile.value(0), percentile.value(0.5), percentile.value(1)]).toEqual([1, 2, 9]);
  });
});
