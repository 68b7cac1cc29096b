import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DecodePlaces } from './decode-places.ts';

test('[INF-7] so many pictures are decoded at a time, large ones take the place of several, and all get their turn in order', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 }), fc.infiniteStream(fc.nat()), async (sizes, choices) => {
    const places = new DecodePlaces(4, 10);
    const entered: number[] = [];
    const inside = new Map<number, Disposable>();
    for (const [i, pixels] of sizes.entries()) void places.take(pixels).then((place) => { entered.push(i); inside.set(i, place); });
    while (entered.length < sizes.length || inside.size > 0) {
      await new Promise((resolve) => { setImmediate(resolve); });
      const taken = [...inside.keys()].reduce((sum, i) => sum + Math.min(4, Math.ceil((sizes[i] ?? 0) / 10)), 0);
      expect(taken).toBeLessThanOrEqual(4);
      expect(inside.size).toBeGreaterThan(0); // nobody waits for nothing
      const leaving = [...inside.keys()][choices.next().value % inside.size] ?? -1;
      inside.get(leaving)?.[Symbol.dispose]();
      inside.get(leaving)?.[Symbol.dispose](); // once is enough
      inside.delete(leaving);
    }
    expect(entered).toEqual(sizes.map((_, i) => i));
  }), { numRuns: 100 });
});
