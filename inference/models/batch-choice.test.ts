import { expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import type { OutputValues } from '../layouts/layout.ts';
import type { BatchChoice } from '../port.ts';
import { chooseBatch, decideBatch, sizesUpTo } from './batch-choice.ts';

const BYTES = 3 * 8 * 8;
const mean = (pixels: Uint8Array): number => pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
const seen = (...values: readonly number[]): readonly OutputValues[] => [{ dims: [1, values.length], values: Float32Array.from(values) }];
/** What each picture gets alone. */
const honest = (pictures: readonly Uint8Array[]): readonly (readonly OutputValues[])[] => pictures.map((pixels) => seen(mean(pixels), 0.5));

interface Machine {
  /** How long a run of so many pictures takes. */
  readonly ms: (pictures: number) => number;
  readonly answer?: (pictures: readonly Uint8Array[]) => readonly (readonly OutputValues[])[];
  readonly most?: number;
  readonly bytes?: number;
  readonly deadlineMs?: number;
}
const choose = async ({ ms, answer = honest, most = 8, bytes = BYTES, deadlineMs = 1000 }: Machine): Promise<BatchChoice & { readonly sizes: readonly number[]; readonly tookMs: number }> => {
  const clock = new FakeClock();
  const sizes = new Set<number>();
  const run = (pictures: readonly Uint8Array[]): Promise<readonly (readonly OutputValues[])[]> => {
    sizes.add(pictures.length);
    clock.advance(ms(pictures.length));
    return Promise.resolve().then(() => answer(pictures));
  };
  return { ...await chooseBatch({ run, bytes, most, deadlineMs, clock }), sizes: [...sizes], tookMs: clock.monotonic() };
};

test.each<[string, Machine, number, string]>([
  ['a run that costs the same however many there are', { ms: () => 10 }, 8, '1: 10.0, 2: 5.00, 4: 2.50, 8: 1.25'],
  ['pictures that cost the same in any company', { ms: (n) => 10 * n }, 1, '1: 10.0, 2: 10.0'],
  ['a share that falls by less than a tenth', { ms: (n) => 9.2 * n + 0.8 }, 1, '1: 10.0, 2: 9.60'],
  ['a share that stops falling', { ms: (n) => (n <= 4 ? 4 + 2 * n : 10 * n) }, 4, '1: 6.00, 2: 4.00, 4: 3.00, 8: 10.0'],
  ['a most that is no power of two', { ms: () => 10, most: 6 }, 6, '4: 2.50, 6: 1.67'],
  ['a run that would be too long for live pictures', { ms: (n) => 80 + 20 * n }, 8, '8: 30.0'],
  ['one that is', { ms: (n) => 100 + 20 * n }, 4, 'a run of 8 takes longer than 250 ms, a quarter of inference.deadline_ms'],
  ['a picture that is slow alone', { ms: (n) => 250 + n }, 1, 'a picture alone takes longer than 250 ms'],
  ['switched off', { ms: () => 10, most: 1 }, 1, 'switched off by batch_max'],
  ['pictures too large for two', { ms: () => 10, bytes: 3 * 2000 * 2000 }, 1, 'two pictures are too large for one run'],
])('[INF-5] %s', async (_what, machine, pictures, why) => {
  const choice = await choose(machine);
  expect(choice.pictures).toBe(pictures);
  expect(choice.why).toContain(why);
});

test('[INF-5] a model of seconds a picture is not measured for a minute', async () => {
  const { pictures, why, tookMs } = await choose({ ms: (n) => 2000 * n, deadlineMs: 20_000 });
  expect([pictures, why]).toEqual([1, expect.stringContaining('measuring 2 at a time took too long')]);
  expect(tookMs).toBeLessThan(35_000);
});

test('[INF-5] pictures that get together what they do not get alone run one by one', async () => {
  const mixed = (pictures: readonly Uint8Array[]): readonly (readonly OutputValues[])[] => pictures.map(() => seen(pictures.reduce((sum, each) => sum + mean(each), 0)));
  const swapped = (pictures: readonly Uint8Array[]): readonly (readonly OutputValues[])[] => honest(pictures).toReversed();
  const fewer = (pictures: readonly Uint8Array[]): readonly (readonly OutputValues[])[] => pictures.map((each) => seen(...new Array<number>(pictures.length).fill(mean(each))));
  const lacking = (pictures: readonly Uint8Array[]): readonly (readonly OutputValues[])[] => honest(pictures).slice(0, 1);
  for (const answer of [mixed, swapped, fewer, lacking]) {
    const { pictures, why } = await choose({ ms: () => 10, answer });
    expect([pictures, why]).toEqual([1, 'two pictures together do not get what each gets alone']);
  }
});

test('[INF-5] what only another order of adding changes is the same, also where two boxes have changed places', async () => {
  const value = (i: number, pixels: Uint8Array): number => 100 + mean(pixels) + 3 * i;
  const rounded = (pictures: readonly Uint8Array[]): readonly (readonly OutputValues[])[] => pictures.map((each) => {
    const values = Array.from({ length: 1000 }, (_, i) => value(i, each) * (pictures.length > 1 ? 1.0005 : 1));
    if (pictures.length > 1) [values[10], values[500]] = [values[500]!, values[10]!];
    return seen(...values, Number.NaN, Infinity);
  });
  expect((await choose({ ms: () => 10, answer: rounded })).pictures).toBe(8);
});

test('[INF-5] a model that fails with so many at a time is asked for fewer, with the reason; nothing is thrown', async () => {
  const upTo = (limit: number) => (pictures: readonly Uint8Array[]): readonly (readonly OutputValues[])[] => {
    if (pictures.length > limit) throw new Error(`batch-size must be <= ${limit}`);
    return honest(pictures);
  };
  expect(await choose({ ms: () => 10, answer: upTo(4), most: 16 })).toMatchObject({ pictures: 4, why: expect.stringMatching(/4: 2\.50; 8 at a time: batch-size must be <= 4$/) as string, sizes: [1, 2, 4, 8] });
  expect(await choose({ ms: () => 10, answer: upTo(1) })).toMatchObject({ pictures: 1, why: 'two pictures together fail: batch-size must be <= 1' });
  expect(await choose({ ms: () => 10, answer: upTo(0) })).toMatchObject({ pictures: 1, why: 'two pictures together fail: batch-size must be <= 0' });
});

test('[INF-5] what only some runs gain or lose by other work on the machine does not count', async () => {
  let run = 0;
  const busyForSingles = (n: number): number => 10 * n + (n === 1 && ++run % 7 !== 0 ? 20 : 0);
  expect((await choose({ ms: busyForSingles })).pictures).toBe(1);
  run = 0;
  const quickOnce = (n: number): number => (n === 2 && ++run === 4 ? 10 : 10 * n);
  expect((await choose({ ms: quickOnce })).pictures).toBe(1);
});

test('[INF-5] a slow model does not keep the worker measuring', async () => {
  const { pictures, why, tookMs } = await choose({ ms: () => 200, most: 32 });
  expect([pictures, why]).toEqual([4, expect.stringMatching(/; more were not tried$/)]); // a size is fifteen runs
  expect(tookMs).toBeLessThan(8000);
});

test('[INF-5] the number of pictures is the input\'s own, or what was measured, and never more than is allowed', () => {
  const measured = { pictures: 8, why: 'measured' };
  expect(decideBatch({ fixed: 1, most: 8, measured }).pictures).toBe(1);
  expect(decideBatch({ fixed: 4, most: 8, measured: undefined })).toEqual({ pictures: 4, why: 'its input is 4 pictures' });
  expect(decideBatch({ fixed: 4, most: 1, measured: undefined })).toEqual({ pictures: 1, why: 'switched off by batch_max' });
  expect(decideBatch({ fixed: null, most: 8, measured })).toEqual(measured);
  expect(decideBatch({ fixed: null, most: 2, measured })).toEqual({ pictures: 2, why: 'measured' });
  expect(decideBatch({ fixed: null, most: 8, measured: undefined }).pictures).toBe(1);
  expect(sizesUpTo(12)).toEqual([1, 2, 4, 8, 12]);
});
