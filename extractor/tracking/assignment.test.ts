import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UNASSIGNED, assign } from './assignment.ts';

const matrix = (costs: readonly (readonly number[])[], columns: number) => ({ rows: costs.length, columns, costs: Float64Array.from(costs.flat()) });

/** The least sum of any assignment in which every row has a column of its own. */
const least = (costs: readonly (readonly number[])[], taken: readonly number[] = []): number => {
  const [row, ...rest] = costs;
  if (!row) return 0;
  return Math.min(...row.flatMap((cost, column) => (taken.includes(column) ? [] : [cost + least(rest, [...taken, column])])));
};

const arbitraryCosts = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 2 })).chain(([rows, more]) =>
  fc.array(fc.array(fc.oneof(fc.double({ min: -10, max: 10, noNaN: true }), fc.constantFrom(0, 1, -1)), { minLength: rows + more, maxLength: rows + more }), { minLength: rows, maxLength: rows }));

test('[INF-6] the assignment is the cheapest of all, rows and columns exchanged or not', () => {
  fc.assert(fc.property(arbitraryCosts, (costs) => {
    const columns = costs[0]?.length ?? 0;
    const found = [...assign(matrix(costs, columns))];
    expect(new Set(found).size).toBe(costs.length);
    const sum = found.reduce((all, column, row) => all + (costs[row]?.[column] ?? Number.NaN), 0);
    expect(sum).toBeCloseTo(least(costs), 9);

    const turned = Array.from({ length: columns }, (_, column) => costs.map((row) => row[column] ?? 0));
    const back = [...assign(matrix(turned, costs.length))];
    expect(back.filter((row) => row !== UNASSIGNED)).toHaveLength(costs.length);
    expect(back.reduce((all, row, column) => all + (row === UNASSIGNED ? 0 : (costs[row]?.[column] ?? Number.NaN)), 0)).toBeCloseTo(least(costs), 9);
  }));
});

test('[INF-6] nothing is assigned where there is nothing', () => {
  expect([...assign(matrix([], 3))]).toEqual([]);
  expect([...assign(matrix([[], []], 0))]).toEqual([UNASSIGNED, UNASSIGNED]);
});
