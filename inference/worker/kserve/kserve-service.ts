/** KServe v2 (Open Inference Protocol) by gRPC, as clients of NVIDIA Triton speak it: the worker's models by their tensors. */
import { create } from '@bufbuild/protobuf';
import type { Clock } from '../../../core/clock.ts';
import { MediaError, messageOf } from '../../../core/errors.ts';
import type { ErrorCode } from '../../../core/errors.ts';
import type { Milliseconds } from '../../../core/units.ts';
import { readRequest } from '../../../platform/grpc/read-request.ts';
import type { UnreadCall } from '../../../platform/grpc/read-request.ts';
import { serveUnread } from '../../../platform/grpc/service.ts';
import type { ServiceRegistration } from '../../../platform/grpc/service.ts';
import {
  GRPCInferenceService, ModelInferResponseSchema, ModelMetadataResponseSchema, ModelReadyResponseSchema, ServerLiveResponseSchema, ServerMetadataResponseSchema,
  ServerReadyResponseSchema,
} from '../../../proto/gen/inference/kserve_pb.ts';
import type { ModelInferResponse, ModelMetadataResponse } from '../../../proto/gen/inference/kserve_pb.ts';
import type { LoadedModel, OutputTensor, TensorModel } from '../../models/loaded-model.ts';
import { MAX_MESSAGE_BYTES } from '../../models/kserve/kserve-server.ts';
import type { ModelRegistry } from '../../models/model-registry.ts';
import type { DeclaredTensor } from '../../models/tensor-contract.ts';
import type { Turns } from '../turns.ts';
import { CallBudget } from './call-budget.ts';
import { datatypeOf, rawContents, shapeOf, shown } from './datatypes.ts';
import { readInferRequest } from './infer-request.ts';
import type { InferRequest } from './infer-request.ts';
import { modelRun } from './model-inputs.ts';
import type { ModelRun } from './model-inputs.ts';

export interface KserveServiceOptions {
  readonly registry: Pick<ModelRegistry, 'ready' | 'list'>;
  readonly turns: Turns;
  /** Whether the worker as a whole can answer. */
  readonly ready: () => boolean;
  /** Of the product. */
  readonly version: string;
  /** Calls at a time, and bytes of their requests together. */
  readonly maxCalls: number;
  readonly maxBytes: number;
  readonly clock: Clock;
}

/** A request that has not come by then is waited for no more. */
const READ_WITHIN_MS: Milliseconds = 30_000;
/** Of a request of any other method. */
const MAX_QUESTION_BYTES = 64 << 10;
/** Of an answer, for its names and shapes. */
const MAX_HEAD_BYTES = 1 << 20;

/** How a call of ModelInfer may end. */
const ALL_RESULTS = ['ok', 'invalid', 'unknown_model', 'not_ready', 'full', 'expired', 'cancelled', 'failed', 'too_large'] as const;
type Result = (typeof ALL_RESULTS)[number];

const RESULTS: Readonly<Partial<Record<ErrorCode, Result>>> = {
  INVALID_ARGUMENT: 'invalid',
  NOT_FOUND: 'unknown_model',
  UNAVAILABLE: 'not_ready',
  FAILED_PRECONDITION: 'not_ready',
  RESOURCE_EXHAUSTED: 'full',
  DEADLINE_EXCEEDED: 'expired',
  UNPROCESSABLE: 'too_large',
};

interface Asked extends ModelRun {
  readonly model: LoadedModel;
  readonly tensors: TensorModel;
}

/** A request that waits for its turn. */
interface Job {
  readonly call: UnreadCall;
  readonly request: InferRequest;
  readonly asked: Asked;
  readonly resolve: (response: ModelInferResponse) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * `inference.GRPCInferenceService`. What waits is bounded before it is read; a request is checked when it has come, waits for its turn
 * after the live pictures (`Turns`), and is not run when its caller or its time has gone.
 */
export class KserveService implements Disposable {
  /** Give it to `GrpcServer.start`. */
  readonly service: ServiceRegistration;
  readonly #options: KserveServiceOptions;
  readonly #budget: CallBudget;
  /** In the order they came. */
  readonly #waiting = new Set<Job>();
  readonly #results = new Map<Result, number>(ALL_RESULTS.map((result) => [result, 0]));
  #retired = false;
  #onEmpty = (): void => undefined;

  constructor(options: KserveServiceOptions) {
    const { registry, turns, version } = options;
    this.#options = options;
    this.#budget = new CallBudget(options);
    turns.take('guests', () => this.#next());
    this.service = { maxRequestBytes: MAX_QUESTION_BYTES, ...serveUnread(GRPCInferenceService, {
      serverLive: () => Promise.resolve(create(ServerLiveResponseSchema, { live: true })),
      serverReady: () => Promise.resolve(create(ServerReadyResponseSchema, { ready: options.ready() && !this.#retired })),
      serverMetadata: () => Promise.resolve(create(ServerMetadataResponseSchema, { name: 'imageflow-edge', version })),
      modelReady: ({ name, version: wanted }) => {
        const model = registry.ready(name);
        return Promise.resolve(create(ModelReadyResponseSchema, { ready: model?.tensors !== undefined && hasVersion(model, wanted) && !this.#retired }));
      },
      modelMetadata: ({ name, version: wanted }) => Promise.resolve(this.#metadata(name, wanted)),
    }, { modelInfer: (call) => this.#infer(call) }) };
  }

  /** Calls of ModelInfer since the start, by result. */
  get results(): ReadonlyMap<Result, number> { return this.#results; }

  /** Calls of ModelInfer that are there now. */
  get calls(): number { return this.#budget.calls; }

  /** Takes no more calls; resolves when those there are have been answered, or after `withinMs`. */
  async retire(withinMs: Milliseconds): Promise<void> {
    this.#retired = true;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#onEmpty = () => { resolve(undefined); };
    using _deadline = this.#options.clock.after(withinMs, this.#onEmpty);
    if (this.#budget.calls === 0) this.#onEmpty();
    await promise;
  }

  /** Refuses what still waits: the worker is going away. */
  [Symbol.dispose](): void {
    this.#retired = true;
    for (const { reject } of this.#waiting) reject(leaving());
    this.#waiting.clear();
  }

  async #infer(call: UnreadCall): Promise<ModelInferResponse> {
    try {
      const response = await this.#answer(call);
      this.#count(call.cancelled ? this.#gone(call) : 'ok');
      return response;
    } catch (error) {
      this.#count(call.cancelled ? this.#gone(call) : error instanceof MediaError ? (RESULTS[error.code] ?? 'failed') : 'failed');
      throw error;
    }
  }

  async #answer(call: UnreadCall): Promise<ModelInferResponse> {
    if (this.#retired) throw leaving();
    const share = this.#budget.enter();
    // Also after a call that was answered: its answer has left then, or its caller has.
    call.once('close', () => {
      share[Symbol.dispose]();
      if (this.#budget.calls === 0) this.#onEmpty();
    });
    const bytes = await readRequest(call, READ_WITHIN_MS, this.#options.clock);
    share.hold(bytes.length);
    const request = readInferRequest(bytes);
    const asked = this.#ask(request);
    const { promise, resolve, reject } = Promise.withResolvers<ModelInferResponse>();
    const job: Job = { call, request, asked, resolve, reject };
    call.once('cancelled', () => { if (this.#waiting.delete(job)) reject(new MediaError('UNAVAILABLE', 'the caller went away')); });
    this.#waiting.add(job);
    this.#options.turns.wake();
    return await promise;
  }

  #next(): Promise<void> | undefined {
    for (const job of this.#waiting) {
      this.#waiting.delete(job);
      if (!this.#isLate(job.call)) return this.#run(job);
      job.reject(new MediaError('DEADLINE_EXCEEDED', 'the deadline of the call passed before its turn'));
    }
    return undefined;
  }

  async #run({ request, asked, resolve, reject }: Job): Promise<void> {
    try {
      // Another file may have taken the model's place while it waited.
      const { model, tensors, feeds, outputs } = this.#options.registry.ready(request.model) === asked.model ? asked : this.#ask(request);
      resolve(response(request, model.info.digest, outputs, await tensors.run(feeds, outputs)));
    } catch (error) {
      reject(error instanceof MediaError ? error : new MediaError('INTERNAL', `the model failed: ${messageOf(error).slice(0, 1000)}`, { cause: error }));
    }
  }

  #metadata(name: string, version: string): ModelMetadataResponse {
    const { model: { info }, tensors } = this.#model(name, version);
    const told = (tensor: DeclaredTensor) => ({ name: tensor.name, datatype: datatypeOf(tensor), shape: shapeOf(tensor).map(BigInt) });
    return create(ModelMetadataResponseSchema, { name, versions: [info.digest], platform: 'onnxruntime_onnx', inputs: tensors.inputs.map(told), outputs: tensors.outputs.map(told) });
  }

  /** Throws what the call is refused with. */
  #ask(request: InferRequest): Asked {
    const { model, tensors } = this.#model(request.model, request.version);
    return { model, tensors, ...modelRun(request, tensors) };
  }

  /** Throws NOT_FOUND, UNAVAILABLE, FAILED_PRECONDITION, or INVALID_ARGUMENT for another version. */
  #model(name: string, version: string): { readonly model: LoadedModel; readonly tensors: TensorModel } {
    const { registry } = this.#options;
    const model = registry.ready(name);
    const info = model?.info ?? registry.list().find((each) => each.name === name);
    if (!info) throw new MediaError('NOT_FOUND', `no model ${shown(name)} here`);
    if (info.backend === 'kserve') throw new MediaError('FAILED_PRECONDITION', `the model ${name} runs on a KServe server itself, which is to be asked instead`);
    if (!model?.tensors) {
      throw info.state === 'failed'
        ? new MediaError('FAILED_PRECONDITION', `the model ${name} has failed: ${info.failure ?? ''}`)
        : new MediaError('UNAVAILABLE', `the model ${name} is loading`, { retryAfterSeconds: 1 });
    }
    if (!hasVersion(model, version)) throw new MediaError('INVALID_ARGUMENT', `the model ${name} is here in one version, ${info.digest}, not ${shown(version)}; leave it out`);
    return { model, tensors: model.tensors };
  }

  #isLate(call: UnreadCall): boolean {
    return Number(call.getDeadline()) <= this.#options.clock.now();
  }

  #gone(call: UnreadCall): Result {
    return this.#isLate(call) ? 'expired' : 'cancelled';
  }

  #count(result: Result): void {
    this.#results.set(result, (this.#results.get(result) ?? 0) + 1);
  }
}

/** A model's version is its file: the digest. */
const hasVersion = ({ info }: LoadedModel, version: string): boolean => version === '' || version === info.digest;

const leaving = (): MediaError => new MediaError('UNAVAILABLE', 'the worker is about to leave', { retryAfterSeconds: 1 });

/** Throws UNPROCESSABLE for more than a message may have. */
const response = ({ model, id }: InferRequest, digest: string, outputs: readonly string[], given: Readonly<Record<string, OutputTensor>>): ModelInferResponse => {
  const tensors = outputs.map((name) => {
    const tensor = given[name];
    if (!tensor) throw new Error(`it gave no output ${name}`);
    return { name, datatype: datatypeOf({ name, type: tensor.type }), shape: tensor.dims.map(BigInt), raw: rawContents(tensor.data) };
  });
  const bytes = tensors.reduce((sum, { raw }) => sum + raw.length, 0);
  if (bytes > MAX_MESSAGE_BYTES - MAX_HEAD_BYTES) throw new MediaError('UNPROCESSABLE', `the outputs have ${bytes} bytes, more than a message of ${MAX_MESSAGE_BYTES} takes; ask for fewer of them`);
  return create(ModelInferResponseSchema, {
    modelName: model, modelVersion: digest, id, outputs: tensors.map(({ name, datatype, shape }) => ({ name, datatype, shape })), rawOutputContents: tensors.map(({ raw }) => raw),
  });
};
