import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isExpired, nextBatch } from './batching.ts';
import type { BatchLimits, WaitingPicture } from './batching.ts';

interface Picture extends WaitingPicture { readonly id: number; readonly camera: string }

const MODELS = ['a', 'b', 'c'];
const limits = fc.record({ most: fc.integer({ min: 1, max: 8 }), delayMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 50 })) });
const limitsByModel = fc.tuple(limits, limits, limits).map((each) => (model: string): BatchLimits => each[MODELS.indexOf(model)]!);
const pictures = fc.array(fc.record({ model: fc.constantFrom(...MODELS), camera: fc.constantFrom('x', 'y', 'z'), after: fc.nat(20), deadlineMs: fc.nat(200) }), { maxLength: 40 })
  .map((drawn) => drawn.reduce<Picture[]>((all, { model, camera, after, deadlineMs }, id) => [...all, { id, model, camera, deadlineMs, receivedAt: (all.at(-1)?.receivedAt ?? 0) + after }], []));

test('[INF-5] a batch is of one model, as large as it may be, its oldest pictures in their order; none of it is too late', () => {
  fc.assert(fc.property(pictures, limitsByModel, fc.nat(900), (drawn, limitsOf, now) => {
    const queue = drawn.filter(({ receivedAt }) => receivedAt <= now);
    const { expired, batch, dueAt } = nextBatch(queue, now, limitsOf);
    expect(expired).toEqual(queue.filter((picture) => isExpired(picture, now)));
    const [first] = batch;
    if (first) expect(batch).toEqual(queue.filter((picture) => picture.model === first.model && !isExpired(picture, now)).slice(0, limitsOf(first.model).most));
    else if (dueAt === null) expect(queue).toEqual(expired);
    else expect(dueAt).toBeGreaterThan(now);
  }), { numRuns: 1000 });
});

/** Works a queue off as the worker does: a run takes `runMs`, and while nothing is due it sleeps until something is, or comes. */
const work = (drawn: readonly Picture[], limitsOf: (model: string) => BatchLimits, runMs: number) => {
  const runs: { readonly at: number; readonly batch: readonly Picture[] }[] = [];
  const expired: Picture[] = [];
  let [now, queue, come] = [0, [] as readonly Picture[], 0];
  for (;;) {
    while (drawn[come] && drawn[come]!.receivedAt <= now) queue = [...queue, drawn[come++]!];
    const next = nextBatch(queue, now, limitsOf);
    expired.push(...next.expired);
    queue = queue.filter((picture) => !next.expired.includes(picture) && !next.batch.includes(picture));
    if (next.batch.length > 0) {
      runs.push({ at: now, batch: next.batch });
      now += runMs;
      continue;
    }
    const wake = Math.min(next.dueAt ?? Infinity, drawn[come]?.receivedAt ?? Infinity);
    if (wake === Infinity) return { runs, expired, left: queue };
    now = Math.max(now, wake);
  }
};

test('[INF-5] while nothing runs nobody waits past the delay, nor past half of its deadline; every picture is run once or too late', () => {
  fc.assert(fc.property(pictures, limitsByModel, (drawn, limitsOf) => {
    const { runs, expired, left } = work(drawn, limitsOf, 0);
    expect([expired, left]).toEqual([[], []]);
    expect(runs.flatMap(({ batch }) => batch.map(({ id }) => id)).toSorted((a, b) => a - b)).toEqual(drawn.map(({ id }) => id));
    for (const { at, batch } of runs) for (const { model, receivedAt, deadlineMs } of batch) expect(at - receivedAt).toBeLessThanOrEqual(Math.min(limitsOf(model).delayMs, deadlineMs / 2));
  }), { numRuns: 500 });
});

test('[INF-5] pictures of a camera for a model keep their order; no run is above the most, none has a picture that is too late', () => {
  fc.assert(fc.property(pictures, limitsByModel, fc.integer({ min: 1, max: 60 }), (drawn, limitsOf, runMs) => {
    const { runs, expired, left } = work(drawn, limitsOf, runMs);
    expect(left).toEqual([]);
    expect(runs.flatMap(({ batch }) => batch).length + expired.length).toBe(drawn.length);
    for (const { at, batch } of runs) {
      expect(batch.length).toBeLessThanOrEqual(limitsOf(batch[0]!.model).most);
      expect(batch.filter((picture) => isExpired(picture, at))).toEqual([]);
    }
    for (const model of MODELS) {
      for (const camera of ['x', 'y', 'z']) {
        const order = runs.flatMap(({ batch }) => batch).filter((picture) => picture.model === model && picture.camera === camera).map(({ id }) => id);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
      }
    }
  }), { numRuns: 500 });
});

test('[INF-5] without a delay a picture runs at once, with those that wait anyway', () => {
  const picture = (id: number, receivedAt: number, model = 'a'): Picture => ({ id, camera: 'x', model, receivedAt, deadlineMs: 1000 });
  const most = (count: number) => (): BatchLimits => ({ most: count, delayMs: 0 });
  expect(nextBatch([picture(1, 10)], 10, most(4))).toEqual({ expired: [], batch: [picture(1, 10)], dueAt: null });
  const waiting = [picture(1, 10), picture(2, 11, 'b'), picture(3, 12)];
  expect(nextBatch(waiting, 20, most(4)).batch.map(({ id }) => id)).toEqual([1, 3]);
  expect(nextBatch(waiting, 20, most(1)).batch.map(({ id }) => id)).toEqual([1]);
});
