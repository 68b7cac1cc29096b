/** Pictures that go back with their boxes drawn in, on a real gRPC server; the detector answers when the test says so. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MAX_SENT_PICTURE_BYTES } from '../../extractor/port.ts';
import type { SentPictureOutcome } from '../../extractor/port.ts';
import { ServedStreams, TIMES, quiet, seen } from '../testing/served-streams.ts';

let served: ServedStreams;
beforeEach(async () => { served = await ServedStreams.start(); });
afterEach(() => served[Symbol.asyncDispose]());

test('[INF-7] [DIS-4] who asks for it gets the picture with its boxes back; why there is none is told beside what was found', async () => {
  const viewer = served.viewer();
  const drawn = (annotated: Extract<SentPictureOutcome, { seen: true }>['annotated']): SentPictureOutcome => ({ ...seen(), annotated, times: { ...TIMES, annotateMs: 6.5 } });
  viewer.send({ metadata: { processingParams: { processed_data: 'annotated' } } });
  viewer.send();
  viewer.send();
  viewer.send({ metadata: {} });
  await served.asked(4);
  expect(served.detector.asked.map(({ picture }) => picture.annotated)).toEqual([true, true, true, false]);
  const outcomes = [drawn({ made: true, bytes: Buffer.from('with boxes') }), drawn({ made: false, why: 'too_large' }), drawn({ made: false, why: 'failed' }), seen()];
  for (const [i, outcome] of outcomes.entries()) served.detector.asked[i]?.answer(outcome);
  const answers = await viewer.answered(4);
  expect(answers.map(({ processedData, error, detections }) => [Buffer.from(processedData).toString(), error?.code, detections.length])).toEqual([
    ['with boxes', undefined, 1], ['', 'PROCESSED_DATA_TOO_LARGE', 1], ['', 'PROCESSED_DATA_FAILED', 1], ['', undefined, 1],
  ]);
  expect(answers.map(({ stats }) => stats?.annotateMs)).toEqual([6.5, 6.5, 6.5, 0]);
  expect(await served.counted('seen')).toBe(4);
});

test('[INF-7] [DIS-4] pictures that are to go back are begun as far as there is room for them, and hold it until they are sent; other frames go on', async () => {
  const viewers = [served.viewer(), served.viewer(), served.viewer()];
  const plain = viewers[2];
  for (const viewer of viewers) for (let i = 0; i < 4; i++) viewer.send(i > 0 ? {} : { metadata: { processingParams: { processed_data: viewer === plain ? 'none' : 'annotated' } } });
  await served.asked(12); // eight that may have 8 MiB each: there is no room for more
  served.detector.asked.find(({ picture }) => !picture.annotated)?.answer(seen());
  await plain?.answered(1);
  plain?.send({ metadata: { processingParams: { processed_data: 'annotated' } } });
  await quiet();
  expect(served.detector.asked.length).toBe(12);
  // It is the first of its stream, and small: there is room for another.
  const first = served.detector.asked.find(({ picture }) => picture.annotated);
  first?.answer({ ...seen(), annotated: { made: true, bytes: Buffer.alloc(1_000) } });
  await served.asked(13);
  expect(served.detector.asked[12]?.picture.annotated).toBe(true);
  // Streams that end give theirs back.
  for (const viewer of viewers) viewer.cancel();
  await expect.poll(() => served.detector.holders, { timeout: 10_000 }).toBe(0);
  for (const { answer } of served.detector.asked) answer({ ...seen(), annotated: { made: true, bytes: Buffer.alloc(MAX_SENT_PICTURE_BYTES) } });
  const next = [served.viewer(), served.viewer()];
  for (const viewer of next) for (let i = 0; i < 4; i++) viewer.send({ metadata: { processingParams: { processed_data: 'annotated' } } });
  await served.asked(21);
});

test('[INF-7] [DIS-4] a client that does not read its pictures is given up, and nothing it was not sent is held any more', async () => {
  const large: SentPictureOutcome = { ...seen(), annotated: { made: true, bytes: Buffer.alloc(1 << 20) } };
  served.detector.always = large;
  const viewer = served.viewer();
  viewer.pause();
  for (let i = 0; i < 60; i++) viewer.send({ metadata: { processingParams: { processed_data: 'annotated' } } });
  await expect.poll(() => served.detector.holders, { timeout: 10_000 }).toBe(1);
  // gRPC's client reads some of them ahead.
  await expect.poll(() => {
    served.clock.advance(1_000);
    return served.detector.holders;
  }, { timeout: 15_000, interval: 20 }).toBe(0);
  viewer.resume();
  expect(await viewer.ended).toMatchObject({ code: 'DEADLINE_EXCEEDED', reason: 'ANSWERS_NOT_READ' });
  expect(viewer.answers.length).toBeLessThan(60);
  served.detector.always = null;
  const next = [served.viewer(), served.viewer()];
  for (const each of next) for (let i = 0; i < 4; i++) each.send({ metadata: { processingParams: { processed_data: 'annotated' } } });
  await served.asked(8); // all that there may be at a time
  for (const { answer } of served.detector.asked) answer(large);
  for (const each of next) await each.answered(4);
}, 60_000);

test('[INF-7] [DIS-4] clients that never read hold the room for pictures of others for no longer than they are given up', async () => {
  const READ_AHEAD = 20; // more answers than gRPC's client reads before it is asked to
  for (let round = 0; round < 3; round++) { // three streams at a time; the pictures of eight fill all the room there is
    const silent = [served.viewer(), served.viewer(), served.viewer()];
    served.detector.always = seen();
    for (const viewer of silent) {
      viewer.pause();
      for (let i = 0; i < READ_AHEAD; i++) viewer.send();
    }
    await expect.poll(() => served.counted('seen'), { timeout: 10_000 }).toBe((round + 1) * 3 * READ_AHEAD + round * 3);
    served.detector.always = { ...seen(), annotated: { made: true, bytes: Buffer.alloc(MAX_SENT_PICTURE_BYTES) } };
    for (const viewer of silent) viewer.send({ metadata: { processingParams: { processed_data: 'annotated' } } });
    await expect.poll(() => served.counted('seen'), { timeout: 10_000 }).toBe((round + 1) * 3 * (READ_AHEAD + 1));
    await expect.poll(() => {
      served.clock.advance(10_000);
      return served.detector.holders;
    }, { timeout: 30_000, interval: 50 }).toBe(0);
    served.clock.advance(3_000);
  }
  served.detector.always = null;
  const asked = served.detector.asked.length;
  const next = served.viewer();
  for (let i = 0; i < 4; i++) next.send({ metadata: { processingParams: { processed_data: 'annotated' } } });
  await served.asked(asked + 4);
  for (const { answer } of served.detector.asked.slice(asked)) answer({ ...seen(), annotated: { made: true, bytes: Buffer.from('small') } });
  await next.answered(4);
}, 60_000);
