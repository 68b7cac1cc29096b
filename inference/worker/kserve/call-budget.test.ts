import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../../../core/errors.ts';
import { CallBudget } from './call-budget.ts';
import type { CallShare } from './call-budget.ts';

test('[INF-4] calls and bytes never exceed what is held, but one request may alone; all of it comes back', () => {
  const step = fc.oneof(fc.record({ do: fc.constant('enter' as const) }), fc.record({ do: fc.constant('hold' as const), at: fc.nat(5), bytes: fc.nat(150) }), fc.record({ do: fc.constant('leave' as const), at: fc.nat(5) }));
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const budget = new CallBudget({ maxCalls: 3, maxBytes: 100 });
    const shares: { readonly share: CallShare; bytes: number }[] = [];
    const total = (): number => shares.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const each of steps) {
      try {
        if (each.do === 'enter') {
          shares.push({ share: budget.enter(), bytes: 0 });
          continue;
        }
        const found = shares[each.at];
        if (!found) continue;
        if (each.do === 'leave') {
          found.share[Symbol.dispose]();
          found.share[Symbol.dispose]();
          found.share.hold(1000);
          shares.splice(each.at, 1);
        } else {
          const before = total();
          found.share.hold(each.bytes);
          found.bytes += each.bytes;
          expect(before === 0 || total() <= 100).toBe(true);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(MediaError);
        expect(error).toMatchObject({ code: 'RESOURCE_EXHAUSTED', retryAfterSeconds: 1 });
        expect(each.do === 'enter' ? shares.length === 3 : each.do === 'hold' && total() > 0 && total() + each.bytes > 100).toBe(true);
      }
      expect(shares.length).toBeLessThanOrEqual(3);
      expect(budget.calls).toBe(shares.length);
    }
    for (const { share } of shares) share[Symbol.dispose]();
    using whole = budget.enter();
    whole.hold(500);
  }));
});
