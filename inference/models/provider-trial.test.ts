import { expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import type { OutputValues } from '../layouts/layout.ts';
import { compareRuns } from './provider-trial.ts';

const BYTES = 3 * 32 * 32;
const mean = (pixels: Uint8Array): number => pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
type Model = (pixels: Uint8Array) => readonly number[];
/** A box in pixels, and scores of things that are not there. */
const HONEST: Model = (pixels) => [mean(pixels), 100, mean(pixels) / 1e4, 0.002];

const compare = async (own: Model, cpu: Model = HONEST, ownMs = 2, cpuMs = 10): Promise<Awaited<ReturnType<typeof compareRuns>> & { readonly pictures: number }> => {
  const clock = new FakeClock();
  const seen = new Set<string>();
  const runOf = (model: Model, ms: number) => (pictures: readonly Uint8Array[]): Promise<readonly (readonly OutputValues[])[]> => {
    for (const pixels of pictures) seen.add(Buffer.from(pixels).toString('base64'));
    clock.advance(ms);
    return Promise.resolve().then(() => pictures.map((pixels) => {
      const values = model(pixels);
      return [{ dims: [1, 2], values: Float32Array.from(values.slice(0, 2)) }, { dims: [1, values.length - 2], values: Float32Array.from(values.slice(2)) }];
    }));
  };
  return { ...await compareRuns({ cpu: runOf(cpu, cpuMs), own: runOf(own, ownMs), bytes: BYTES, clock }), pictures: seen.size };
};

test('[INF-2] a provider is measured beside the CPU on several pictures that are not black', async () => {
  expect(await compare(HONEST)).toEqual({ cpu: { median: 10, least: 10 }, own: { median: 2, least: 2 }, pictures: 3 });
  expect((await compare((pixels) => HONEST(pixels).map((value) => value * 1.004))).own.median).toBe(2); // the last digits
});

test.each<[string, Model]>([
  ['zeros', () => [0, 0, 0, 0]],
  ['the right boxes and zeros for scores', (pixels) => [...HONEST(pixels).slice(0, 2), 0, 0]],
  ['the same for every picture', () => [64, 100, 0.0064, 0.002]],
  ['what is no number', () => [Number.NaN, 100, 0.0064, 0.002]],
  ['fewer values', (pixels) => HONEST(pixels).slice(0, 3)],
  ['what is a tenth off', (pixels) => HONEST(pixels).map((value) => value * 1.1)],
])('[INF-2] a provider that gives %s is refused', async (_what, own) => {
  await expect(compare(own)).rejects.toThrow('it does not give what the CPU gives');
});

/** Boxes in pixels and scores in one output, as YOLO's: channel by channel, or box by box. */
test.each([['channel by channel', true], ['box by box', false]])('[INF-2] zeros for scores are seen in one output with boxes, %s', async (_how, byChannel) => {
  const boxes = 200;
  const clock = new FakeClock();
  const run = (score: (box: number) => number) => (pictures: readonly Uint8Array[]): Promise<readonly (readonly OutputValues[])[]> => {
    clock.advance(1);
    const value = (channel: number, box: number, pixels: Uint8Array): number => (channel < 4 ? mean(pixels) + box : score(box));
    return Promise.resolve(pictures.map((pixels) => {
      const values = Float32Array.from({ length: 5 * boxes }, (_, i) => (byChannel ? value(Math.floor(i / boxes), i % boxes, pixels) : value(i % 5, Math.floor(i / 5), pixels)));
      return [{ dims: byChannel ? [1, 5, boxes] : [1, boxes, 5], values }];
    }));
  };
  const honest = run((box) => (box + 1) / 1e5);
  await expect(compareRuns({ cpu: honest, own: run((box) => ((box + 1) / 1e5) * 1.002), bytes: BYTES, clock })).resolves.toBeDefined();
  await expect(compareRuns({ cpu: honest, own: run(() => 0), bytes: BYTES, clock })).rejects.toThrow('it does not give what the CPU gives');
});

test('[INF-2] a provider that fails, cannot be compared or takes for ever is refused with the reason', async () => {
  await expect(compare(() => { throw new Error('out of memory'); })).rejects.toThrow('out of memory');
  await expect(compare(() => [], () => [])).rejects.toThrow('cannot be compared');
  await expect(compare(HONEST, HONEST, 9000, 9000)).rejects.toThrow('too long');
});
