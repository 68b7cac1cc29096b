/** A worker whose models are functions: the real service and protocol without ONNX Runtime. For tests and benches. */
import type { Clock } from '../../core/clock.ts';
import { systemClock } from '../../core/clock.ts';
import type { Detection } from '../../core/detection.ts';
import { Health } from '../../platform/grpc/health.ts';
import { GrpcServer } from '../../platform/grpc/server.ts';
import { silentLogger } from '../../platform/logging.ts';
import { InferenceService as Service } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import type { InferenceFrame, ModelInfo } from '../port.ts';
import { InferenceService } from '../worker/inference-service.ts';
import { Turns } from '../worker/turns.ts';

/** What a fake model sees in a picture, in source pixels; as long as it takes, so long it says it took, one millisecond at least. */
export type Infer = (frame: InferenceFrame) => readonly Detection[] | Promise<readonly Detection[]>;

export interface FakeWorkerOptions {
  readonly listen: string;
  readonly models: Readonly<Record<string, Infer>>;
  /** Width and height of every model's input; default 416. */
  readonly inputSize?: number;
  /** Of single models, by name. */
  readonly inputSizes?: Readonly<Record<string, number>>;
  readonly credits?: number;
  /** What a model says of the pictures it runs together; default 1. It looks at them one by one even so. */
  readonly batches?: Readonly<Record<string, number>>;
  readonly clock?: Clock;
}

export const fakeModelInfo = (name: string, inputSize: number): ModelInfo => ({
  name, digest: '0'.repeat(64), backend: 'onnx', inputWidth: inputSize, inputHeight: inputSize, inputLayout: 'u8-nhwc', labels: ['thing'], defaultConfidence: 0.5, batch: { pictures: 1, why: 'it is fake' }, provider: { name: 'cpu', why: 'it is fake' }, state: 'ready', failure: null,
});

/** Listens as a real worker does, SERVING from the start. */
export class FakeWorker implements AsyncDisposable {
  readonly address: string;
  readonly #server: GrpcServer;
  readonly #health: Health;
  readonly #inference: InferenceService;

  private constructor(server: GrpcServer, health: Health, inference: InferenceService) {
    this.address = server.address;
    this.#server = server;
    this.#health = health;
    this.#inference = inference;
  }

  static async start(options: FakeWorkerOptions): Promise<FakeWorker> {
    const size = options.inputSize ?? 416;
    const clock = options.clock ?? systemClock;
    const models = new Map(Object.entries(options.models).map(([name, infer]): [string, LoadedModel] => {
      const info: ModelInfo = { ...fakeModelInfo(name, options.inputSizes?.[name] ?? size), batch: { pictures: options.batches?.[name] ?? 1, why: 'it is fake' } };
      return [name, {
        info,
        infer: async (frame) => {
          const begun = clock.monotonic();
          const detections = await infer(frame);
          return { detections, inferenceMs: Math.max(1, clock.monotonic() - begun), model: name, modelDigest: info.digest };
        },
        [Symbol.dispose]: () => undefined,
      }];
    }));
    const registry = {
      ready: (name: string) => models.get(name),
      has: (name: string) => models.has(name),
      list: () => [...models.values()].map((model) => model.info),
      onChange: () => ({ [Symbol.dispose]: () => undefined }),
    };
    const inference = new InferenceService({ registry, credits: options.credits ?? 2, turns: new Turns(), kserveCalls: () => new Map(), clock, logger: silentLogger() });
    const health = new Health();
    health.set('', true);
    health.set(Service.typeName, true);
    const server = await GrpcServer.start({ listen: options.listen, services: [inference.service, health.service], graceMs: 100 });
    return new FakeWorker(server, health, inference);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#inference[Symbol.dispose]();
    this.#health[Symbol.dispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}
