import { create } from '@bufbuild/protobuf';
import type { Clock } from '../../../core/clock.ts';
import { MediaError, messageOf } from '../../../core/errors.ts';
import type { Milliseconds } from '../../../core/units.ts';
import { GrpcClient } from '../../../platform/grpc/client.ts';
import { GRPCInferenceService, ModelMetadataRequestSchema, ModelReadyRequestSchema, ServerLiveRequestSchema, ServerReadyRequestSchema } from '../../../proto/gen/inference/kserve_pb.ts';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/gen/inference/kserve_pb.ts';
import { servedModel } from './kserve-tensors.ts';
import type { ServedModel } from './kserve-tensors.ts';

/** For a call that tells how things stand. */
const CALL_MS: Milliseconds = 3000;
/** A float picture of 24 Mi pixel values, or an answer. */
export const MAX_MESSAGE_BYTES = 128 << 20;
/** Characters of what a server says that are kept. */
const MAX_TOLD = 300;

export interface KserveServerOptions {
  /** `host:port` */
  readonly url: string;
  readonly model: string;
  /** Empty: the server chooses. */
  readonly version: string;
  readonly token: string | undefined;
  readonly clock: Clock;
}

/** One of the servers that run a model. Every call has a deadline and rejects with a `MediaError` that begins with the server's address. */
export class KserveServer implements Disposable {
  readonly url: string;
  readonly #options: KserveServerOptions;
  readonly #client: GrpcClient<typeof GRPCInferenceService>;

  constructor(options: KserveServerOptions) {
    this.url = options.url;
    this.#options = options;
    this.#client = GrpcClient.dial(GRPCInferenceService, options.url, {
      clock: options.clock, keepAlive: false, maxMessageBytes: MAX_MESSAGE_BYTES, ...(options.token === undefined ? {} : { token: options.token }),
    });
  }

  /** What it serves as the model, which is ready there. Rejects when the server or its model is not. */
  async examine(): Promise<ServedModel> {
    const { model: name, version } = this.#options;
    const { call } = this.#client;
    const options = { deadlineMs: CALL_MS };
    const model = version === '' ? `the model ${name}` : `version ${version} of the model ${name}`;
    return this.#told(CALL_MS, async () => {
      if (!(await call.serverLive(create(ServerLiveRequestSchema), options)).live) throw new MediaError('UNAVAILABLE', 'the server is not live');
      if (!(await call.serverReady(create(ServerReadyRequestSchema), options)).ready) throw new MediaError('UNAVAILABLE', 'the server is not ready');
      if (!(await call.modelReady(create(ModelReadyRequestSchema, { name, version }), options)).ready) throw new MediaError('UNAVAILABLE', `${model} is not ready there`);
      return servedModel(await call.modelMetadata(create(ModelMetadataRequestSchema, { name, version }), options));
    });
  }

  infer(request: ModelInferRequest, deadlineMs: Milliseconds): Promise<ModelInferResponse> {
    return this.#told(deadlineMs, () => this.#client.call.modelInfer(request, { deadlineMs }));
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }

  async #told<T>(deadlineMs: Milliseconds, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      const code = error instanceof MediaError ? error.code : 'INTERNAL';
      // gRPC's own text names what it spent the time with, each time with other numbers.
      const why = code === 'DEADLINE_EXCEEDED' ? `no answer within ${Math.round(deadlineMs)} ms` : messageOf(error).replace(/\. Resolution note: *$/, '').slice(0, MAX_TOLD) || 'the server gave no reason';
      throw new MediaError(code, `${this.url}: ${why}`, { cause: error });
    }
  }
}
