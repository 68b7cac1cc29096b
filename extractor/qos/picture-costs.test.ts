import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PictureCosts } from './picture-costs.ts';

/** Results of a model, and that they count. */
const hear = (costs: PictureCosts, model: string, ms: number, pictures = 100): void => {
  for (let i = 0; i < pictures; i++) costs.onResult(model, ms);
  costs.settle();
};

test('[EXT-3] a lighter model costs what it was measured to take; one that was not, seven tenths of the one before', () => {
  const costs = new PictureCosts();
  expect(costs.along(['own', 'a', 'b'])).toEqual([1, 0.7, expect.closeTo(0.49)]);
  hear(costs, 'own', 20);
  hear(costs, 'a', 8);
  expect(costs.along(['own', 'a', 'b'])).toEqual([1, expect.closeTo(0.4), expect.closeTo(0.28)]);
  hear(costs, 'b', 4);
  expect(costs.along(['own', 'a', 'b'])).toEqual([1, expect.closeTo(0.4), expect.closeTo(0.2)]);
  expect(costs.along(['a', 'b'])).toEqual([1, expect.closeTo(0.5)]);
  expect(costs.along(['own'])).toEqual([1]);
});

test('[EXT-3] one that takes longer than the one before costs as much; a few pictures say nothing, and what was learned counts from when it is settled', () => {
  const costs = new PictureCosts();
  hear(costs, 'own', 20);
  hear(costs, 'slow', 200);
  expect(costs.along(['own', 'slow', 'unknown'])).toEqual([1, 1, 0.7]);
  hear(costs, 'rare', 1, 19);
  expect(costs.along(['own', 'rare'])).toEqual([1, 0.7]);
  costs.onResult('rare', 1);
  expect(costs.along(['own', 'rare'])).toEqual([1, 0.7]);
  costs.settle();
  expect(costs.along(['own', 'rare'])).toEqual([1, 0.1]);
});

test('[EXT-3] whatever is measured, costs are between a tenth and one, and none is above the one before', () => {
  const model = fc.constantFrom('own', 'a', 'b', 'c');
  fc.assert(fc.property(fc.array(fc.record({ model, ms: fc.double({ min: 0, max: 1e6, noNaN: true }), pictures: fc.integer({ min: 1, max: 60 }) }), { maxLength: 10 }), (all) => {
    const costs = new PictureCosts();
    for (const { model: name, ms, pictures } of all) hear(costs, name, ms, pictures);
    const along = costs.along(['own', 'a', 'b', 'c']);
    expect(along[0]).toBe(1);
    for (const [i, cost] of along.entries()) {
      expect(cost).toBeGreaterThanOrEqual(0.1);
      expect(cost).toBeLessThanOrEqual(along[i - 1] ?? 1);
    }
  }));
});

test('[EXT-3] models that are long gone are forgotten', () => {
  const costs = new PictureCosts();
  hear(costs, 'old', 10);
  hear(costs, 'own', 20);
  expect(costs.along(['own', 'old'])).toEqual([1, expect.closeTo(0.5)]);
  for (let i = 0; i < 255; i++) hear(costs, `model ${i}`, 5, 1);
  expect(costs.along(['own', 'old'])).toEqual([1, 0.7]);
});
