import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { Health } from '../../platform/grpc/health.ts';
import { GrpcServer } from '../../platform/grpc/server.ts';
import type { Logger } from '../../platform/logging.ts';
import { InferenceService as Service } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import { GRPCInferenceService } from '../../proto/gen/inference/kserve_pb.ts';
import { KserveModel } from '../models/kserve/kserve-model.ts';
import { MAX_MESSAGE_BYTES } from '../models/kserve/kserve-server.ts';
import { ModelRegistry } from '../models/model-registry.ts';
import type { ProviderMachine, ProviderSetting } from '../models/provider-choice.ts';
import { OnnxModel } from '../models/onnx-session.ts';
import { InferenceService } from './inference-service.ts';
import { KserveService } from './kserve/kserve-service.ts';
import { probeModel } from './probe-model.ts';
import { probeProvider } from './probe-provider.ts';
import type { ProviderProbe } from './probe-provider.ts';
import { ProviderTrials } from './provider-trials.ts';
import { thisMachine } from './this-machine.ts';
import { Turns } from './turns.ts';

export interface WorkerServerOptions {
  /** `unix:/path` or `host:port`. */
  readonly listen: string;
  /** Callers must show it; for a `host:port`. */
  readonly token?: string;
  /** The model that must answer before the worker is SERVING. */
  readonly defaultModel: string;
  readonly credits: number;
  readonly bundledFolder: string;
  readonly modelsFolder: string;
  readonly threads: number;
  /** Pictures put together in one run at most, and how long one may wait for others. */
  readonly batchMax: number;
  readonly batchDelayMs: Milliseconds;
  /** What models run on. */
  readonly executionProviders: ProviderSetting;
  /** For tests: what there is, and how it is tried. */
  readonly providerMachine?: ProviderMachine;
  readonly probeProvider?: ProviderProbe;
  readonly maxModelBytes: number;
  /** What a server that runs a model has for a picture, milliseconds. */
  readonly deadlineMs: number;
  /** Calls of KServe clients at a time, and bytes of their requests together. */
  readonly kserveCalls: number;
  readonly kserveBytes: number;
  /** Of the product. */
  readonly version: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** By their names in the health service; `''` is the worker as a whole. */
const SERVICES = ['', Service.typeName, GRPCInferenceService.typeName];
/** What an edge sends: a picture has 24 MiB at most. */
const MAX_PICTURE_MESSAGE_BYTES = 32 << 20;
/** What clients have sent when the worker is told to stop is answered within this. */
const RETIRE_WITHIN_MS: Milliseconds = 1000;

/** The AI worker: models behind gRPC. Listens at once, is SERVING (grpc.health.v1) while the default model can answer. */
export class WorkerServer implements AsyncDisposable {
  readonly address: string;
  /** Resolves when the default model is warm, however late its file comes. */
  readonly warm: Promise<void>;
  readonly #server: GrpcServer;
  readonly #health: Health;
  readonly #inference: InferenceService;
  readonly #kserve: KserveService;
  readonly #registry: ModelRegistry;
  readonly #trials: ProviderTrials;

  private constructor(server: GrpcServer, health: Health, inference: InferenceService, kserve: KserveService, registry: ModelRegistry, trials: ProviderTrials, warm: Promise<void>) {
    this.address = server.address;
    this.#server = server;
    this.#health = health;
    this.#inference = inference;
    this.#kserve = kserve;
    this.#registry = registry;
    this.#trials = trials;
    this.warm = warm;
  }

  /** Throws when the address cannot be bound. */
  static async start(options: WorkerServerOptions): Promise<WorkerServer> {
    const { clock, logger, bundledFolder, defaultModel, deadlineMs, version } = options;
    const probed = { bundledFolder, threads: options.threads, batchMax: options.batchMax, deadlineMs };
    const trials = new ProviderTrials({ setting: options.executionProviders, machine: options.providerMachine ?? thisMachine(), probe: options.probeProvider ?? probeProvider(probed), logger });
    const registry = new ModelRegistry({
      bundledFolder,
      modelsFolder: options.modelsFolder,
      threads: options.threads,
      batchMax: options.batchMax,
      batchDelayMs: options.batchDelayMs,
      maxModelBytes: options.maxModelBytes,
      clock,
      logger,
      load: { onnx: (load) => OnnxModel.load(load), kserve: (load) => KserveModel.load({ ...load, deadlineMs, logger }) },
      probe: probeModel(probed),
      providers: trials,
    });
    const health = new Health();
    for (const name of SERVICES) health.set(name, false);
    const turns = new Turns();
    const kserve = new KserveService({ registry, turns, ready: () => registry.ready(defaultModel) !== undefined, version, maxCalls: options.kserveCalls, maxBytes: options.kserveBytes, clock });
    const inference = new InferenceService({ registry, credits: options.credits, turns, kserveCalls: () => kserve.results, clock, logger });
    const server = await GrpcServer.start({
      listen: options.listen,
      ...(options.token === undefined ? {} : { token: options.token }),
      services: [{ ...inference.service, maxRequestBytes: MAX_PICTURE_MESSAGE_BYTES }, kserve.service, { ...health.service, maxRequestBytes: MAX_PICTURE_MESSAGE_BYTES }],
      maxMessageBytes: MAX_MESSAGE_BYTES,
      onError: (error, method) => { logger.error({ method, error: messageOf(error) }, 'call failed'); },
      clock,
    });
    const warm = new Promise<void>((resolve) => {
      const update = (): void => {
        const serving = registry.ready(defaultModel) !== undefined;
        for (const name of SERVICES) health.set(name, serving);
        if (serving) resolve();
      };
      registry.onChange(update);
      // A worker without its default model still serves the others.
      registry.start(defaultModel).then(() => {
        const found = registry.list().find((model) => model.name === defaultModel);
        if (found?.state !== 'ready') logger.error({ model: defaultModel, problem: found ? (found.failure ?? found.state) : 'no such file' }, 'no default model yet');
      }, (error: unknown) => { logger.error({ error: messageOf(error) }, 'models cannot be read'); });
    });
    return new WorkerServer(server, health, inference, kserve, registry, trials, warm);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#trials[Symbol.dispose]();
    await Promise.all([this.#inference.retire(RETIRE_WITHIN_MS), this.#kserve.retire(RETIRE_WITHIN_MS)]);
    this.#inference[Symbol.dispose]();
    this.#kserve[Symbol.dispose]();
    this.#health[Symbol.dispose]();
    await this.#server[Symbol.asyncDispose]();
    this.#registry[Symbol.dispose]();
  }
}
