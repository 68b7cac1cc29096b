import { expect, test } from 'vitest';
import { SlowLane } from './slow-lane.ts';

test('[EXT-6] one at a time, in order, and a failure is its own only', async () => {
  const lane = new SlowLane();
  const log: string[] = [];
  const gates = [0, 1, 2].map(() => Promise.withResolvers<undefined>());
  const results = gates.map((gate, i) => lane.run(async () => {
    log.push(`begin ${String(i)}`);
    await gate.promise;
    log.push(`end ${String(i)}`);
    if (i === 1) throw new Error('a fault');
    return i;
  }));
  gates[2]!.resolve(undefined);
  gates[0]!.resolve(undefined);
  expect(await results[0]).toBe(0);
  expect(log.slice(0, 2)).toEqual(['begin 0', 'end 0']);
  expect(log).not.toContain('begin 2');
  gates[1]!.resolve(undefined);
  await expect(results[1]).rejects.toThrow('a fault');
  expect(await results[2]).toBe(2);
  expect(log).toEqual(['begin 0', 'end 0', 'begin 1', 'end 1', 'begin 2', 'end 2']);
});
