import { hash } from 'node:crypto';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import { systemClock } from '../core/clock.ts';
import { KserveModel } from '../inference/models/kserve/kserve-model.ts';
import { silentLogger } from '../platform/logging.ts';
import { ModelInferRequestSchema } from '../proto/gen/inference/kserve_pb.ts';
import { TritonServer } from '../test/support/triton-server.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { callRate } from './support/call-rate.ts';
import { WorkerProcess } from './support/worker-process.ts';

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

const WAYS = ['bare', 'model', 'worker', 'bareMany'] as const;
type Rates = Record<(typeof WAYS)[number], number>;

export const bench: Bench = {
  what: `pictures a second that a model on a real Triton (CPU, python backend) answers through the KServe back end, against a bare gRPC client of the same server, one call at a time; all on this machine, ${ROUNDS} rounds of ${SECONDS} s each way`,
  async run() {
    await using triton = await TritonServer.start(MODELS.map(({ file }) => file));
    await using worker = await WorkerProcess.start({
      models: Object.fromEntries(MODELS.map(({ name }) => [`far-${name}.kserve.json`, JSON.stringify({ urls: [triton.url], model: name })])),
      wanted: MODELS.map(({ name }) => `far-${name}`),
    });
    const figures: Figure[] = [];
    for (const served of MODELS) {
      const { name } = served;
      const bytes = Buffer.from(JSON.stringify({ urls: [triton.url], model: name }));
      using model = await KserveModel.load({
        name, path: join(ROOT, 'none.kserve.json'), bytes, digest: hash('sha256', bytes), threads: 1, bundledFolder: join(ROOT, 'models'), clock: systemClock, deadlineMs: 10_000, logger: silentLogger(),
      });
      const bare = bareClient(triton.url, served);
      const extractor = worker.open({ pixels: new Uint8Array(3 * SIDE * SIDE), sourceWidth: 1280, sourceHeight: 720 });
      const frame = { pixels: new Uint8Array(3 * SIDE * SIDE), sourceWidth: 1280, sourceHeight: 720, confidence: 0.35 };
      const ways: Record<keyof Rates, () => Promise<number>> = {
        bare: () => callRate(bare.ask, 1, SECONDS),
        model: () => callRate(() => model.infer(frame), 1, SECONDS),
        worker: () => callRate(() => extractor.ask(`far-${name}`), 2, SECONDS),
        bareMany: () => callRate(bare.ask, MOST_UNDER_WAY, SECONDS),
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
