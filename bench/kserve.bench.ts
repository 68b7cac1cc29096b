import { hash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import { systemClock } from '../core/clock.ts';
import { KserveModel } from '../inference/models/kserve/kserve-model.ts';
import { ChildProcess } from '../platform/child-process.ts';
import { GrpcClient } from '../platform/grpc/client.ts';
import { silentLogger } from '../platform/logging.ts';
import { DetectRequestSchema, InferenceService, ListModelsRequestSchema, ModelState } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { DetectResponse } from '../proto/gen/imageflow/v1/inference_pb.ts';
import { ModelInferRequestSchema } from '../proto/gen/inference/kserve_pb.ts';
import { until } from '../test/support/server.ts';
import { TritonServer } from '../test/support/triton-server.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';

const ROOT = join(import.meta.dirname, '..');
const SIDE = 416;
const MODELS = [
  { name: 'nanodet-g-416.int8.u8', file: join(ROOT, 'models/nanodet-g-416.int8.u8.onnx'), datatype: 'UINT8', shape: [1, SIDE, SIDE, 3], bytes: 3 * SIDE * SIDE },
  { name: 'nanodet-g-416', file: join(ROOT, 'test/fixtures/models/nanodet-g-416.onnx'), datatype: 'FP32', shape: [1, 3, SIDE, SIDE], bytes: 12 * SIDE * SIDE },
] as const;
/** Rounds, all ways by turns: a shared machine is not equally fast for long. */
const ROUNDS = 7;
const SECONDS = Number(process.env['KSERVE_ROUND_SECONDS'] ?? 6);
const WARM_UP_CALLS = 10;
const MOST_UNDER_WAY = 4;

/** Calls a second with so many under way. */
const rate = async (ask: () => Promise<unknown>, underWay: number): Promise<number> => {
  const began = performance.now();
  const end = began + SECONDS * 1000;
  let calls = 0;
  await Promise.all(Array.from({ length: underWay }, async () => {
    while (performance.now() < end) {
      await ask();
      calls++;
    }
  }));
  return (1000 * calls) / (performance.now() - began);
};

/** A client that does nothing but call: one request made beforehand, sent again and again, its answer not looked at. */
const bareClient = (url: string, { name, datatype, shape, bytes }: (typeof MODELS)[number]): { readonly ask: () => Promise<unknown>; readonly close: () => void } => {
  const client = new Client(url, credentials.createInsecure(), { 'grpc.max_receive_message_length': 32 << 20 });
  const request = Buffer.from(toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, {
    modelName: name, inputs: [{ name: 'images', datatype, shape: shape.map(BigInt) }], outputs: [{ name: 'output0' }], rawInputContents: [new Uint8Array(bytes)],
  })));
  const ask = (): Promise<unknown> => new Promise((resolve, reject) => {
    client.makeUnaryRequest('/inference.GRPCInferenceService/ModelInfer', (message: Buffer) => message, (answer) => answer, request, (error, answer) => { if (error) reject(error); else resolve(answer); });
  });
  return { ask, close: () => { client.close(); } };
};

/** A worker process with the models in its folder. */
class Worker implements AsyncDisposable {
  readonly client: GrpcClient<typeof InferenceService>;
  readonly #folder = mkdtempSync(join(tmpdir(), 'if-bench-kserve-'));
  readonly #process: ChildProcess;

  private constructor(url: string) {
    const address = `unix:${join(this.#folder, 'w.sock')}`;
    const models = join(this.#folder, 'data/models');
    mkdirSync(models, { recursive: true });
    for (const { name } of MODELS) writeFileSync(join(models, `far-${name}.kserve.json`), JSON.stringify({ urls: [url], model: name }));
    this.#process = ChildProcess.spawn({
      title: 'imageflow-edge worker', script: join(ROOT, 'processes/worker.ts'),
      env: { IMAGEFLOW_DATA_DIR: join(this.#folder, 'data'), IMAGEFLOW_WORKER_LISTEN: address, IMAGEFLOW_LOG_LEVEL: 'error', IMAGEFLOW_INFERENCE_DEADLINE_MS: '10000' },
      onStderrLine: (line) => { console.error(line); },
    });
    this.client = GrpcClient.dial(InferenceService, address);
  }

  /** Resolves when the models are ready. */
  static async start(url: string): Promise<Worker> {
    const worker = new Worker(url);
    await until('the models are ready', async () => {
      const { models } = await worker.client.call.listModels(create(ListModelsRequestSchema), { deadlineMs: 20_000 });
      return MODELS.every(({ name }) => models.some((model) => model.name === `far-${name}` && model.state === ModelState.READY));
    }, 120_000);
    return worker;
  }

  /** Asks as an extractor does; as many at a time as the worker gives credit for (2). */
  open(): { readonly ask: (model: string) => Promise<undefined>; readonly close: () => void } {
    const waiting = new Map<bigint, PromiseWithResolvers<undefined>>();
    let last = 0n;
    const stream = this.client.call.detect();
    stream.on('error', () => undefined);
    stream.on('data', ({ message }: DetectResponse) => {
      if (message.case === 'outcome') waiting.get(message.value.requestId)?.resolve(undefined);
      else if (message.case === 'refusal') waiting.get(message.value.requestId)?.reject(new Error(message.value.detail));
    });
    const ask = async (model: string): Promise<undefined> => {
      const requestId = ++last;
      const answer = Promise.withResolvers<undefined>();
      waiting.set(requestId, answer);
      stream.write(create(DetectRequestSchema, { requestId, model: `far-${model}`, deadlineMs: 20_000, pixels: new Uint8Array(3 * SIDE * SIDE), sourceWidth: 1280, sourceHeight: 720 }));
      await answer.promise;
      waiting.delete(requestId);
    };
    return { ask, close: () => { stream.end(); } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    await this.#process[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const WAYS = ['bare', 'model', 'worker', 'bareMany'] as const;
type Rates = Record<(typeof WAYS)[number], number>;

export const bench: Bench = {
  what: `pictures a second that a model on a real Triton (CPU, python backend) answers through the KServe back end, against a bare gRPC client of the same server, one call at a time; all on this machine, ${ROUNDS} rounds of ${SECONDS} s each way`,
  async run() {
    await using triton = await TritonServer.start(MODELS.map(({ file }) => file));
    await using worker = await Worker.start(triton.url);
    const figures: Figure[] = [];
    for (const served of MODELS) {
      const { name } = served;
      const bytes = Buffer.from(JSON.stringify({ urls: [triton.url], model: name }));
      using model = await KserveModel.load({
        name, path: join(ROOT, 'none.kserve.json'), bytes, digest: hash('sha256', bytes), threads: 1, bundledFolder: join(ROOT, 'models'), clock: systemClock, deadlineMs: 10_000, logger: silentLogger(),
      });
      const bare = bareClient(triton.url, served);
      const extractor = worker.open();
      const frame = { pixels: new Uint8Array(3 * SIDE * SIDE), sourceWidth: 1280, sourceHeight: 720, confidence: 0.35 };
      const ways: Record<keyof Rates, () => Promise<number>> = {
        bare: () => rate(bare.ask, 1),
        model: () => rate(() => model.infer(frame), 1),
        worker: () => rate(() => extractor.ask(name), 2),
        bareMany: () => rate(bare.ask, MOST_UNDER_WAY),
      };
      for (let i = 0; i < WARM_UP_CALLS; i++) await bare.ask();
      const rounds: Rates[] = [];
      for (let at = 0; at < ROUNDS; at++) {
        const rates: Rates = { bare: 0, model: 0, worker: 0, bareMany: 0 };
        // Another order each time, so that none always comes after the same.
        for (const [i] of WAYS.entries()) {
          const way = WAYS[(i + at) % WAYS.length];
          if (way) rates[way] = await ways[way]();
        }
        rounds.push(rates);
      }
      bare.close();
      extractor.close();
      const median = (of: (rates: Rates) => number): number => quantile(rounds.map(of), 0.5);
      const ratio = median((rates) => rates.model / rates.bare);
      figures.push(
        { figure: `${name}: bare client, one call at a time`, value: round(median(({ bare: value }) => value), 1), unit: 'a second' },
        { figure: `${name}: through the back end, decoded`, value: round(median(({ model: value }) => value), 1), unit: 'a second' },
        { figure: `${name}: ratio, median of ${ROUNDS} rounds`, value: round(ratio), unit: '×', target: '0.9 at least', met: ratio >= 0.9 },
        { figure: `${name}: through a worker process with 2 credits`, value: round(median((rates) => rates.worker), 1), unit: 'a second' },
        { figure: `${name}: bare client, ${MOST_UNDER_WAY} calls under way`, value: round(median(({ bareMany }) => bareMany), 1), unit: 'a second' },
      );
    }
    return figures;
  },
};
