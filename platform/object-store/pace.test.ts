import { expect, test } from 'vitest';
import fc from 'fast-check';
import { FakeClock } from '../../core/testing-clock.ts';
import { Pace } from './pace.ts';

const NEVER = new AbortController().signal;

test('[REC-8] whatever is asked for by however many, no more goes than the rate allows, and all of it goes', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 50 }), async (pieces) => {
    const clock = new FakeClock();
    const pace = new Pace(clock, 8_000_000); // 1,000 bytes a millisecond
    let sent = 0;
    const all = Promise.all(pieces.map(async (bytes) => { await pace.take(bytes, NEVER); sent += bytes; }));
    const total = pieces.reduce((sum, bytes) => sum + bytes, 0);
    const largest = Math.max(...pieces);
    for (let now = 0; now < total / 1_000 + 1_000; now += 50) {
      await Promise.resolve();
      await Promise.resolve();
      await Promise.resolve();
      expect(sent).toBeLessThanOrEqual(1_000 * (now + 250) + largest);
      clock.advance(50);
    }
    await all;
    expect(sent).toBe(total);
  }));
});

test('who is told to stop waits no longer', async () => {
  const pace = new Pace(new FakeClock(), 64_000);
  await pace.take(1_000_000, NEVER);
  const stop = new AbortController();
  const waiting = pace.take(1, stop.signal);
  stop.abort(new Error('stopped'));
  await expect(waiting).rejects.toThrow('stopped');
  await expect(pace.take(1, stop.signal)).rejects.toThrow('stopped');
});
