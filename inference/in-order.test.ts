import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InOrder } from './in-order.ts';

test('[INF-1] however workers answer, each line is told in order, and all of it', () => {
  fc.assert(fc.property(
    fc.array(fc.record({ line: fc.constantFrom('a/d', 'a/e', 'b/d'), answered: fc.boolean(), rank: fc.double({ min: 0, max: 1, noNaN: true }) }), { maxLength: 60 }),
    (pictures) => {
      const order = new InOrder();
      const told: { line: string; n: number }[] = [];
      const turns = pictures.map(({ line, answered, rank }, n) => ({ turn: order.enter(line), line, answered, rank, n }));
      for (const { turn, line, answered, n } of turns.toSorted((a, b) => a.rank - b.rank)) {
        turn.settle(answered ? () => { told.push({ line, n }); } : undefined);
        turn.settle(() => { throw new Error('told twice'); });
      }
      for (const line of ['a/d', 'a/e', 'b/d']) {
        expect(told.filter((each) => each.line === line).map(({ n }) => n)).toEqual(turns.filter((each) => each.line === line && each.answered).map(({ n }) => n));
      }
    },
  ));
});

test('an answer waits for no other line, and one that comes to nothing is waited for no longer', () => {
  const order = new InOrder();
  const told: string[] = [];
  const first = order.enter('a');
  const second = order.enter('a');
  order.enter('b').settle(() => { told.push('b'); });
  second.settle(() => { told.push('a2'); });
  expect(told).toEqual(['b']);
  first.settle();
  expect(told).toEqual(['b', 'a2']);
});
