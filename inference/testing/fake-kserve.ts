/** A KServe v2 server in this process that says and answers what a test wants. */
import { create } from '@bufbuild/protobuf';
import { GrpcServer } from '../../platform/grpc/server.ts';
import { serve } from '../../platform/grpc/service.ts';
import {
  GRPCInferenceService, ModelInferResponseSchema, ModelMetadataResponseSchema, ModelReadyResponseSchema, ServerLiveResponseSchema, ServerMetadataResponseSchema, ServerReadyResponseSchema,
} from '../../proto/gen/inference/kserve_pb.ts';
import type { ModelInferRequest, ModelReadyRequest } from '../../proto/gen/inference/kserve_pb.ts';

interface FakeTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: bigint[];
}

export interface FakeMetadata {
  readonly name: string;
  readonly versions: string[];
  readonly platform: string;
  readonly inputs: FakeTensor[];
  readonly outputs: FakeTensor[];
}

export interface FakeAnswer {
  readonly outputs?: FakeTensor[];
  readonly rawOutputContents?: Uint8Array[];
}

export const rawFloats = (values: ArrayLike<number>): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

/** [1, 6, 21], two classes of a 32 × 32 input: anchor 5 is of class 1 with a score of 0..1, all others are nothing. */
export const yoloValues = (score: number): Float32Array => {
  const values = new Float32Array(6 * 21);
  for (const [row, value] of [12, 14, 8, 4, 0, score].entries()) values[row * 21 + 5] = value;
  return values;
};

export const yoloAnswer = (score: number): FakeAnswer => ({ outputs: [{ name: 'out', datatype: 'FP32', shape: [1n, 6n, 21n] }], rawOutputContents: [rawFloats(yoloValues(score))] });

/** One picture of 32 × 32 in bytes, batches allowed. */
export const YOLO: FakeMetadata = {
  name: 'm', versions: ['1'], platform: 'fake',
  inputs: [{ name: 'images', datatype: 'UINT8', shape: [-1n, 32n, 32n, 3n] }],
  outputs: [{ name: 'out', datatype: 'FP32', shape: [-1n, 6n, 21n] }],
};

/** What its fields say when it is asked. */
export class FakeKserve implements AsyncDisposable {
  live = true;
  ready = true;
  modelReady: boolean | ((request: ModelReadyRequest) => boolean) = true;
  metadata: FakeMetadata = YOLO;
  infer: (request: ModelInferRequest) => FakeAnswer | Promise<FakeAnswer> = () => yoloAnswer(0.75);
  /** Pictures it was asked about. */
  readonly asked: ModelInferRequest[] = [];
  #server: GrpcServer | undefined;
  #address = '127.0.0.1:0';

  static async start(): Promise<FakeKserve> {
    const fake = new FakeKserve();
    await fake.start();
    return fake;
  }

  get url(): string { return this.#address; }

  /** After `stop`: again, at the same port. */
  async start(): Promise<void> {
    const service = serve(GRPCInferenceService, {
      serverLive: () => Promise.resolve(create(ServerLiveResponseSchema, { live: this.live })),
      serverReady: () => Promise.resolve(create(ServerReadyResponseSchema, { ready: this.ready })),
      serverMetadata: () => Promise.resolve(create(ServerMetadataResponseSchema, { name: 'fake' })),
      modelReady: (request) => Promise.resolve(create(ModelReadyResponseSchema, { ready: typeof this.modelReady === 'boolean' ? this.modelReady : this.modelReady(request) })),
      modelMetadata: () => Promise.resolve(create(ModelMetadataResponseSchema, this.metadata)),
      modelInfer: async (request) => {
        this.asked.push(request);
        return create(ModelInferResponseSchema, await this.infer(request));
      },
    });
    this.#server = await GrpcServer.start({ listen: this.#address, services: [service], graceMs: 10 });
    this.#address = this.#server.address;
  }

  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
