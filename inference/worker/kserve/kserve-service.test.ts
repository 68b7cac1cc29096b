import { connect } from 'node:http2';
import { create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import type { Clock } from '../../../core/clock.ts';
import { GrpcClient } from '../../../platform/grpc/client.ts';
import { GrpcServer } from '../../../platform/grpc/server.ts';
import { silentLogger } from '../../../platform/logging.ts';
import { DetectRequestSchema, InferenceService as DetectService } from '../../../proto/gen/imageflow/v1/inference_pb.ts';
import type { DetectResponse } from '../../../proto/gen/imageflow/v1/inference_pb.ts';
import {
  GRPCInferenceService, ModelInferRequestSchema, ModelMetadataRequestSchema, ModelReadyRequestSchema, ServerLiveRequestSchema, ServerMetadataRequestSchema, ServerReadyRequestSchema,
} from '../../../proto/gen/inference/kserve_pb.ts';
import type { LoadedModel, OutputTensor, TensorModel } from '../../models/loaded-model.ts';
import type { InferenceOutcome, ModelInfo } from '../../port.ts';
import { fakeModelInfo } from '../../testing/fake-worker.ts';
import { InferenceService } from '../inference-service.ts';
import { Turns } from '../turns.ts';
import { KserveService } from './kserve-service.ts';
import type { KserveServiceOptions } from './kserve-service.ts';

const RAW = Uint8Array.from({ length: 12 }, (_, i) => i);
interface Request {
  readonly modelName?: string;
  readonly modelVersion?: string;
  readonly id?: string;
  readonly inputs?: { name: string; datatype: string; shape: bigint[]; contents?: { uintContents: number[] } }[];
  readonly outputs?: { name: string }[];
  readonly rawInputContents?: Uint8Array[];
}
const GOOD: Request = { modelName: 'm', id: 'call-1', inputs: [{ name: 'images', datatype: 'UINT8', shape: [1n, 2n, 2n, 3n] }], rawInputContents: [RAW] };

/** Runs wait for `gate`, and give what `outputs` has of what is wanted. */
class Model implements LoadedModel {
  readonly info: ModelInfo;
  readonly tensors: TensorModel;
  /** What it was run with, in this order. */
  readonly seen: ('picture' | readonly number[])[] = [];
  gate: Promise<unknown> = Promise.resolve();
  outputs: Readonly<Record<string, OutputTensor>> = {
    sum: { type: 'float32', dims: [1, 2], data: Float32Array.of(1.5, -2) }, words: { type: 'string', dims: [1, 2], data: ['ä', ''] }, half: { type: 'float16', dims: [1, 1], data: Float16Array.of(0.5) },
  };

  constructor(name: string, digest = 'd'.repeat(64), dims: readonly (number | string)[] = ['n', 2, 2, 3]) {
    this.info = { ...fakeModelInfo(name, 2), digest };
    this.tensors = {
      inputs: [{ name: 'images', type: 'uint8', dims, most: [1, 2, 2, 3] }],
      outputs: [{ name: 'sum', type: 'float32', dims: ['n', 2] }, { name: 'words', type: 'string', dims: ['', -1] }, { name: 'half', type: 'float16', dims: [0, 1] }],
      run: async (feeds, outputs) => {
        this.seen.push([...(feeds['images']?.data ?? [])]);
        await this.gate;
        return Object.fromEntries(Object.entries(this.outputs).filter(([output]) => outputs.includes(output)));
      },
    };
  }

  infer(): Promise<InferenceOutcome> {
    this.seen.push('picture');
    return Promise.resolve({ detections: [], inferenceMs: 1, model: this.info.name, modelDigest: this.info.digest });
  }

  [Symbol.dispose](): void { /* holds nothing */ }
}

const info = (name: string, over: Partial<ModelInfo>): ModelInfo => ({ ...fakeModelInfo(name, 2), ...over });

/** A service behind a real server, and a client of it. */
class Served implements AsyncDisposable {
  readonly models: Map<string, LoadedModel>;
  readonly kserve: KserveService;
  readonly client: GrpcClient<typeof GRPCInferenceService>;
  readonly #server: GrpcServer;

  private constructor(kserve: KserveService, server: GrpcServer, models: Map<string, LoadedModel>) {
    this.kserve = kserve;
    this.#server = server;
    this.models = models;
    this.client = GrpcClient.dial(GRPCInferenceService, server.address, { maxMessageBytes: 64 << 20 });
  }

  static async start(loaded: readonly LoadedModel[], over: Partial<KserveServiceOptions> = {}, others: readonly ModelInfo[] = []): Promise<Served> {
    const models = new Map(loaded.map((model) => [model.info.name, model]));
    const registry = { ready: (name: string) => models.get(name), list: () => [...[...models.values()].map((model) => model.info), ...others] };
    const turns = new Turns();
    const kserve = new KserveService({ registry, turns, ready: () => true, version: '1.2.3', maxCalls: 8, maxBytes: 1 << 20, clock: systemClock, ...over });
    const live = new InferenceService({
      registry: { ...registry, has: (name) => models.has(name), onChange: () => ({ [Symbol.dispose]: () => undefined }) }, credits: 2, turns, kserveCalls: () => kserve.results, clock: systemClock, logger: silentLogger(),
    });
    const server = await GrpcServer.start({ listen: '127.0.0.1:0', services: [kserve.service, live.service], graceMs: 10, maxMessageBytes: 64 << 20 });
    return new Served(kserve, server, models);
  }

  get address(): string { return this.#server.address; }

  infer(over: Request = {}, options: { readonly deadlineMs?: number; readonly signal?: AbortSignal } = {}) {
    return this.client.call.modelInfer(create(ModelInferRequestSchema, { ...GOOD, ...over }), options);
  }

  /** Until these are the results there were. */
  async counted(results: Readonly<Record<string, number>>): Promise<void> {
    await expect.poll(() => Object.fromEntries([...this.kserve.results].filter(([, calls]) => calls > 0))).toEqual(results);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    this.kserve[Symbol.dispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}

test('[INF-4] a KServe client is told of server and models', async () => {
  let ready = false;
  await using served = await Served.start([new Model('m')], { ready: () => ready });
  const { call } = served.client;
  expect(await call.serverLive(create(ServerLiveRequestSchema))).toMatchObject({ live: true });
  const serverReady = async (): Promise<boolean> => (await call.serverReady(create(ServerReadyRequestSchema))).ready;
  expect(await serverReady()).toBe(false);
  ready = true;
  expect(await serverReady()).toBe(true);
  expect(await call.serverMetadata(create(ServerMetadataRequestSchema))).toMatchObject({ name: 'imageflow-edge', version: '1.2.3', extensions: [] });
  expect(await call.modelMetadata(create(ModelMetadataRequestSchema, { name: 'm' }))).toMatchObject({
    name: 'm', versions: ['d'.repeat(64)], platform: 'onnxruntime_onnx', inputs: [{ name: 'images', datatype: 'UINT8', shape: [-1n, 2n, 2n, 3n] }],
    outputs: [{ name: 'sum', datatype: 'FP32', shape: [-1n, 2n] }, { name: 'words', datatype: 'BYTES', shape: [-1n, -1n] }, { name: 'half', datatype: 'FP16', shape: [-1n, 1n] }],
  });
  const modelReady = async (name: string, version = ''): Promise<boolean> => (await call.modelReady(create(ModelReadyRequestSchema, { name, version }))).ready;
  expect([await modelReady('m'), await modelReady('m', 'd'.repeat(64)), await modelReady('m', '1'), await modelReady('none')]).toEqual([true, true, false, false]);
});

test('[INF-4] tensors go in and come out as they are, those asked for, with the id and the version', async () => {
  const model = new Model('m');
  await using served = await Served.start([model]);
  const answer = await served.infer();
  expect(model.seen).toEqual([[...RAW]]);
  expect(answer).toMatchObject({
    modelName: 'm', modelVersion: 'd'.repeat(64), id: 'call-1',
    outputs: [{ name: 'sum', datatype: 'FP32', shape: [1n, 2n] }, { name: 'words', datatype: 'BYTES', shape: [1n, 2n] }, { name: 'half', datatype: 'FP16', shape: [1n, 1n] }],
  });
  expect(answer.rawOutputContents.map((raw) => Buffer.from(raw).toString('hex'))).toEqual(['0000c03f000000c0', '02000000c3a400000000', '0038']);
  const typed = await served.infer({ modelVersion: 'd'.repeat(64), id: '', inputs: [{ name: 'images', datatype: 'UINT8', shape: [1n, 2n, 2n, 3n], contents: { uintContents: [...RAW] } }], rawInputContents: [], outputs: [{ name: 'half' }] });
  expect(model.seen).toEqual([[...RAW], [...RAW]]);
  expect(typed).toMatchObject({ id: '', outputs: [{ name: 'half' }] });
  await served.counted({ ok: 2 });
});

test('[INF-4] what cannot be run is refused by its reason, and counted', async () => {
  const model = new Model('m');
  await using served = await Served.start([model], {}, [
    info('loads', { state: 'loading' }), info('broken', { state: 'failed', failure: 'no layout' }), info('far', { backend: 'kserve' }),
  ]);
  const refused = async (over: Request, code: string, message: string, grpc: status): Promise<void> => {
    await expect(served.infer(over)).rejects.toMatchObject({ code, message: expect.stringContaining(message), cause: { code: grpc } });
  };
  await refused({ modelName: `${'x'.repeat(99)}😀` }, 'NOT_FOUND', 'no model xxx', status.NOT_FOUND);
  await refused({ modelName: '' }, 'NOT_FOUND', 'no model', status.NOT_FOUND);
  await refused({ modelName: 'loads' }, 'UNAVAILABLE', 'the model loads is loading', status.UNAVAILABLE);
  await refused({ modelName: 'broken' }, 'FAILED_PRECONDITION', 'the model broken has failed: no layout', status.FAILED_PRECONDITION);
  await refused({ modelName: 'far' }, 'FAILED_PRECONDITION', 'runs on a KServe server itself', status.FAILED_PRECONDITION);
  await refused({ modelVersion: '1' }, 'INVALID_ARGUMENT', 'in one version, dddd', status.INVALID_ARGUMENT);
  await refused({ rawInputContents: [RAW.subarray(1)] }, 'INVALID_ARGUMENT', 'the input images came with 11 bytes', status.INVALID_ARGUMENT);
  expect(model.seen).toEqual([]);
  model.gate = Promise.reject(new Error('boom'));
  model.gate.catch(() => undefined);
  await refused({}, 'INTERNAL', 'the model failed: boom', status.INTERNAL);
  model.gate = Promise.resolve();
  model.outputs = { sum: { type: 'float32', dims: [1], data: new Float32Array(32 << 20) } };
  await refused({ outputs: [{ name: 'sum' }] }, 'UNPROCESSABLE', 'ask for fewer', status.INVALID_ARGUMENT);
  model.outputs = {};
  await refused({ outputs: [{ name: 'sum' }] }, 'INTERNAL', 'it gave no output sum', status.INTERNAL);
  await served.counted({ unknown_model: 2, not_ready: 3, invalid: 2, failed: 2, too_large: 1 });
  const metadata = (name: string) => served.client.call.modelMetadata(create(ModelMetadataRequestSchema, { name }));
  await expect(metadata('none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(metadata('far')).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
});

test('[INF-4] calls above the bound are refused at once, also before their request has come; places are free again when calls end', async () => {
  const model = new Model('m');
  const gate = Promise.withResolvers<undefined>();
  model.gate = gate.promise;
  await using served = await Served.start([model], { maxCalls: 3 });
  const client = new Client(served.address, credentials.createInsecure());
  // It is there, and sends nothing.
  const silent = client.makeClientStreamRequest(`/${GRPCInferenceService.typeName}/ModelInfer`, (bytes: Buffer) => bytes, (bytes) => bytes, () => undefined);
  silent.on('error', () => undefined);
  const first = [served.infer(), served.infer()];
  await expect.poll(() => served.kserve.calls).toBe(3);
  await expect(served.infer()).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED', message: expect.stringContaining('worker.kserve_calls'), retryAfterSeconds: 1, cause: { code: status.RESOURCE_EXHAUSTED } });
  silent.cancel();
  await served.counted({ full: 1, cancelled: 1 });
  const third = served.infer();
  gate.resolve(undefined);
  await Promise.all([...first, third]);
  for (let i = 0; i < 10; i++) await served.infer();
  await served.counted({ full: 1, cancelled: 1, ok: 13 });
  client.close();
});

test('[INF-4] requests are bounded in bytes together; one alone may be larger', async () => {
  const model = new Model('m');
  const gate = Promise.withResolvers<undefined>();
  model.gate = gate.promise;
  await using served = await Served.start([model], { maxBytes: 10 });
  const first = served.infer();
  await expect.poll(() => model.seen.length).toBe(1);
  await expect(served.infer()).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED', message: expect.stringContaining('worker.kserve_bytes') });
  gate.resolve(undefined);
  await first;
  await served.counted({ ok: 1, full: 1 });
  await served.infer();
});

test('[INF-4] a live picture goes before the calls that wait', async () => {
  const model = new Model('m');
  const gate = Promise.withResolvers<undefined>();
  model.gate = gate.promise;
  await using served = await Served.start([model]);
  const calls = Array.from({ length: 5 }, () => served.infer());
  await expect.poll(() => served.kserve.calls).toBe(5);
  using client = GrpcClient.dial(DetectService, served.address);
  const stream = client.call.detect();
  stream.on('error', () => undefined);
  const answers = stream.iterator() as AsyncIterator<DetectResponse>;
  await answers.next();
  for (const requestId of [1n, 2n, 3n]) stream.write(create(DetectRequestSchema, { requestId, model: 'm', deadlineMs: 60_000, pixels: RAW, sourceWidth: 1, sourceHeight: 1 }));
  expect((await answers.next()).value).toMatchObject({ message: { case: 'refusal', value: { requestId: 3n } } }); // two credits: the others wait
  gate.resolve(undefined);
  await Promise.all(calls);
  const tensors = [...RAW];
  expect(model.seen).toEqual([tensors, 'picture', 'picture', tensors, tensors, tensors, tensors]);
  stream.cancel();
});

test('[INF-4] a call whose deadline passed before its turn is not run', async () => {
  const model = new Model('m');
  const gate = Promise.withResolvers<undefined>();
  model.gate = gate.promise;
  let ahead = 0;
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + ahead };
  await using served = await Served.start([model], { clock });
  const first = served.infer();
  await expect.poll(() => model.seen.length).toBe(1);
  const second = served.infer({}, { deadlineMs: 60_000 });
  second.catch(() => undefined);
  const third = served.infer({}, { deadlineMs: 600_000 });
  await expect.poll(() => served.kserve.calls).toBe(3);
  ahead = 300_000;
  gate.resolve(undefined);
  await expect(second).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', message: expect.stringContaining('before its turn') });
  await Promise.all([first, third]);
  expect(model.seen).toHaveLength(2);
  await served.counted({ ok: 2, expired: 1 });
});

test('[INF-4] a call that is cancelled, or whose client is gone, is dropped from the queue', async () => {
  const model = new Model('m');
  const gate = Promise.withResolvers<undefined>();
  model.gate = gate.promise;
  await using served = await Served.start([model]);
  const first = served.infer();
  await expect.poll(() => model.seen.length).toBe(1);
  const away = new AbortController();
  const second = served.infer({}, { signal: away.signal });
  const connection = connect(`http://${served.address}`);
  connection.on('error', () => undefined);
  const message = toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, GOOD));
  const third = connection.request({ ':method': 'POST', ':path': `/${GRPCInferenceService.typeName}/ModelInfer`, 'content-type': 'application/grpc', te: 'trailers' });
  third.on('error', () => undefined);
  third.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message])); // a message not compressed, and its length
  await expect.poll(() => served.kserve.calls).toBe(3);
  away.abort();
  connection.destroy();
  await expect(second).rejects.toThrow();
  await served.counted({ cancelled: 2 });
  gate.resolve(undefined);
  await first;
  await served.infer();
  expect(model.seen).toHaveLength(2);
});

test('[INF-4] a model that is replaced while a call waits is asked as what it is then', async () => {
  const before = new Model('m');
  const gate = Promise.withResolvers<undefined>();
  before.gate = gate.promise;
  await using served = await Served.start([before]);
  const first = served.infer();
  await expect.poll(() => before.seen.length).toBe(1);
  const [second, pinned] = [served.infer(), served.infer({ modelVersion: before.info.digest })];
  pinned.catch(() => undefined);
  await expect.poll(() => served.kserve.calls).toBe(3);
  served.models.set('m', new Model('m', 'e'.repeat(64)));
  gate.resolve(undefined);
  expect(await first).toMatchObject({ modelVersion: before.info.digest });
  expect(await second).toMatchObject({ modelVersion: 'e'.repeat(64) });
  await expect(pinned).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});

test('[INF-4] a worker that leaves takes no more calls, answers what it has within its time, and refuses the rest', async () => {
  const model = new Model('m');
  const gate = Promise.withResolvers<undefined>();
  model.gate = gate.promise;
  await using served = await Served.start([model]);
  const first = served.infer();
  await expect.poll(() => model.seen.length).toBe(1);
  const second = served.infer();
  await expect.poll(() => served.kserve.calls).toBe(2);
  await served.kserve.retire(1);
  await expect(served.infer()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(await served.client.call.serverReady(create(ServerReadyRequestSchema))).toMatchObject({ ready: false });
  const left = served.kserve.retire(60_000);
  served.kserve[Symbol.dispose]();
  await expect(second).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'the worker is about to leave' });
  gate.resolve(undefined);
  await first;
  await left;
  await served.counted({ ok: 1, not_ready: 2 });
});

test('[INF-4] a call that is no request ends for its reason and harms nobody', async () => {
  const clock: Clock = { ...systemClock, after: (delay, callback) => systemClock.after(delay === 30_000 ? 20 : delay, callback) };
  await using served = await Served.start([new Model('m')], { clock });
  const client = new Client(served.address, credentials.createInsecure());
  const send = (messages: readonly Uint8Array[], end: boolean): Promise<unknown> => new Promise((resolve) => {
    const call = client.makeClientStreamRequest(`/${GRPCInferenceService.typeName}/ModelInfer`, (bytes: Uint8Array) => Buffer.from(bytes), (bytes) => bytes, (error) => { resolve(error); });
    for (const bytes of messages) call.write(bytes);
    if (end) call.end();
  });
  const good = toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, GOOD));
  expect(await send([Buffer.from('no such thing')], true)).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringContaining('not a ModelInferRequest') });
  expect(await send([], true)).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'the call has no request' });
  expect(await send([good, good], true)).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'the call has more than one request' });
  for (const messages of [[], [good]]) expect(await send(messages, false)).toMatchObject({ code: status.DEADLINE_EXCEEDED, details: 'the request did not come within 30 s' });
  const raw = (method: string, bytes: Uint8Array = new Uint8Array(0)): Promise<unknown> => new Promise((resolve) => {
    client.makeUnaryRequest(`/${GRPCInferenceService.typeName}/${method}`, (bytes: Buffer) => bytes, (bytes) => bytes, Buffer.from(bytes), (error) => { resolve(error); });
  });
  expect(await raw('ModelReady', toBinary(ModelReadyRequestSchema, create(ModelReadyRequestSchema, { name: 'x'.repeat(1 << 20) })))).toMatchObject({ code: status.INTERNAL });
  for (const method of ['RepositoryIndex', 'ModelConfig', 'SystemSharedMemoryStatus']) expect(await raw(method)).toMatchObject({ code: status.UNIMPLEMENTED });
  client.close();
  await served.infer();
  await served.counted({ invalid: 3, expired: 2, ok: 1 });
});
