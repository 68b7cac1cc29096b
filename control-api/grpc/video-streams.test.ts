/** Streams of frames on a real gRPC server; the detector answers when the test says so. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MAX_SENT_PICTURE_BYTES } from '../../extractor/port.ts';
import { ServedStreams, TIMES, quiet, seen } from '../testing/served-streams.ts';

let served: ServedStreams;
beforeEach(async () => { served = await ServedStreams.start(); });
afterEach(() => served[Symbol.asyncDispose]());

test('[INF-7] each frame gets one answer, in the order of the frames, with what the client sent along', async () => {
  const viewer = served.viewer();
  viewer.send({ timestampMs: 123n, metadata: { sourceId: 'belt 7', pipelineId: 'inspect-320', processingParams: { confidence_threshold: '0.3' } } });
  viewer.send({ timestampMs: -5n });
  viewer.send({ metadata: { sourceId: 'other' } });
  await served.asked(3);
  expect(served.detector.asked.map(({ picture }) => [picture.model, picture.confidence, Buffer.from(picture.bytes).toString()])).toEqual([['inspect-320', 0.3, 'picture'], ['inspect-320', 0.3, 'picture'], ['default-model', null, 'picture']]);
  served.detector.asked[2]?.answer(seen('third'));
  served.detector.asked[1]?.answer({ seen: false, reason: 'damaged', detail: 'The picture is damaged: so.' });
  await quiet();
  expect(viewer.answers).toEqual([]);
  served.clock.advance(25);
  served.detector.asked[0]?.answer(seen('first'));
  const [first, second, third] = await viewer.answered(3);
  expect(first).toMatchObject({
    sequence: 0n, timestampMs: 123n, sourceId: 'belt 7', modelUsed: 'inspect-320', modelDigest: 'digest', width: 640, height: 480, processingTimeMs: 25n,
    detections: [{ className: 'first', classId: 3, confidence: 0.5, bbox: { x: 1, y: 2, width: 3, height: 4 } }],
    stats: { totalProcessingTimeMs: 25n, aiInferenceTimeMs: 14n, resizeTimeMs: 2n, filterTimeMs: 0n, totalMs: 25, waitingMs: 1, queueMs: 0 },
  });
  expect(first?.stats?.inferenceMs).toBeCloseTo(14.2);
  expect(first?.error).toBeUndefined();
  expect(second).toMatchObject({ sequence: 1n, timestampMs: -5n, sourceId: 'belt 7', detections: [], modelUsed: '', error: { code: 'PICTURE_DAMAGED', message: 'The picture is damaged: so.' } });
  expect(third).toMatchObject({ sequence: 2n, sourceId: 'other', modelUsed: 'default-model', detections: [{ className: 'third' }] });
  viewer.halfClose();
  expect(await viewer.ended).toBeNull();
  expect(served.detector.holders).toBe(0);
  expect(await served.counted('seen')).toBe(2);
  expect(await served.counted('damaged')).toBe(1);
});

test('[INF-7] what was sent before the client half-closed is still answered', async () => {
  const viewer = served.viewer();
  viewer.send();
  viewer.send();
  viewer.halfClose();
  await served.asked(2);
  for (const { answer } of served.detector.asked) answer(seen());
  expect(await viewer.ended).toBeNull();
  expect(viewer.answers.length).toBe(2);
});

test('[INF-7] a frame without a picture, or with one too large, costs that frame', async () => {
  served.detector.always = seen();
  const viewer = served.viewer();
  viewer.send({ frameData: Buffer.alloc(0) });
  viewer.send({ frameData: Buffer.alloc(MAX_SENT_PICTURE_BYTES + 1) });
  viewer.send();
  const codes = (await viewer.answered(3)).map(({ error }) => error?.code);
  expect(codes).toEqual(['FRAME_EMPTY', 'PICTURE_TOO_LARGE', undefined]);
});

test('[INF-7] a message above the limit ends the stream', async () => {
  const viewer = served.viewer();
  viewer.send({ frameData: Buffer.alloc(MAX_SENT_PICTURE_BYTES + (512 << 10)) });
  expect(await viewer.ended).toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
});

test('[INF-7] frames are read no faster than they are looked at', async () => {
  const viewer = served.viewer();
  const picture = Buffer.alloc(200_000);
  for (let i = 0; i < 40; i++) viewer.send({ frameData: picture });
  await served.asked(4);
  await quiet();
  expect(served.detector.asked.length).toBe(4);
  expect(viewer.written).toBeLessThan(15); // four are looked at, one waits, the rest is HTTP/2's
  for (let i = 0; i < 40; i++) {
    await served.asked(Math.min(40, i + 4));
    served.detector.asked[i]?.answer(seen());
  }
  expect((await viewer.answered(40)).map(({ sequence }) => Number(sequence))).toEqual(Array.from({ length: 40 }, (_, i) => i));
});

test('[INF-7] of frames that may, the one that waits gives way to the next', async () => {
  const viewer = served.viewer();
  viewer.send({ metadata: { processingParams: { frames: 'newest' } } });
  for (let i = 1; i < 6; i++) viewer.send({ timestampMs: BigInt(i) });
  await served.asked(2);
  await quiet();
  expect(served.detector.asked.length).toBe(2);
  served.detector.asked[0]?.answer(seen());
  await served.asked(3);
  served.detector.asked[1]?.answer(seen());
  served.detector.asked[2]?.answer(seen());
  const answers = await viewer.answered(6);
  expect(answers.map(({ error }) => error?.code)).toEqual([undefined, undefined, 'FRAME_SUPERSEDED', 'FRAME_SUPERSEDED', 'FRAME_SUPERSEDED', undefined]);
  expect(answers.map(({ sequence }) => Number(sequence))).toEqual([0, 1, 2, 3, 4, 5]);
  expect(await served.counted('superseded')).toBe(3);
});

test('[INF-7] what is wrong with every frame ends the stream, behind the answers to those before', async () => {
  const viewer = served.viewer();
  viewer.send();
  viewer.send({ metadata: { processingParams: { wrong: '1' } } });
  viewer.send({ metadata: {} });
  await served.asked(1);
  await quiet();
  served.detector.asked[0]?.answer(seen());
  expect(await viewer.ended).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'VALIDATION_FAILED' });
  expect(viewer.answers.length).toBe(1);
  expect(served.detector.asked.length).toBe(1);

  served.detector.always = { seen: false, reason: 'no_model', detail: 'a, b' };
  const unknown = served.viewer();
  unknown.send({ metadata: { pipelineId: 'resize-detect-filter' } });
  const error = await unknown.ended;
  expect(error).toMatchObject({ code: 'NOT_FOUND', reason: 'UNKNOWN_PIPELINE' });
  expect(error?.message).toBe('There is no pipeline or model resize-detect-filter. Models here: a, b. Pipelines of several steps come in a later version.');
});

test('[INF-7] who may not is refused before a frame is read', async () => {
  for (const [token, code] of [[null, 'UNAUTHENTICATED'], ['wrong', 'UNAUTHENTICATED'], ['viewer', 'PERMISSION_DENIED']] as const) {
    const viewer = served.viewer(token);
    for (let i = 0; i < 5; i++) viewer.send({ frameData: Buffer.alloc(1 << 20) });
    expect(await viewer.ended, String(token)).toMatchObject({ code });
    expect(viewer.written, String(token)).toBeLessThan(5);
  }
  expect(served.detector.asked).toEqual([]);
  expect(served.detector.holders).toBe(0);
});

test('[INF-7] a token that is revoked ends its streams', async () => {
  const viewer = served.viewer();
  viewer.send();
  await served.asked(1);
  served.revoked = true;
  served.clock.advance(1000);
  expect(await viewer.ended).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'TOKEN_REVOKED' });
  served.detector.asked[0]?.answer(seen()); // too late for anybody
  await expect.poll(() => served.counted('call_ended')).toBe(1);
});

test('[INF-7] there are so many streams at a time; one that ends makes room', async () => {
  const viewers = [served.viewer(), served.viewer(), served.viewer()];
  for (const viewer of viewers) viewer.send();
  await served.asked(3);
  expect(served.detector.holders).toBe(3);
  expect((await served.metrics.videoStreams.get()).values[0]?.value).toBe(3);
  const more = served.viewer();
  expect(await more.ended).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'TOO_MANY_STREAMS', retryAfterSeconds: 5 });
  viewers[0]?.cancel();
  await expect.poll(() => served.detector.holders).toBe(2);
  const next = served.viewer();
  next.send();
  await served.asked(4);
});

test('[INF-7] a client that vanishes costs nothing but what was under way', async () => {
  const viewer = served.viewer();
  for (let i = 0; i < 10; i++) viewer.send();
  await served.asked(4);
  viewer.cancel();
  await expect.poll(() => served.detector.holders).toBe(0);
  for (const { answer } of served.detector.asked) answer(seen());
  await quiet();
  expect(served.detector.asked.length).toBe(4);
  expect(await served.counted('call_ended')).toBe(5);
  expect(await served.counted('seen')).toBe(0);
});

test('[INF-7] a stream nobody uses ends, one that waits for an answer does not', async () => {
  const viewer = served.viewer();
  viewer.send();
  await served.asked(1);
  served.clock.advance(100_000);
  await quiet();
  served.detector.asked[0]?.answer(seen());
  await viewer.answered(1);
  served.clock.advance(59_000);
  viewer.send();
  await served.asked(2);
  served.detector.asked[1]?.answer(seen());
  await viewer.answered(2);
  served.clock.advance(61_000);
  expect(await viewer.ended).toMatchObject({ code: 'DEADLINE_EXCEEDED', reason: 'STREAM_IDLE' });
});

test('[INF-7] a client that does not read its answers is given up', async () => {
  const detections = [{ className: 'x'.repeat(200_000), classId: 1, confidence: 0.5, bbox: { x: 1, y: 2, width: 3, height: 4 }, trackId: null }];
  served.detector.always = { seen: true, width: 640, height: 480, modelDigest: '', annotated: null, times: TIMES, detections };
  const viewer = served.viewer();
  viewer.pause();
  for (let i = 0; i < 2000; i++) viewer.send({ frameData: Buffer.alloc(4_000) });
  await expect.poll(() => viewer.written, { timeout: 10_000 }).toBeGreaterThan(10);
  await expect.poll(() => served.detector.holders, { timeout: 10_000 }).toBe(1);
  // It goes on for as long as answers find room somewhere; half a minute after that it ends.
  await expect.poll(() => {
    served.clock.advance(1_000);
    return served.detector.holders;
  }, { timeout: 15_000, interval: 20 }).toBe(0);
  expect(viewer.written).toBeLessThan(2000);
  viewer.resume();
  expect(await viewer.ended).toMatchObject({ code: 'DEADLINE_EXCEEDED', reason: 'ANSWERS_NOT_READ' });
});

test('[INF-7] frames of all streams together hold so many bytes at most; nobody is left behind', async () => {
  const viewers = [served.viewer(), served.viewer(), served.viewer()];
  const large = Buffer.alloc(MAX_SENT_PICTURE_BYTES - 100);
  for (let i = 0; i < 5; i++) for (const viewer of viewers) viewer.send({ frameData: large });
  // 64 MiB are full with 8; of the three streams each may have read one more by then.
  await expect.poll(() => served.detector.asked.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(9);
  await quiet();
  expect(served.detector.asked.length).toBeLessThan(12);
  for (let i = 0; i < 15; i++) {
    await expect.poll(() => served.detector.asked.length, { timeout: 20_000 }).toBeGreaterThan(i);
    served.detector.asked[i]?.answer(seen());
  }
  for (const viewer of viewers) await viewer.answered(5);
}, 60_000);

test('[INF-7] a stream that is not read for what others hold goes on as soon as they are answered', async () => {
  const large = Buffer.alloc(MAX_SENT_PICTURE_BYTES - 100);
  const others = [served.viewer(), served.viewer()];
  for (let i = 0; i < 5; i++) for (const viewer of others) viewer.send({ frameData: large });
  await served.asked(8); // and two are read and wait: the budget is spent
  const small = served.viewer();
  small.send({ metadata: { sourceId: 'small' } });
  await served.asked(9);
  await quiet();
  served.detector.asked[8]?.answer(seen());
  await small.answered(1);
  small.send();
  await quiet();
  expect(served.detector.asked.length).toBe(9);
  for (const { answer } of served.detector.asked.slice(0, 8)) answer(seen());
  await served.asked(12);
  expect(served.detector.asked.some(({ picture }) => picture.bytes.length < 100 && picture !== served.detector.asked[8]?.picture)).toBe(true);
}, 60_000);

test('[INF-7] a server that stops says so', async () => {
  const viewer = served.viewer();
  viewer.send();
  await served.asked(1);
  served.streams[Symbol.dispose]();
  expect(await viewer.ended).toMatchObject({ code: 'UNAVAILABLE', reason: 'SERVER_STOPS' });
  const late = served.viewer();
  expect(await late.ended).toMatchObject({ code: 'UNAVAILABLE' });
});

test('[INF-7] its streams are told before the connections close', async () => {
  const viewer = served.viewer();
  for (let i = 0; i < 4; i++) viewer.send();
  await served.asked(4);
  for (let i = 0; i < 3; i++) served.detector.asked[i]?.answer(seen());
  await Promise.resolve();
  await served[Symbol.asyncDispose]();
  expect(await viewer.ended).toMatchObject({ code: 'UNAVAILABLE', reason: 'SERVER_STOPS' });
});
