/** The protocol of AI workers, spoken with the one in Python of `examples/`, a real process. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { Client, credentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { HealthService, ServingStatus } from '../../platform/grpc/health.ts';
import { HealthCheckRequestSchema } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { InferenceService, ListModelsRequestSchema, ModelState, RefusalReason } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import { Asker, RawStream, picture, serving, settledModels } from '../support/inference-clients.ts';
import { modelOfZeros, modelThatFailsOnWhite } from '../support/onnx-writer.ts';
import { PythonWorker } from '../support/python-worker.ts';
import { until } from '../support/server.ts';

const BUNDLED = join(import.meta.dirname, '..', '..', 'models');
const MODEL = 'nanodet-g-416.int8.u8';
const INPUT = { inputWidth: 416, inputHeight: 416 };
/** A request that `MODEL` answers. */
const GOOD = { model: MODEL, pixels: new Uint8Array(3 * 416 * 416), sourceWidth: 640, sourceHeight: 480, deadlineMs: 60_000 };
const SMALL = { ...GOOD, pixels: new Uint8Array(3 * 32 * 32) };
const WHITE = new Uint8Array(3 * 32 * 32).fill(255);

let folder: string;
let models: string;
let worker: PythonWorker;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'if-py-'));
  models = join(folder, 'models');
  mkdirSync(models);
  writeFileSync(join(models, 'text.onnx'), 'this is no model');
  writeFileSync(join(models, 'fails-on-white.onnx'), modelThatFailsOnWhite());
  // It takes small pictures and a long time for each: half a million anchors.
  writeFileSync(join(models, 'slow.onnx'), modelOfZeros([1, 44, 500_000]));
  worker = await PythonWorker.start(['--listen', socket('python'), '--models', BUNDLED, models]);
  await worker.ready;
  await settledModels(worker.address);
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const socket = (name: string): string => `unix:${join(folder, `${name}.sock`)}`;
const refused = (requestId: bigint, reason: RefusalReason): object => ({ case: 'refusal', value: { requestId, reason } });
const answered = (requestId: bigint): object => ({ case: 'outcome', value: { requestId } });

/** A stream whose worker has spoken. */
const openStream = async (): Promise<RawStream> => {
  const stream = new RawStream(worker.address);
  expect(await stream.next()).toMatchObject({ case: 'grant', value: { credits: 2 } });
  return stream;
};

test('[INF-1] what is wrong is refused by its reason, and every answer returns the credit', async () => {
  using stream = await openStream();
  const wrong: readonly (readonly [object, RefusalReason])[] = [
    [{ model: 'none' }, RefusalReason.UNKNOWN_MODEL],
    [{ model: 'text' }, RefusalReason.MODEL_NOT_READY],
    [{ pixels: new Uint8Array(3 * 416 * 416 - 1) }, RefusalReason.BAD_REQUEST],
    [{ pixels: new Uint8Array(0) }, RefusalReason.BAD_REQUEST],
    [{ confidence: Number.NaN }, RefusalReason.BAD_REQUEST],
    [{ confidence: 1.01 }, RefusalReason.BAD_REQUEST],
    [{ confidence: -0.1 }, RefusalReason.BAD_REQUEST],
    [{ sourceWidth: 0 }, RefusalReason.BAD_REQUEST],
    [{ sourceHeight: 0 }, RefusalReason.BAD_REQUEST],
    [{ model: 'fails-on-white', pixels: WHITE }, RefusalReason.INFERENCE_FAILED],
  ];
  for (const [i, [over, reason]] of wrong.entries()) {
    stream.ask({ ...GOOD, requestId: BigInt(i), ...over });
    expect(await stream.next(), JSON.stringify(over).slice(0, 100)).toMatchObject(refused(BigInt(i), reason));
  }
  stream.ask({ ...SMALL, requestId: 100n, model: 'fails-on-white' });
  expect(await stream.next()).toMatchObject(answered(100n));
  stream.ask({ ...GOOD, requestId: 101n, confidence: 0 });
  expect(await stream.next()).toMatchObject(answered(101n));
});

test('[INF-1] a picture whose deadline passed before its turn is not looked at; answers keep the order of the requests; who half-closes gets them all', async () => {
  using stream = await openStream();
  stream.ask({ ...GOOD, requestId: 1n });
  stream.ask({ ...GOOD, requestId: 2n, deadlineMs: 0 });
  expect(await stream.next()).toMatchObject({ case: 'outcome', value: { requestId: 1n, modelDigest: expect.stringMatching(/^[0-9a-f]{64}$/) } });
  expect(await stream.next()).toMatchObject(refused(2n, RefusalReason.DEADLINE));
  stream.ask({ ...GOOD, requestId: 3n });
  stream.ask({ ...GOOD, requestId: 4n, model: 'none' });
  stream.halfClose();
  expect(await stream.next()).toMatchObject(answered(3n));
  expect(await stream.next()).toMatchObject(refused(4n, RefusalReason.UNKNOWN_MODEL));
  expect(await stream.next()).toBeUndefined();
});

test('[EXT-4] a picture without credit is refused at once and returns none; who goes on is cut off', async () => {
  using stream = await openStream();
  let id = 0n;
  const askThree = (): void => { for (let i = 0; i < 3; i++) stream.ask({ ...SMALL, model: 'slow', requestId: ++id }); };
  for (let round = 0; round < 2; round++) {
    askThree();
    expect(await stream.next()).toMatchObject(refused(id, RefusalReason.NO_CREDIT));
    expect(await stream.next()).toMatchObject(answered(id - 2n));
    expect(await stream.next()).toMatchObject(answered(id - 1n));
  }
  askThree();
  for (let i = 0; i < 14; i++) stream.ask({ ...SMALL, model: 'slow', requestId: ++id });
  for (let overrun = 3n; overrun <= 16n; overrun++) expect(await stream.next()).toMatchObject(refused(6n + overrun, RefusalReason.NO_CREDIT));
  await expect(stream.next()).rejects.toMatchObject({ details: 'pictures sent without credit' });
});

test('[EXT-4] a client that goes away leaves its pictures unseen and the worker to the others', async () => {
  /** Each failure is logged: one that is not was not looked at. */
  const failing = (sequence: bigint): object => ({ ...SMALL, model: 'fails-on-white', pixels: WHITE, picture: { stream: 'gate', sequence } });
  const logged = (sequence: bigint): boolean => worker.log.some((line) => line.includes(`camera gate, picture ${String(sequence)}`));
  using stream = await openStream();
  for (const requestId of [1n, 2n]) stream.ask({ ...SMALL, model: 'slow', requestId });
  {
    using leaver = await openStream();
    for (const requestId of [71n, 72n, 73n]) leaver.ask({ ...failing(requestId), requestId });
    expect(await leaver.next()).toMatchObject(refused(73n, RefusalReason.NO_CREDIT)); // the others are there, too
  }
  expect(await stream.next()).toMatchObject(answered(1n));
  expect(await stream.next()).toMatchObject(answered(2n));
  stream.ask({ ...failing(80n), requestId: 3n });
  expect(await stream.next()).toMatchObject(refused(3n, RefusalReason.INFERENCE_FAILED));
  await until('the failure is logged', () => logged(80n));
  expect([logged(71n), logged(72n)]).toEqual([false, false]);
});

test('[INF-1] bytes that are no request end their stream and nobody else\'s', async () => {
  using good = await openStream();
  const client = new Client(worker.address, credentials.createInsecure());
  const ended = Promise.withResolvers<unknown>();
  const stream = client.makeBidiStreamRequest(`/${InferenceService.typeName}/Detect`, (bytes: Buffer) => bytes, (bytes) => bytes);
  stream.on('data', () => undefined);
  stream.on('error', ended.resolve);
  stream.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
  expect(await ended.promise).toMatchObject({ code: status.INVALID_ARGUMENT });
  client.close();
  good.ask({ ...GOOD, requestId: 1n });
  expect(await good.next()).toMatchObject(answered(1n));
});

test('[INF-1][INF-3] it is SERVING once its default model is warm, refuses pictures until then, and tells its clients when the models change', async () => {
  const slow = join(folder, 'loading');
  mkdirSync(slow);
  writeFileSync(join(slow, 'late.onnx'), modelThatFailsOnWhite());
  // The model is loaded as soon as somebody has written its labels.
  execFileSync('mkfifo', [join(slow, 'late.labels.json')]);
  await using cold = await PythonWorker.start(['--listen', socket('cold'), '--models', slow, '--default-model', 'late', '--credits', '5']);
  using stream = new RawStream(cold.address);
  expect(await stream.next()).toMatchObject({ case: 'grant', value: { credits: 5, models: [{ name: 'late', state: ModelState.LOADING, labels: [] }] } });
  for (const service of ['', InferenceService.typeName]) expect(await serving(cold.address, service)).toBe(ServingStatus.NOT_SERVING);
  stream.ask({ ...SMALL, model: 'late', requestId: 1n });
  expect(await stream.next()).toMatchObject(refused(1n, RefusalReason.MODEL_NOT_READY));
  writeFileSync(join(slow, 'late.labels.json'), '["first", "second"]');
  expect(await stream.next()).toMatchObject({ case: 'grant', value: { credits: 0, models: [{ name: 'late', state: ModelState.READY, labels: ['first', 'second'] }] } });
  await cold.ready;
  for (const service of ['', InferenceService.typeName]) expect(await serving(cold.address, service)).toBe(ServingStatus.SERVING);
  stream.ask({ ...SMALL, model: 'late', requestId: 2n });
  expect(await stream.next()).toMatchObject(answered(2n));
});

test('[D-17] on host:port it answers only who shows the token, and does not start without one; a socket is its owner\'s alone', async () => {
  const token = 'a token of the machines';
  await expect(PythonWorker.start(['--listen', '127.0.0.1:0'])).rejects.toThrow('--token');
  await using guarded = await PythonWorker.start(['--listen', '127.0.0.1:0', '--token', token]);
  for (const wrong of [{}, { token: 'another token altogether' }]) {
    using client = GrpcClient.dial(InferenceService, guarded.address, wrong);
    await expect(client.call.listModels(create(ListModelsRequestSchema), { deadlineMs: 20_000 })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    using health = GrpcClient.dial(HealthService, guarded.address, wrong);
    await expect(health.call.check(create(HealthCheckRequestSchema), { deadlineMs: 20_000 })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    using stream = new RawStream(guarded.address, wrong);
    await expect(stream.next()).rejects.toMatchObject({ details: 'this listener asks for its token' });
  }
  using asker = new Asker(guarded.address, token);
  expect((await asker.detect(MODEL, picture('messi5.jpg', INPUT), null)).detections.map(({ className }) => className)).toContain('person');
  expect(statSync(join(folder, 'python.sock')).mode & 0o077).toBe(0);
});

test('[INF-1] pings without data, which the server sends to notice a peer that vanished, are answered for ever', async () => {
  const session = connect('http://localhost', { createConnection: () => createConnection(join(folder, 'python.sock')) });
  const away = Promise.withResolvers<never>();
  session.on('goaway', (code) => { away.reject(new Error(`the worker ends the connection with ${code}`)); });
  session.on('error', away.reject);
  away.promise.catch(() => undefined);
  try {
    await Promise.race([once(session, 'remoteSettings'), away.promise]);
    for (let i = 0; i < 50; i++) {
      const ping = Promise.withResolvers<undefined>();
      session.ping((error) => { if (error) ping.reject(error); else ping.resolve(undefined); });
      await Promise.race([ping.promise, away.promise]);
    }
  } finally {
    session.destroy();
  }
});

test('[EXT-6] after kill -9 and a new start the dispatcher is connected again; SIGTERM costs no client an answer and leaves no socket', async () => {
  using asker = new Asker(worker.address);
  const still = picture('messi5.jpg', INPUT);
  const before = (await asker.detect(MODEL, still, null)).detections;
  expect(before.length).toBeGreaterThan(0);
  expect(await worker.end('SIGKILL')).toBeNull();
  await expect.poll(() => asker.dispatcher.connected, { timeout: 20_000 }).toBe(false);
  await expect(asker.offer(MODEL, still, null)).rejects.toThrow('worker_lost');
  {
    await using again = await PythonWorker.start(['--listen', worker.address]);
    expect((await asker.detect(MODEL, still, null)).detections).toEqual(before);
    using stream = new RawStream(again.address);
    expect(await stream.next()).toMatchObject({ case: 'grant', value: { models: [{}, {}, {}] } });
    using stays = new RawStream(again.address);
    expect(await stays.next()).toMatchObject({ case: 'grant' });
    const code = again.end('SIGTERM');
    await until('it says that it leaves', async () => { const message = await stream.next(); return message?.case === 'grant' && message.value.models.length === 0; });
    for (const requestId of [1n, 2n]) stream.ask({ ...GOOD, model: 'none', requestId });
    stream.halfClose();
    expect(await stream.next()).toMatchObject(refused(1n, RefusalReason.UNKNOWN_MODEL));
    expect(await stream.next()).toMatchObject(refused(2n, RefusalReason.UNKNOWN_MODEL));
    expect(await stream.next()).toBeUndefined();
    expect(await stays.answer()).toBeUndefined();
    expect(await code).toBe(0);
    expect(existsSync(join(folder, 'python.sock'))).toBe(false);
    expect(again.log.filter((line) => /Traceback|never retrieved/.test(line))).toEqual([]);
  }
  expect(worker.log.filter((line) => /Traceback|never retrieved/.test(line))).toEqual([]);
});
