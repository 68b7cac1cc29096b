import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';
import { expect, test, vi } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { GrpcServer } from '../../platform/grpc/server.ts';
import { silentLogger } from '../../platform/logging.ts';
import { DetectRequestSchema, GetStatisticsRequestSchema, InferenceService as Service, RefusalReason } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import type { DetectRequest, DetectResponse } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import type { LoadedModel, PictureBatch } from '../models/loaded-model.ts';
import { PictureMemory } from '../picture-memory.ts';
import type { InferenceFrame, InferenceOutcome, ModelInfo } from '../port.ts';
import { fakeModelInfo } from '../testing/fake-worker.ts';
import { InferenceService } from './inference-service.ts';
import { Turns } from './turns.ts';

const SIDE = 2;
/** A picture is known by its first byte. */
const picture = (id: number): Uint8Array => new Uint8Array(3 * SIDE * SIDE).fill(id);

const REASONS: ReadonlyMap<number, string> = new Map(Object.entries(RefusalReason).map(([name, value]) => [value, name]));

interface Batching { readonly most: number; readonly delayMs?: number }

/** Finds one object in each picture, of the class that is the picture's number; runs wait for `gate`. */
class Model implements LoadedModel {
  readonly info: ModelInfo;
  readonly batch?: PictureBatch;
  /** The pictures of each run, in this order. */
  readonly runs: number[][] = [];
  gate: Promise<unknown> = Promise.resolve();
  /** Rejects a run, or does not. */
  check: (pictures: readonly number[]) => void = () => undefined;

  constructor(name: string, { most, delayMs = 0 }: Batching) {
    this.info = { ...fakeModelInfo(name, SIDE), batch: { pictures: most, why: 'the test says so' } };
    if (most > 1) this.batch = { most, delayMs, infer: (frames) => this.#run(frames) };
  }

  async infer(frame: InferenceFrame): Promise<InferenceOutcome> { return (await this.#run([frame]))[0]!; }

  async #run(frames: readonly InferenceFrame[]): Promise<readonly InferenceOutcome[]> {
    const ids = frames.map(({ pixels }) => pixels[0]!);
    this.runs.push(ids);
    await this.gate;
    this.check(ids);
    return ids.map((classId) => ({
      detections: [{ classId, className: 'thing', confidence: 0.5, bbox: { x: 0, y: 0, width: 1, height: 1 }, trackId: null }], inferenceMs: 1, model: this.info.name, modelDigest: this.info.digest,
    }));
  }

  [Symbol.dispose](): void { /* holds nothing */ }
}

class Camera implements Disposable {
  readonly grants: number[] = [];
  /** The worker reads the memory that was named. */
  sharesMemory = false;
  readonly worth: Record<string, number> = {};
  /** By request: the number of what was seen, or why it was refused. */
  readonly answers = new Map<number, string>();
  /** Of each outcome, the pictures of its run. */
  readonly company: number[] = [];
  readonly stream: ClientDuplexStream<DetectRequest, DetectResponse>;
  ended = false;
  readonly #client: GrpcClient<typeof Service>;

  constructor(address: string, memory?: PictureMemory | null) {
    this.#client = GrpcClient.dial(Service, address);
    this.stream = this.#client.call.detect(memory ? { metadata: memory.metadata } : {});
    this.stream.on('error', () => undefined);
    this.stream.on('end', () => { this.ended = true; });
    this.stream.on('data', ({ message }: DetectResponse) => {
      if (message.case === 'grant') {
        this.grants.push(message.value.credits);
        this.sharesMemory = message.value.sharedMemory;
        for (const { name, mostUnanswered } of message.value.models) this.worth[name] = mostUnanswered;
      } else if (message.case === 'outcome') {
        this.answers.set(Number(message.value.requestId), String(message.value.objects[0]!.classId));
        this.company.push(message.value.runPictures);
      } else if (message.case === 'refusal') this.answers.set(Number(message.value.requestId), REASONS.get(message.value.reason) ?? 'no reason');
    });
  }

  ask(id: number, over: MessageInitShape<typeof DetectRequestSchema> = {}): void {
    this.stream.write(create(DetectRequestSchema, { requestId: BigInt(id), model: 'm', deadlineMs: 60_000, sourceWidth: 10, sourceHeight: 10, pixels: picture(id), ...over }));
  }

  /** Until these are the answers. */
  async answered(expected: Readonly<Record<number, number | string>>): Promise<void> {
    await vi.waitFor(() => { expect(Object.fromEntries(this.answers)).toEqual(Object.fromEntries(Object.entries(expected).map(([id, answer]) => [id, String(answer)]))); }, 10_000);
  }

  [Symbol.dispose](): void { this.stream.cancel(); this.#client[Symbol.dispose](); }
}

class Worker implements AsyncDisposable {
  readonly #server: GrpcServer;
  readonly #service: InferenceService;
  readonly #models: Map<string, Model>;
  readonly #changed: (() => void)[];
  /** Requests that have come, and streams that have gone. */
  received = 0;
  gone = 0;

  private constructor(server: GrpcServer, service: InferenceService, models: Map<string, Model>, changed: (() => void)[]) {
    this.#server = server;
    this.#service = service;
    this.#models = models;
    this.#changed = changed;
  }

  static async start(loaded: readonly Model[], credits = 2): Promise<Worker> {
    const models = new Map(loaded.map((model) => [model.info.name, model]));
    const changed: (() => void)[] = [];
    const registry = {
      ready: (name: string) => models.get(name), has: (name: string) => models.has(name), list: () => [...models.values()].map(({ info }) => info),
      onChange: (listener: () => void) => { changed.push(listener); return { [Symbol.dispose]: () => undefined }; },
    };
    const service = new InferenceService({ registry, credits, turns: new Turns(), kserveCalls: () => new Map(), clock: systemClock, logger: silentLogger() });
    const detect = (call: ServerDuplexStream<DetectRequest, DetectResponse>): void => {
      call.on('data', () => { worker.received++; });
      call.on('cancelled', () => { worker.gone++; });
      (service.service.handlers['detect'] as (of: typeof call) => void)(call);
    };
    const registration = { ...service.service, handlers: { ...service.service.handlers, detect } };
    const worker = new Worker(await GrpcServer.start({ listen: '127.0.0.1:0', services: [registration], graceMs: 10 }), service, models, changed);
    return worker;
  }

  get address(): string { return this.#server.address; }

  retire(): Promise<void> { return this.#service.retire(60_000); }

  async camera(): Promise<Camera> {
    const camera = new Camera(this.address);
    await vi.waitFor(() => { expect(camera.grants).not.toEqual([]); }, 10_000);
    return camera;
  }

  /** Until so many requests have come. */
  async has(requests: number): Promise<void> { await vi.waitFor(() => { expect(this.received).toBe(requests); }, 10_000); }

  /** As when a file comes, or another takes its place; null: it goes. */
  put(name: string, model: Model | null): void {
    if (model) this.#models.set(name, model);
    else this.#models.delete(name);
    for (const each of this.#changed) each();
  }

  /** `model`: runs by the number of their pictures. */
  async runs(): Promise<Readonly<Record<string, Readonly<Record<number, number>>>>> {
    using client = GrpcClient.dial(Service, this.address);
    const { batches } = await client.call.getStatistics(create(GetStatisticsRequestSchema), { deadlineMs: 20_000 });
    return Object.fromEntries([...Map.groupBy(batches, ({ model }) => model)].map(([model, of]) => [model, Object.fromEntries(of.map(({ pictures, runs }) => [pictures, Number(runs)]))]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#service[Symbol.dispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}

test('[INF-5] pictures of several cameras that wait run together, each is answered for itself, and none waits for others that do not come', async () => {
  const model = new Model('m', { most: 4 });
  await using worker = await Worker.start([model]);
  using a = await worker.camera();
  using b = await worker.camera();
  const gate = Promise.withResolvers<undefined>();
  model.gate = gate.promise;
  a.ask(1);
  await vi.waitFor(() => { expect(model.runs).toEqual([[1]]); }, 10_000); // alone: nobody else was there
  for (const id of [2, 3]) a.ask(id);
  for (const id of [11, 12, 13]) b.ask(id);
  b.ask(14, { pixels: picture(1).subarray(1) });
  b.ask(15, { model: 'none' });
  b.ask(16, { model: 'none', confidence: Number.NaN });
  b.ask(99);
  await worker.has(10);
  gate.resolve(undefined);
  await a.answered({ 1: 1, 2: 2, 3: 3 });
  await b.answered({ 11: 11, 12: 12, 13: 13, 14: 'BAD_REQUEST', 15: 'UNKNOWN_MODEL', 16: 'UNKNOWN_MODEL', 99: 99 });
  const waited = model.runs.slice(1);
  expect(waited.flat().toSorted((x, y) => x - y)).toEqual([2, 3, 11, 12, 13, 99]);
  expect(waited).toHaveLength(2);
  for (const own of [[2, 3], [11, 12, 13, 99]]) expect(waited.flat().filter((id) => own.includes(id))).toEqual(own);
  expect([...a.company, ...b.company].toSorted()).toEqual(model.runs.flatMap((run) => run.map(() => run.length)).toSorted());
  const counted = Object.entries((await worker.runs())['m'] ?? {});
  expect(counted.reduce((sum, [pictures, runs]) => sum + Number(pictures) * runs, 0)).toBe(7);
});

test('[INF-5] with a delay a picture waits for others until as many are there as run together, or the delay is over; its own deadline counts', async () => {
  const patient = new Model('m', { most: 3, delayMs: 60_000 });
  const brief = new Model('brief', { most: 3, delayMs: 20 });
  await using worker = await Worker.start([patient, brief]);
  using a = await worker.camera();
  using b = await worker.camera();
  a.ask(1);
  a.ask(2);
  b.ask(7, { model: 'brief' });
  await b.answered({ 7: 7 });
  expect([patient.runs, brief.runs]).toEqual([[], [[7]]]);
  b.ask(3);
  await a.answered({ 1: 1, 2: 2 });
  await b.answered({ 3: 3, 7: 7 });
  expect(patient.runs.map((run) => run.toSorted((x, y) => x - y))).toEqual([[1, 2, 3]]);
  b.ask(4, { deadlineMs: 100 });
  await b.answered({ 3: 3, 4: 4, 7: 7 }); // after half of that
});

test('[INF-5] a picture whose deadline passed is refused, and does not run with those that have time', async () => {
  const model = new Model('m', { most: 4 });
  await using worker = await Worker.start([model]);
  using camera = await worker.camera();
  const gate = Promise.withResolvers<undefined>();
  model.gate = gate.promise;
  camera.ask(1);
  await vi.waitFor(() => { expect(model.runs).toHaveLength(1); }, 10_000);
  camera.ask(2, { deadlineMs: 0 });
  camera.ask(3);
  await worker.has(3);
  gate.resolve(undefined);
  await camera.answered({ 1: 1, 2: 'DEADLINE', 3: 3 });
  expect(model.runs.flat()).toEqual([1, 3]);
});

test('[INF-5] one bad picture takes no other with it; a model that fails only with several at once soon runs them one by one', async () => {
  const model = new Model('m', { most: 3, delayMs: 60_000 });
  await using worker = await Worker.start([model]);
  using camera = await worker.camera();
  const ask = (...ids: readonly number[]): void => { for (const id of ids) camera.ask(id); };
  model.check = (pictures) => { if (pictures.includes(2)) throw new Error('it is too bright'); };
  ask(1, 2, 3);
  await camera.answered({ 1: 1, 2: 'INFERENCE_FAILED', 3: 3 });
  expect(model.runs).toEqual([[1, 2, 3], [1], [2], [3]]);
  model.runs.length = 0;
  model.check = (pictures) => { if (pictures.length > 1) throw new MediaError('INVALID_ARGUMENT', 'batch-size must be <= 1'); };
  for (const first of [11, 21, 31]) {
    ask(first, first + 1, first + 2);
    await vi.waitFor(() => { expect(camera.answers.get(first + 2)).toBe(String(first + 2)); }, 10_000);
  }
  expect(model.runs.filter(({ length }) => length > 1)).toHaveLength(3);
  ask(41);
  await vi.waitFor(() => { expect(camera.answers.get(41)).toBe('41'); }, 10_000); // waits for nobody
  expect(model.runs.filter(({ length }) => length > 1)).toHaveLength(3);
  worker.put('m', new Model('m', { most: 3, delayMs: 60_000 }));
  ask(51, 52, 53);
  await vi.waitFor(() => { expect(camera.answers.get(53)).toBe('53'); }, 10_000);
  expect((await worker.runs())['m']?.[3]).toBe(5);
});

test.each([['DEADLINE_EXCEEDED', 'DEADLINE'], ['UNAVAILABLE', 'MODEL_NOT_READY']] as const)('[INF-5] pictures whose server gives no answer (%s) are not run again one by one', async (code, reason) => {
  const model = new Model('m', { most: 2, delayMs: 60_000 });
  model.check = () => { throw new MediaError(code, 'the server is gone'); };
  await using worker = await Worker.start([model]);
  using camera = await worker.camera();
  camera.ask(1);
  camera.ask(2);
  await camera.answered({ 1: reason, 2: reason });
  expect(model.runs).toEqual([[1, 2]]);
});

test('[INF-5] a client has credit for a run and for the next; it comes with the model, and the stream ends when everything is answered', async () => {
  await using worker = await Worker.start([new Model('one', { most: 1 })]);
  using camera = await worker.camera();
  expect([camera.grants, camera.worth]).toEqual([[2], { one: 2 }]);
  worker.put('four', new Model('four', { most: 4 }));
  await vi.waitFor(() => { expect(camera.grants).toEqual([2, 6]); }, 10_000);
  expect(camera.worth).toEqual({ one: 2, four: 8 });
  worker.put('huge', new Model('huge', { most: 32 }));
  await vi.waitFor(() => { expect(camera.grants).toEqual([2, 6, 56]); }, 10_000);
  expect(camera.worth['huge']).toBe(64);
  worker.put('huge', null);
  await vi.waitFor(() => { expect(camera.grants).toEqual([2, 6, 56, 0]); }, 10_000); // what was given is not taken back
  for (const id of [1, 2, 3]) camera.ask(id, { model: 'four' });
  camera.stream.end();
  await camera.answered({ 1: 1, 2: 2, 3: 3 });
  await vi.waitFor(() => { expect(camera.ended).toBe(true); }, 10_000);
  expect(Object.keys(await worker.runs())).toEqual(['four']);
  worker.put('four', null);
  expect(await worker.runs()).toEqual({});
});

test('[INF-5] a worker that leaves answers what waits for others', async () => {
  await using worker = await Worker.start([new Model('m', { most: 4, delayMs: 60_000 })]);
  using camera = await worker.camera();
  camera.ask(1);
  await worker.has(1);
  const left = worker.retire();
  await camera.answered({ 1: 1 });
  camera.stream.end();
  await left;
});

test('[INF-5] of what a client that is gone has asked nothing runs', async () => {
  const model = new Model('m', { most: 4 });
  await using worker = await Worker.start([model]);
  using stays = await worker.camera();
  const gate = Promise.withResolvers<undefined>();
  model.gate = gate.promise;
  stays.ask(1);
  await vi.waitFor(() => { expect(model.runs).toHaveLength(1); }, 10_000);
  {
    using goes = await worker.camera();
    for (const id of [11, 12]) goes.ask(id);
    await worker.has(3);
  }
  stays.ask(2);
  await worker.has(4);
  await vi.waitFor(() => { expect(worker.gone).toBe(1); }, 10_000);
  gate.resolve(undefined);
  await stays.answered({ 1: 1, 2: 2 });
  expect(model.runs.flat()).toEqual([1, 2]);
});

test('[INF-1] pictures are read from memory shared with a client, which may be a file without a name by then', async () => {
  const model = new Model('m', { most: 1 });
  await using worker = await Worker.start([model]);
  using memory = PictureMemory.create();
  using camera = new Camera(worker.address, memory);
  await vi.waitFor(() => { expect(camera.sharesMemory).toBe(true); }, 10_000);
  memory?.unlink();
  const offsets = [7, 8].map((id) => memory?.put(picture(id)) ?? -1);
  for (const [at, offset] of offsets.entries()) camera.ask(at, { pixels: new Uint8Array(), sharedOffset: BigInt(offset) });
  await camera.answered({ 0: 7, 1: 8 });
  camera.ask(2, { pixels: picture(9) }); // the same client may send one, too
  await camera.answered({ 0: 7, 1: 8, 2: 9 });
});

test('[INF-1] a client whose memory has no such picture, or cannot be read, is refused that picture alone', async () => {
  await using worker = await Worker.start([new Model('m', { most: 1 })]);
  using memory = PictureMemory.create();
  using sharing = new Camera(worker.address, memory);
  using sending = new Camera(worker.address);
  const [good, short] = [memory?.put(picture(7)) ?? -1, memory?.put(picture(8).subarray(1)) ?? -1];
  for (const [at, offset] of [BigInt(short), 1n << 40n, (1n << 64n) - 1n].entries()) {
    sharing.ask(at, { pixels: new Uint8Array(), sharedOffset: offset });
    await vi.waitFor(() => { expect(sharing.answers.get(at)).toBe('BAD_REQUEST'); }, 10_000);
  }
  sharing.ask(3, { pixels: new Uint8Array(), sharedOffset: BigInt(good) });
  await vi.waitFor(() => { expect(sharing.answers.get(3)).toBe('7'); }, 10_000);
  sending.ask(0, { pixels: new Uint8Array(), sharedOffset: BigInt(good) });
  await sending.answered({ 0: 'BAD_REQUEST' });
  expect(sending.sharesMemory).toBe(false);
});
