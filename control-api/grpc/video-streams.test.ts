/** Streams of frames on a real gRPC server; the detector answers when the test says so. */
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { MAX_SENT_PICTURE_BYTES } from '../../extractor/port.ts';
import type { SentPicture, SentPictureDetector, SentPictureOutcome } from '../../extractor/port.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { fromGrpc } from '../../platform/grpc/errors.ts';
import { GrpcServer } from '../../platform/grpc/server.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { CameraStreamProcessor } from '../../proto/gen/imageflow/v1/camera_stream_processor_pb.ts';
import { StreamVideoFrameSchema } from '../../proto/gen/imageflow/v1/stream/messages_pb.ts';
import type { StreamProcessedFrame } from '../../proto/gen/imageflow/v1/stream/messages_pb.ts';
import type { AccessPrincipal } from '../api-env.ts';
import { CallBudget } from '../call-budget.ts';
import { createGuard } from '../guard.ts';
import { CallGuard } from './call-guard.ts';
import { VideoStreams } from './video-streams.ts';

const OPERATOR: AccessPrincipal = { id: 'u1', username: 'op', role: 'operator', permissions: ['pipeline:execute'], tokenId: 't', family: 'f', expiresAt: Number.MAX_SAFE_INTEGER };
const TIMES = { waitingMs: 1, decodeMs: 4.4, resizeMs: 1.6, queueMs: 0, inferenceMs: 14.2, annotateMs: 0 };
const seen = (className = 'person'): SentPictureOutcome => ({
  seen: true, width: 640, height: 480, modelDigest: 'digest', annotated: null, times: TIMES, detections: [{ className, classId: 3, confidence: 0.5, bbox: { x: 1, y: 2, width: 3, height: 4 }, trackId: null }],
});

/** A detector whose pictures wait for the test. */
class HeldDetector implements SentPictureDetector {
  readonly asked: { readonly picture: SentPicture; readonly answer: (outcome: SentPictureOutcome) => void }[] = [];
  holders = 0;
  /** Answers at once, if set. */
  always: SentPictureOutcome | null = null;
  hold(): Disposable {
    this.holders++;
    return { [Symbol.dispose]: () => { this.holders--; } };
  }
  detect(picture: SentPicture): Promise<SentPictureOutcome> {
    if (this.always) return Promise.resolve(this.always);
    return new Promise((answer) => { this.asked.push({ picture, answer }); });
  }
}

let clock: FakeClock;
let detector: HeldDetector;
let metrics: ReturnType<typeof createMetrics>;
let streams: VideoStreams;
let stack: AsyncDisposableStack;
let address: string;
let revoked: boolean;

beforeEach(async () => {
  clock = new FakeClock();
  detector = new HeldDetector();
  metrics = createMetrics('control');
  revoked = false;
  stack = new AsyncDisposableStack();
  const authenticator = {
    authenticate: (token: string) => {
      if (token !== 'right' && token !== 'viewer') throw new MediaError('UNAUTHENTICATED', 'no', { reason: 'TOKEN_INVALID' });
      if (revoked) throw new MediaError('UNAUTHENTICATED', 'no more', { reason: 'TOKEN_REVOKED' });
      return token === 'viewer' ? { ...OPERATOR, permissions: [] } : OPERATOR;
    },
  };
  const guard = new CallGuard(createGuard(authenticator, { denied: () => undefined }), new CallBudget(1000, clock));
  streams = new VideoStreams({ detector, guard, defaultModel: 'default-model', maxStreams: 3, clock, logger: silentLogger(), metrics });
  const server = stack.use(await GrpcServer.start({ listen: '127.0.0.1:0', services: [streams.registration], maxMessageBytes: 256 << 10, limits: { maxConnections: 10, maxCalls: 10, maxStreams: 10 }, graceMs: 100 }));
  stack.use(streams);
  address = server.address;
});
afterEach(() => stack.disposeAsync());

type Frame = MessageInitShape<typeof StreamVideoFrameSchema>;

/** A client of one stream. */
class Viewer {
  readonly answers: StreamProcessedFrame[] = [];
  /** Frames that gRPC has taken from the client. */
  written = 0;
  /** How it ended: null without an error. */
  readonly ended: Promise<MediaError | null>;
  readonly #call;

  constructor(token: string | null = 'right') {
    const client = stack.use(GrpcClient.dial(CameraStreamProcessor, address, token === null ? {} : { token }));
    const call = client.call.processVideoStream();
    this.#call = call;
    const end = Promise.withResolvers<MediaError | null>();
    this.ended = end.promise;
    call.on('data', (answer: StreamProcessedFrame) => { this.answers.push(answer); });
    call.on('error', (error) => { end.resolve(fromGrpc(error)); });
    call.on('end', () => { end.resolve(null); });
  }

  send(frame: Frame = {}): void {
    this.#call.write(create(StreamVideoFrameSchema, { frameData: Buffer.from('picture'), ...frame }), () => { this.written++; });
  }
  halfClose(): void { this.#call.end(); }
  pause(): void { this.#call.pause(); }
  resume(): void { this.#call.resume(); }
  cancel(): void { this.#call.cancel(); }

  /** Waits for so many answers in all. */
  async answered(count: number): Promise<readonly StreamProcessedFrame[]> {
    await expect.poll(() => this.answers.length, { timeout: 10_000, interval: 5 }).toBeGreaterThanOrEqual(count);
    expect(this.answers.length).toBe(count);
    return this.answers;
  }
}

const asked = async (count: number): Promise<void> => { await expect.poll(() => detector.asked.length, { timeout: 10_000, interval: 5 }).toBe(count); };
const quiet = async (): Promise<void> => { for (let i = 0; i < 10; i++) await new Promise((resolve) => { setTimeout(resolve, 10); }); };
const counted = async (result: string): Promise<number> => (await metrics.streamedFrames.get()).values.find(({ labels }) => labels.result === result)?.value ?? 0;

test('[INF-7] each frame gets one answer, in the order of the frames, with what the client sent along', async () => {
  const viewer = new Viewer();
  viewer.send({ timestampMs: 123n, metadata: { sourceId: 'belt 7', pipelineId: 'inspect-320', processingParams: { confidence_threshold: '0.3' } } });
  viewer.send({ timestampMs: -5n });
  viewer.send({ metadata: { sourceId: 'other' } });
  await asked(3);
  expect(detector.asked.map(({ picture }) => [picture.model, picture.confidence, Buffer.from(picture.bytes).toString()])).toEqual([['inspect-320', 0.3, 'picture'], ['inspect-320', 0.3, 'picture'], ['default-model', null, 'picture']]);
  detector.asked[2]?.answer(seen('third'));
  detector.asked[1]?.answer({ seen: false, reason: 'damaged', detail: 'The picture is damaged: so.' });
  await quiet();
  expect(viewer.answers).toEqual([]);
  clock.advance(25);
  detector.asked[0]?.answer(seen('first'));
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
  expect(detector.holders).toBe(0);
  expect(await counted('seen')).toBe(2);
  expect(await counted('damaged')).toBe(1);
});

test('[INF-7] what was sent before the client half-closed is still answered', async () => {
  const viewer = new Viewer();
  viewer.send();
  viewer.send();
  viewer.halfClose();
  await asked(2);
  for (const { answer } of detector.asked) answer(seen());
  expect(await viewer.ended).toBeNull();
  expect(viewer.answers.length).toBe(2);
});

test('[INF-7] a frame without a picture, or with one too large, costs that frame', async () => {
  detector.always = seen();
  const viewer = new Viewer();
  viewer.send({ frameData: Buffer.alloc(0) });
  viewer.send({ frameData: Buffer.alloc(MAX_SENT_PICTURE_BYTES + 1) });
  viewer.send();
  const codes = (await viewer.answered(3)).map(({ error }) => error?.code);
  expect(codes).toEqual(['FRAME_EMPTY', 'PICTURE_TOO_LARGE', undefined]);
});

test('[INF-7] a message above the limit ends the stream', async () => {
  const viewer = new Viewer();
  viewer.send({ frameData: Buffer.alloc(MAX_SENT_PICTURE_BYTES + (512 << 10)) });
  expect(await viewer.ended).toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
});

test('[INF-7] frames are read no faster than they are looked at', async () => {
  const viewer = new Viewer();
  const picture = Buffer.alloc(200_000);
  for (let i = 0; i < 40; i++) viewer.send({ frameData: picture });
  await asked(4);
  await quiet();
  expect(detector.asked.length).toBe(4);
  expect(viewer.written).toBeLessThan(15); // four are looked at, one waits, the rest is HTTP/2's
  for (let i = 0; i < 40; i++) {
    await asked(Math.min(40, i + 4));
    detector.asked[i]?.answer(seen());
  }
  expect((await viewer.answered(40)).map(({ sequence }) => Number(sequence))).toEqual(Array.from({ length: 40 }, (_, i) => i));
});

test('[INF-7] of frames that may, the one that waits gives way to the next', async () => {
  const viewer = new Viewer();
  viewer.send({ metadata: { processingParams: { frames: 'newest' } } });
  for (let i = 1; i < 6; i++) viewer.send({ timestampMs: BigInt(i) });
  await asked(2);
  await quiet();
  expect(detector.asked.length).toBe(2);
  detector.asked[0]?.answer(seen());
  await asked(3);
  detector.asked[1]?.answer(seen());
  detector.asked[2]?.answer(seen());
  const answers = await viewer.answered(6);
  expect(answers.map(({ error }) => error?.code)).toEqual([undefined, undefined, 'FRAME_SUPERSEDED', 'FRAME_SUPERSEDED', 'FRAME_SUPERSEDED', undefined]);
  expect(answers.map(({ sequence }) => Number(sequence))).toEqual([0, 1, 2, 3, 4, 5]);
  expect(await counted('superseded')).toBe(3);
});

test('[INF-7] what is wrong with every frame ends the stream, behind the answers to those before', async () => {
  const viewer = new Viewer();
  viewer.send();
  viewer.send({ metadata: { processingParams: { wrong: '1' } } });
  viewer.send({ metadata: {} });
  await asked(1);
  await quiet();
  detector.asked[0]?.answer(seen());
  expect(await viewer.ended).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'VALIDATION_FAILED' });
  expect(viewer.answers.length).toBe(1);
  expect(detector.asked.length).toBe(1);

  detector.always = { seen: false, reason: 'no_model', detail: 'a, b' };
  const unknown = new Viewer();
  unknown.send({ metadata: { pipelineId: 'resize-detect-filter' } });
  const error = await unknown.ended;
  expect(error).toMatchObject({ code: 'NOT_FOUND', reason: 'UNKNOWN_PIPELINE' });
  expect(error?.message).toBe('There is no pipeline or model resize-detect-filter. Models here: a, b. Pipelines of several steps come in a later version.');
});

test('[INF-7] who may not is refused before a frame is read', async () => {
  for (const [token, code] of [[null, 'UNAUTHENTICATED'], ['wrong', 'UNAUTHENTICATED'], ['viewer', 'PERMISSION_DENIED']] as const) {
    const viewer = new Viewer(token);
    for (let i = 0; i < 5; i++) viewer.send({ frameData: Buffer.alloc(1 << 20) });
    expect(await viewer.ended, String(token)).toMatchObject({ code });
    expect(viewer.written, String(token)).toBeLessThan(5);
  }
  expect(detector.asked).toEqual([]);
  expect(detector.holders).toBe(0);
});

test('[INF-7] a token that is revoked ends its streams', async () => {
  const viewer = new Viewer();
  viewer.send();
  await asked(1);
  revoked = true;
  clock.advance(1000);
  expect(await viewer.ended).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'TOKEN_REVOKED' });
  detector.asked[0]?.answer(seen()); // too late for anybody
  await expect.poll(() => counted('call_ended')).toBe(1);
});

test('[INF-7] there are so many streams at a time; one that ends makes room', async () => {
  const viewers = [new Viewer(), new Viewer(), new Viewer()];
  for (const viewer of viewers) viewer.send();
  await asked(3);
  expect(detector.holders).toBe(3);
  expect((await metrics.videoStreams.get()).values[0]?.value).toBe(3);
  const more = new Viewer();
  expect(await more.ended).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'TOO_MANY_STREAMS', retryAfterSeconds: 5 });
  viewers[0]?.cancel();
  await expect.poll(() => detector.holders).toBe(2);
  const next = new Viewer();
  next.send();
  await asked(4);
});

test('[INF-7] a client that vanishes costs nothing but what was under way', async () => {
  const viewer = new Viewer();
  for (let i = 0; i < 10; i++) viewer.send();
  await asked(4);
  viewer.cancel();
  await expect.poll(() => detector.holders).toBe(0);
  for (const { answer } of detector.asked) answer(seen());
  await quiet();
  expect(detector.asked.length).toBe(4);
  expect(await counted('call_ended')).toBe(5);
  expect(await counted('seen')).toBe(0);
});

test('[INF-7] a stream nobody uses ends, one that waits for an answer does not', async () => {
  const viewer = new Viewer();
  viewer.send();
  await asked(1);
  clock.advance(100_000);
  await quiet();
  detector.asked[0]?.answer(seen());
  await viewer.answered(1);
  clock.advance(59_000);
  viewer.send();
  await asked(2);
  detector.asked[1]?.answer(seen());
  await viewer.answered(2);
  clock.advance(61_000);
  expect(await viewer.ended).toMatchObject({ code: 'DEADLINE_EXCEEDED', reason: 'STREAM_IDLE' });
});

test('[INF-7] a client that does not read its answers is given up', async () => {
  const detections = [{ className: 'x'.repeat(200_000), classId: 1, confidence: 0.5, bbox: { x: 1, y: 2, width: 3, height: 4 }, trackId: null }];
  detector.always = { seen: true, width: 640, height: 480, modelDigest: '', annotated: null, times: TIMES, detections };
  const viewer = new Viewer();
  viewer.pause();
  for (let i = 0; i < 2000; i++) viewer.send({ frameData: Buffer.alloc(4_000) });
  await expect.poll(() => viewer.written, { timeout: 10_000 }).toBeGreaterThan(10);
  await expect.poll(() => detector.holders, { timeout: 10_000 }).toBe(1);
  // It goes on for as long as answers find room somewhere; half a minute after that it ends.
  await expect.poll(() => {
    clock.advance(1_000);
    return detector.holders;
  }, { timeout: 15_000, interval: 20 }).toBe(0);
  expect(viewer.written).toBeLessThan(2000);
  viewer.resume();
  expect(await viewer.ended).toMatchObject({ code: 'DEADLINE_EXCEEDED', reason: 'ANSWERS_NOT_READ' });
});

test('[INF-7] frames of all streams together hold so many bytes at most; nobody is left behind', async () => {
  const viewers = [new Viewer(), new Viewer(), new Viewer()];
  const large = Buffer.alloc(MAX_SENT_PICTURE_BYTES - 100);
  for (let i = 0; i < 5; i++) for (const viewer of viewers) viewer.send({ frameData: large });
  // 64 MiB are full with 8; of the three streams each may have read one more by then.
  await expect.poll(() => detector.asked.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(9);
  await quiet();
  expect(detector.asked.length).toBeLessThan(12);
  for (let i = 0; i < 15; i++) {
    await expect.poll(() => detector.asked.length, { timeout: 20_000 }).toBeGreaterThan(i);
    detector.asked[i]?.answer(seen());
  }
  for (const viewer of viewers) await viewer.answered(5);
}, 60_000);

test('[INF-7] [DIS-4] who asks for it gets the picture with its boxes back; why there is none is told beside what was found', async () => {
  const viewer = new Viewer();
  const drawn = (annotated: Extract<SentPictureOutcome, { seen: true }>['annotated']): SentPictureOutcome => ({ ...(seen() as Extract<SentPictureOutcome, { seen: true }>), annotated, times: { ...TIMES, annotateMs: 6.5 } });
  viewer.send({ metadata: { processingParams: { processed_data: 'annotated' } } });
  viewer.send();
  viewer.send();
  viewer.send({ metadata: {} });
  await asked(4);
  expect(detector.asked.map(({ picture }) => picture.annotated)).toEqual([true, true, true, false]);
  const outcomes = [drawn({ made: true, bytes: Buffer.from('with boxes') }), drawn({ made: false, why: 'too_large' }), drawn({ made: false, why: 'failed' }), seen()];
  for (const [i, outcome] of outcomes.entries()) detector.asked[i]?.answer(outcome);
  const answers = await viewer.answered(4);
  expect(answers.map(({ processedData, error, detections }) => [Buffer.from(processedData).toString(), error?.code, detections.length])).toEqual([
    ['with boxes', undefined, 1], ['', 'PROCESSED_DATA_TOO_LARGE', 1], ['', 'PROCESSED_DATA_FAILED', 1], ['', undefined, 1],
  ]);
  expect(answers.map(({ stats }) => stats?.annotateMs)).toEqual([6.5, 6.5, 6.5, 0]);
  expect(await counted('seen')).toBe(4);
});

test('[INF-7] [DIS-4] pictures that are to go back are begun as far as there is room for them, and hold it until they are sent; other frames go on', async () => {
  const viewers = [new Viewer(), new Viewer(), new Viewer()];
  const plain = viewers[2];
  for (const viewer of viewers) for (let i = 0; i < 4; i++) viewer.send(i > 0 ? {} : { metadata: { processingParams: { processed_data: viewer === plain ? 'none' : 'annotated' } } });
  await asked(12); // eight that may have 8 MiB each: there is no room for more
  detector.asked.find(({ picture }) => !picture.annotated)?.answer(seen());
  await plain?.answered(1);
  plain?.send({ metadata: { processingParams: { processed_data: 'annotated' } } });
  await quiet();
  expect(detector.asked.length).toBe(12);
  // It is the first of its stream, and small: there is room for another.
  const first = detector.asked.find(({ picture }) => picture.annotated);
  first?.answer({ ...(seen() as Extract<SentPictureOutcome, { seen: true }>), annotated: { made: true, bytes: Buffer.alloc(1_000) } });
  await asked(13);
  expect(detector.asked[12]?.picture.annotated).toBe(true);
  // Streams that end give theirs back.
  for (const viewer of viewers) viewer.cancel();
  await expect.poll(() => detector.holders, { timeout: 10_000 }).toBe(0);
  for (const { answer } of detector.asked) answer({ ...(seen() as Extract<SentPictureOutcome, { seen: true }>), annotated: { made: true, bytes: Buffer.alloc(MAX_SENT_PICTURE_BYTES) } });
  const next = [new Viewer(), new Viewer()];
  for (const viewer of next) for (let i = 0; i < 4; i++) viewer.send({ metadata: { processingParams: { processed_data: 'annotated' } } });
  await asked(21);
});

test('[INF-7] [DIS-4] a client that does not read its pictures is given up, and nothing it was not sent is held any more', async () => {
  const large: SentPictureOutcome = { ...(seen() as Extract<SentPictureOutcome, { seen: true }>), annotated: { made: true, bytes: Buffer.alloc(1 << 20) } };
  detector.always = large;
  const viewer = new Viewer();
  viewer.pause();
  for (let i = 0; i < 60; i++) viewer.send({ metadata: { processingParams: { processed_data: 'annotated' } } });
  await expect.poll(() => detector.holders, { timeout: 10_000 }).toBe(1);
  // gRPC's client reads some of them ahead.
  await expect.poll(() => {
    clock.advance(1_000);
    return detector.holders;
  }, { timeout: 15_000, interval: 20 }).toBe(0);
  viewer.resume();
  expect(await viewer.ended).toMatchObject({ code: 'DEADLINE_EXCEEDED', reason: 'ANSWERS_NOT_READ' });
  expect(viewer.answers.length).toBeLessThan(60);
  detector.always = null;
  const next = [new Viewer(), new Viewer()];
  for (const each of next) for (let i = 0; i < 4; i++) each.send({ metadata: { processingParams: { processed_data: 'annotated' } } });
  await asked(8); // all that there may be at a time
  for (const { answer } of detector.asked) answer(large);
  for (const each of next) await each.answered(4);
}, 60_000);

test('[INF-7] a stream that is not read for what others hold goes on as soon as they are answered', async () => {
  const large = Buffer.alloc(MAX_SENT_PICTURE_BYTES - 100);
  const others = [new Viewer(), new Viewer()];
  for (let i = 0; i < 5; i++) for (const viewer of others) viewer.send({ frameData: large });
  await asked(8); // and two are read and wait: the budget is spent
  const small = new Viewer();
  small.send({ metadata: { sourceId: 'small' } });
  await asked(9);
  await quiet();
  detector.asked[8]?.answer(seen());
  await small.answered(1);
  small.send();
  await quiet();
  expect(detector.asked.length).toBe(9);
  for (const { answer } of detector.asked.slice(0, 8)) answer(seen());
  await asked(12);
  expect(detector.asked.some(({ picture }) => picture.bytes.length < 100 && picture !== detector.asked[8]?.picture)).toBe(true);
}, 60_000);

test('[INF-7] a server that stops says so', async () => {
  const viewer = new Viewer();
  viewer.send();
  await asked(1);
  streams[Symbol.dispose]();
  expect(await viewer.ended).toMatchObject({ code: 'UNAVAILABLE', reason: 'SERVER_STOPS' });
  const late = new Viewer();
  expect(await late.ended).toMatchObject({ code: 'UNAVAILABLE' });
});

test('[INF-7] its streams are told before the connections close', async () => {
  const viewer = new Viewer();
  for (let i = 0; i < 4; i++) viewer.send();
  await asked(4);
  for (let i = 0; i < 3; i++) detector.asked[i]?.answer(seen());
  await Promise.resolve();
  await stack.disposeAsync();
  expect(await viewer.ended).toMatchObject({ code: 'UNAVAILABLE', reason: 'SERVER_STOPS' });
});
