/** `CameraStreamProcessor.ProcessVideoStream` of a whole server: real pictures, the real model, and what can go wrong around them. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Client, Metadata, credentials, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { toBinary, create } from '@bufbuild/protobuf';
import { iou } from '../../core/detection.ts';
import { StreamVideoFrameSchema } from '../../proto/gen/imageflow/v1/stream/messages_pb.ts';
import type { StreamProcessedFrame } from '../../proto/gen/imageflow/v1/stream/messages_pb.ts';
import { forgedTokens } from '../support/forged-tokens.ts';
import { bytes } from '../support/hostile-input.ts';
import { FIXTURES } from '../support/media.ts';
import { pythonOfWorker } from '../support/python-worker.ts';
import { seededRandom } from '../support/random.ts';
import { TestServer, until } from '../support/server.ts';
import { plainPng, png, pngChunk, pngHeader } from '../support/stills.ts';
import { VideoStreamClient } from '../support/video-stream-client.ts';

const METHOD = '/imageflow.v1.CameraStreamProcessor/ProcessVideoStream';
const IMAGES = join(FIXTURES, 'images');
const image = (file: string): Buffer => readFileSync(join(IMAGES, file));
const MESSI = image('messi5.jpg');
const stack = new AsyncDisposableStack();
let server: TestServer;
let control: number[];

beforeAll(async () => {
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_INFERENCE_DEADLINE_MS: '20000' } })); // whatever else the machine has to do
  control = await server.pids('control');
});
afterAll(() => stack.disposeAsync());

const open = (token: string | undefined = server.token): VideoStreamClient => stack.use(new VideoStreamClient(server.grpc, token));
const tokenOf = async (role: string): Promise<string> => {
  await server.request('POST', '/v1/users', { username: `${role}-1`, password: `${role}-password`, role });
  return (await server.request<{ access_token: string }>('POST', '/v1/auth/login', { username: `${role}-1`, password: `${role}-password` })).access_token;
};

interface Golden { readonly label: string; readonly classId: number; readonly score: number; readonly x: number; readonly y: number; readonly width: number; readonly height: number }
const golden = (JSON.parse(readFileSync(join(IMAGES, 'golden.json'), 'utf8')) as { readonly detections: Readonly<Record<string, Readonly<Record<string, readonly Golden[]>>>> }).detections['nanodet-g-416.onnx'] ?? {};

/** The pixels of an encoded picture, RGB, by ffmpeg. */
const pixelsOf = (picture: Buffer): Buffer => execFileSync('ffmpeg', ['-v', 'error', '-i', '-', '-pix_fmt', 'rgb24', '-f', 'rawvideo', '-'], { input: picture, maxBuffer: 1 << 26 });

/** `after` is the picture `before`, of 548 × 342, with these boxes drawn in: it differs on their lower edges, which no label covers, and hardly elsewhere. */
const expectBoxes = (before: Buffer, after: Buffer, boxes: readonly { readonly x: number; readonly y: number; readonly width: number; readonly height: number }[]): void => {
  const [width, height] = [548, 342];
  const [plain, drawn] = [pixelsOf(before), pixelsOf(after)];
  expect([plain.length, drawn.length]).toEqual([3 * width * height, 3 * width * height]);
  const differs = (x: number, y: number): number => Math.max(...[0, 1, 2].map((c) => Math.abs((plain[3 * (y * width + x) + c] ?? 0) - (drawn[3 * (y * width + x) + c] ?? 0))));
  expect(boxes.length).toBeGreaterThan(0);
  for (const box of boxes) {
    const row = Math.min(height - 2, Math.round((box.y + box.height) / 2) * 2 - 2);
    const edge = Array.from({ length: Math.floor(box.width) - 8 }, (_, i) => differs(Math.floor(box.x) + 4 + i, row));
    expect(edge.filter((difference) => difference > 40).length / edge.length, JSON.stringify(box)).toBeGreaterThan(0.5);
  }
  const all = Array.from({ length: width * height }, (_, i) => differs(i % width, Math.floor(i / width)));
  expect(all.filter((difference) => difference > 40).length / all.length).toBeLessThan(0.15);
};

/** The bundled int8 model finds every golden box of score ≥ 0.5: IoU ≥ 0.7, score ± 0.08. */
const agrees = (file: string, { detections, error }: StreamProcessedFrame): void => {
  expect(error, file).toBeUndefined();
  for (const wanted of golden[file]?.filter(({ score }) => score >= 0.5) ?? []) {
    const [best] = detections.filter(({ classId, className }) => classId === wanted.classId && className === wanted.label).map(({ bbox, confidence }) => ({ confidence, overlap: bbox ? iou(bbox, wanted) : 0 })).toSorted((a, b) => b.overlap - a.overlap);
    expect(best?.overlap, `${file}: ${JSON.stringify(wanted)}`).toBeGreaterThanOrEqual(0.7);
    expect(Math.abs((best?.confidence ?? 0) - wanted.score), `${file}: ${JSON.stringify(wanted)}`).toBeLessThanOrEqual(0.08);
  }
};

test('[INF-7] pictures are streamed in, and what the model sees in them comes back in their order and their own pixels', async () => {
  const stream = open();
  const files = Array.from({ length: 5 }, () => Object.keys(golden)).flat();
  const answers = await Promise.all(files.map((file, i) => stream.ask({ frameData: image(file), timestampMs: BigInt(i), ...(i === 0 ? { metadata: { sourceId: 'native', pipelineId: 'detect' } } : {}) })));
  for (const [i, answer] of answers.entries()) {
    const file = files[i] ?? '';
    agrees(file, answer);
    expect(answer).toMatchObject({ sequence: BigInt(i), timestampMs: BigInt(i), sourceId: 'native', modelUsed: 'nanodet-g-416.int8.u8', modelDigest: expect.stringMatching(/^[0-9a-f]{64}$/) as string });
    const { stats } = answer;
    expect(stats?.inferenceMs).toBeGreaterThan(0);
    expect(stats?.decodeMs).toBeGreaterThan(0);
    expect(stats?.totalMs).toBeGreaterThanOrEqual((stats?.inferenceMs ?? 0) + (stats?.decodeMs ?? 0));
    expect(answer.processingTimeMs).toBe(BigInt(Math.round(stats?.totalMs ?? -1)));
  }
  expect(answers[0]).toMatchObject({ width: 548, height: 342 });
  stream.halfClose();
  expect(await stream.ended).toBeNull();
  expect(await server.metric('imageflow_streamed_frames_total', { result: 'seen' })).toBeGreaterThanOrEqual(files.length);
  await until('the stream is not counted any more', async () => await server.metric('imageflow_video_streams') === 0);
});

test('[INF-7] a pipeline id names a model, and its confidence may be another', async () => {
  const stream = open();
  const faint = await stream.ask({ frameData: MESSI, metadata: { pipelineId: 'nanodet-g-416.int8.u8', processingParams: { confidence_threshold: '0.1' } } });
  const plain = await stream.ask({ frameData: MESSI, metadata: {} });
  expect(faint.detections.length).toBeGreaterThan(plain.detections.length);
  expect(Math.min(...faint.detections.map(({ confidence }) => confidence))).toBeLessThan(0.3);
  expect(await stream.ask({ frameData: MESSI, metadata: { pipelineId: 'inspect-320' } })).toMatchObject({ modelUsed: 'inspect-320', width: 548 });
});

test('[INF-7] [DIS-4] a picture comes back with the boxes of its detections where it is asked for', async () => {
  const stream = open();
  const plain = await stream.ask({ frameData: MESSI });
  expect(plain.processedData).toHaveLength(0);
  const drawn = await stream.ask({ frameData: MESSI, metadata: { processingParams: { processed_data: 'annotated' } } });
  expect(drawn.detections).toEqual(plain.detections);
  expect(drawn.stats?.annotateMs).toBeGreaterThan(0);
  expect(await server.metric('imageflow_streamed_frame_seconds_count', { stage: 'annotate' })).toBe(1);
  expectBoxes(MESSI, Buffer.from(drawn.processedData), drawn.detections.map(({ bbox }) => bbox ?? { x: 0, y: 0, width: 0, height: 0 }));
});

test('[INF-7] who may not is refused and in the audit log; an operator may', async () => {
  const { valid, ...forged } = await forgedTokens(server.dataDir, server.token);
  for (const [name, token] of Object.entries({ ...forged, nonsense: 'nonsense' })) {
    const stream = open(token);
    void stream.ask({ frameData: MESSI });
    expect(await stream.ended, name).toMatchObject({ code: 'UNAUTHENTICATED' });
  }
  using anonymous = new VideoStreamClient(server.grpc);
  expect(await anonymous.ended).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'NO_CREDENTIAL' });
  const viewer = open(await tokenOf('viewer'));
  expect(await viewer.ended).toMatchObject({ code: 'PERMISSION_DENIED' });
  const { items } = await server.request<{ items: { principal: string | null; action: string; target: string; result: string }[] }>('GET', '/v1/audit?limit=100');
  expect(items).toContainEqual(expect.objectContaining({ principal: 'viewer-1', action: 'pipeline:execute', target: METHOD, result: 'denied' }));
  for (const token of [valid, await tokenOf('operator')]) agrees('messi5.jpg', await open(token).ask({ frameData: MESSI }));
});

/** The status that a plain client of grpc-js, which knows nothing of ours, is told. */
const plainStatus = async (frame: Uint8Array): Promise<ServiceError> => {
  const client = new Client(server.grpc, credentials.createInsecure(), { 'grpc.max_send_message_length': -1 });
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${server.token}`);
  try {
    return await new Promise((resolve, reject) => {
      const call = client.makeBidiStreamRequest(METHOD, (message: Buffer) => message, (message) => message, metadata, { deadline: Date.now() + 20_000 });
      call.on('error', (error) => { resolve(error as ServiceError); });
      call.on('end', () => { reject(new Error('no error')); });
      call.resume();
      call.write(Buffer.from(frame));
    });
  } finally {
    client.close();
  }
};
const frame = (init: Parameters<typeof create<typeof StreamVideoFrameSchema>>[1]): Uint8Array => toBinary(StreamVideoFrameSchema, create(StreamVideoFrameSchema, init));

test('[INF-7] [SD-18] what is wrong with a stream has the right status and words', async () => {
  expect(await plainStatus(frame({ frameData: MESSI, metadata: { pipelineId: 'resize-detect-filter' } }))).toMatchObject({
    code: status.NOT_FOUND, details: expect.stringMatching(/^There is no pipeline or model resize-detect-filter\. Models here: inspect-320, nanodet-g-320\.int8\.u8, nanodet-g-416\.int8\.u8\..*later version/) as string,
  });
  expect(await plainStatus(frame({ frameData: MESSI, metadata: { processingParams: { resize_width: '640' } } }))).toMatchObject({ code: status.INVALID_ARGUMENT });
  expect(await plainStatus(frame({ frameData: Buffer.alloc(9 << 20) }))).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  expect(await plainStatus(Buffer.from([0x0a, 0xff, 0xff]))).toMatchObject({ code: status.INTERNAL });
  // Other methods of the port keep their own, smaller limit.
  const answer = await new Promise<ServiceError | null>((resolve) => {
    const client = stack.adopt(new Client(server.grpc, credentials.createInsecure()), (each) => { each.close(); });
    client.makeUnaryRequest('/imageflow.v1.MediaControlService/StopRecording', (message: Buffer) => message, (message) => message, Buffer.alloc(1 << 20), (error) => { resolve(error); });
  });
  expect(answer).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
});

test('[INF-7] hostile pictures cost their own answers: not the stream, not a process', async () => {
  const stream = open();
  agrees('messi5.jpg', await stream.ask({ frameData: MESSI }));
  const decoder = await server.pids('picture-decoder');
  expect(decoder.length).toBe(1);
  const random = seededRandom(77);
  const hostile = Array.from({ length: 100 }, (_, i) => {
    if (i % 4 === 0) return bytes(random, 1 + i * 5);
    if (i % 4 === 1) return Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), bytes(random, 500)]);
    const picture = Buffer.from(i % 4 === 2 ? MESSI : plainPng(300, 200, [1, 2, 3]));
    for (let n = 0; n < 6; n++) picture[Math.floor(random() * (n < 3 ? 700 : picture.length)) % picture.length] = Math.floor(random() * 256);
    return picture.subarray(0, i % 8 === 2 ? Math.floor(random() * picture.length) : picture.length);
  });
  const answers = await Promise.all(hostile.map((frameData) => stream.ask({ frameData })));
  const codes = new Set(answers.map(({ error }) => error?.code));
  for (const code of codes) expect([undefined, 'FRAME_EMPTY', 'PICTURE_FORMAT', 'PICTURE_DAMAGED', 'PICTURE_TOO_LARGE']).toContain(code);
  expect(codes).toContain('PICTURE_FORMAT');
  expect(codes).toContain('PICTURE_DAMAGED');
  const bomb = await stream.ask({ frameData: png(pngHeader(6000, 6000), pngChunk('IDAT', Buffer.alloc(100)), pngChunk('IEND')) });
  expect(bomb.error?.code).toBe('PICTURE_TOO_LARGE');
  agrees('messi5.jpg', await stream.ask({ frameData: MESSI }));
  expect(await server.pids('picture-decoder')).toEqual(decoder);
  expect(await server.pids('control')).toEqual(control);
});

test('[INF-7] clients that vanish leave nothing behind', async () => {
  const before = await server.metric('imageflow_video_streams');
  for (let i = 0; i < 20; i++) {
    using stream = new VideoStreamClient(server.grpc, server.token);
    for (let n = 0; n < 8; n++) void stream.ask({ frameData: MESSI });
    if (i % 2 === 0) await stream.ask({ frameData: MESSI }).catch(() => undefined);
  }
  await until('their streams have ended', async () => (await server.metric('imageflow_video_streams')) <= before);
  const stream = open();
  agrees('messi5.jpg', await stream.ask({ frameData: MESSI }));
});

test('[INF-7] the decoder is killed: its pictures are told so, and the stream goes on', async () => {
  const stream = open();
  agrees('messi5.jpg', await stream.ask({ frameData: MESSI }));
  const answers: StreamProcessedFrame[] = [];
  for (let round = 0; round < 3; round++) {
    for (const pid of await server.pids('picture-decoder')) process.kill(pid, 'SIGKILL');
    await until('pictures are seen again', async () => {
      const answer = await stream.ask({ frameData: MESSI });
      answers.push(answer);
      return answer.error === undefined;
    });
  }
  for (const { error } of answers) expect([undefined, 'DECODER_LOST']).toContain(error?.code);
  agrees('messi5.jpg', await stream.ask({ frameData: MESSI }));
});

test('[INF-7] the worker is killed: its pictures are told so, and the same stream goes on when it is back', async () => {
  const stream = open();
  agrees('messi5.jpg', await stream.ask({ frameData: MESSI }));
  const [worker = 0] = await server.pids('worker');
  process.kill(worker, 'SIGKILL');
  const codes: (string | undefined)[] = [];
  await until('it is told that there is none', async () => {
    codes.push((await stream.ask({ frameData: MESSI })).error?.code);
    return codes.at(-1) !== undefined;
  });
  await until('pictures are seen again', async () => {
    codes.push((await stream.ask({ frameData: MESSI })).error?.code);
    return codes.at(-1) === undefined;
  }, 60_000);
  for (const code of codes) expect([undefined, 'NO_WORKER', 'MODEL_NOT_READY', 'DEADLINE_EXCEEDED']).toContain(code);
  agrees('messi5.jpg', await stream.ask({ frameData: MESSI }));
});

test('[INF-7] who logs out has no stream any more', async () => {
  const token = (await server.request<{ access_token: string }>('POST', '/v1/auth/login', { username: 'operator-1', password: 'operator-password' })).access_token;
  const stream = open(token);
  agrees('messi5.jpg', await stream.ask({ frameData: MESSI }));
  expect((await server.fetch('/v1/auth/logout', { method: 'POST', headers: { authorization: `Bearer ${token}` } })).ok).toBe(true);
  expect(await stream.ended).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'TOKEN_REVOKED' });
});

test('[INF-7] an independent client, gRPC\'s own in Python, streams pictures in and gets the same boxes', async () => {
  const script = join(import.meta.dirname, '../../examples/python-client/stream_pictures.py');
  const files = Object.keys(golden);
  const folder = stack.adopt(mkdtempSync(join(tmpdir(), 'if-annotated-')), (path) => { rmSync(path, { recursive: true, force: true }); });
  const { stdout } = await promisify(execFile)(pythonOfWorker(), [script, '--server', server.grpc, '--source', 'python', '--annotated', folder, ...files.map((file) => join(IMAGES, file))], { env: { ...process.env, IMAGEFLOW_TOKEN: server.token }, timeout: 60_000 });
  const lines = stdout.trim().split('\n').map((line) => JSON.parse(line) as { file: string; detections: { class_name: string; confidence: number; bbox: { x: number; y: number; width: number; height: number } }[]; total_ms: number; error: string | null });
  expect(lines.map(({ file }) => file)).toEqual(files);
  const ours = open();
  for (const { file, detections, error } of lines) {
    expect(error).toBeNull();
    const answer = await ours.ask({ frameData: image(file) });
    expect(detections.map(({ class_name: name, confidence }) => [name, confidence.toFixed(3)])).toEqual(answer.detections.map(({ className, confidence }) => [className, confidence.toFixed(3)]));
    for (const [i, { bbox }] of detections.entries()) expect(iou(bbox, answer.detections[i]?.bbox ?? { x: 0, y: 0, width: 0, height: 0 })).toBeGreaterThan(0.99);
  }
  const messi = lines.find(({ file }) => file === 'messi5.jpg');
  expectBoxes(MESSI, readFileSync(join(folder, 'messi5.jpg')), messi?.detections.map(({ bbox }) => bbox) ?? []);
  await expect(promisify(execFile)(pythonOfWorker(), [script, '--server', server.grpc, join(IMAGES, 'messi5.jpg')], { env: { ...process.env, IMAGEFLOW_TOKEN: 'wrong' } })).rejects.toMatchObject({ stderr: expect.stringContaining('UNAUTHENTICATED') as string });
});

test('[INF-7] a server that stops says so to its streams, and stops in time', async () => {
  const stream = open();
  agrees('messi5.jpg', await stream.ask({ frameData: MESSI }));
  const said = server.log.length;
  const stopped = server.stop();
  expect(await stream.ended).toMatchObject({ code: 'UNAVAILABLE', reason: 'SERVER_STOPS' });
  expect(await stopped).toBe(0);
  expect(server.log.slice(said).filter((line) => line.includes('was killed'))).toEqual([]);
});
