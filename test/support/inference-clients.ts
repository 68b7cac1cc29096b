/** Clients of an AI worker, whichever it is: by the dispatcher, as the extractor asks; and by hand. */
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { systemClock } from '../../core/clock.ts';
import type { DetectionResult } from '../../core/detection.ts';
import { Dispatcher } from '../../inference/dispatcher.ts';
import type { DispatchListener } from '../../inference/port.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { HealthService } from '../../platform/grpc/health.ts';
import type { ServingStatus } from '../../platform/grpc/health.ts';
import { silentLogger } from '../../platform/logging.ts';
import { HealthCheckRequestSchema } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { DetectRequestSchema, InferenceService, ListModelsRequestSchema, ModelState } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import type { DetectRequest, DetectResponse, Model } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import { FIXTURES } from './media.ts';
import { until } from './server.ts';
import { letterboxed } from './still-picture.ts';

/** The one place that knows how a client is told of its worker. */
const dispatcherOf = (address: string, listener: DispatchListener, token?: string): Dispatcher =>
  new Dispatcher({ workers: [{ address, token }], deadlineMs: 20_000, clock: systemClock, logger: silentLogger(), listener });

/** Asks a worker by the dispatcher, as the extractor does. */
export class Asker implements Disposable {
  readonly dispatcher: Dispatcher;
  readonly #asked = new Map<string, PromiseWithResolvers<DetectionResult>>();

  constructor(address: string, token?: string) {
    this.dispatcher = dispatcherOf(address, {
      onResult: (_detector, result) => { this.#asked.get(result.frame.stream)?.resolve(result); },
      onSkip: (camera, reason) => { this.#asked.get(camera)?.reject(new Error(reason)); },
    }, token);
  }

  /** Waits until the worker has the model. `confidence` as in `FrameOffer`. */
  async detect(model: string, picture: Picture, confidence: number | null): Promise<DetectionResult> {
    await until(`the worker has ${model}`, () => this.dispatcher.model(model) !== undefined);
    return await this.offer(model, picture, confidence);
  }

  /** Rejects with the reason for which the picture was skipped. */
  async offer(model: string, { pixels, width, height }: Picture, confidence: number | null): Promise<DetectionResult> {
    const camera = `camera-${String(this.#asked.size)}`;
    const asked = Promise.withResolvers<DetectionResult>();
    this.#asked.set(camera, asked);
    this.dispatcher.offer({
      camera, detector: 'test', model, confidence, faintConfidence: null, frame: { stream: camera, epoch: 1, rtpTs: 2, captureNtp: null, seq: 3 },
      capturedAt: 4, sourceWidth: width, sourceHeight: height, pixels: { bytes: pixels, [Symbol.dispose]: () => undefined },
    });
    return await asked.promise;
  }

  [Symbol.dispose](): void { this.dispatcher[Symbol.dispose](); }
}

export interface Picture { readonly pixels: Buffer; readonly width: number; readonly height: number }

/** A still image of the fixtures, letterboxed for a model. */
export const picture = (file: string, { inputWidth, inputHeight }: Pick<Model, 'inputWidth' | 'inputHeight'>): Picture => letterboxed(join(FIXTURES, 'images', file), inputWidth, inputHeight);

const modelsOf = async (address: string, token: string | undefined): Promise<ReadonlyMap<string, Model>> => {
  using client = GrpcClient.dial(InferenceService, address, token === undefined ? {} : { token });
  const listed = await client.call.listModels(create(ListModelsRequestSchema), { deadlineMs: 20_000 });
  return new Map(listed.models.map((model) => [model.name, model]));
};

/** A worker's models by name, once it has tried them all. */
export const settledModels = (address: string, token?: string): Promise<ReadonlyMap<string, Model>> =>
  until('no model is loading', async () => {
    const models = await modelsOf(address, token);
    return [...models.values()].every(({ state }) => state !== ModelState.LOADING) && models;
  }, 60_000);

export const serving = async (address: string, service: string = InferenceService.typeName): Promise<ServingStatus> => {
  using health = GrpcClient.dial(HealthService, address);
  return (await health.call.check(create(HealthCheckRequestSchema, { service }), { deadlineMs: 20_000 })).status;
};

/** A Detect stream spoken by hand. */
export class RawStream implements Disposable {
  readonly #client: GrpcClient<typeof InferenceService>;
  readonly #stream: ClientDuplexStream<DetectRequest, DetectResponse>;
  readonly #answers: AsyncIterator<DetectResponse>;

  constructor(address: string, options: { readonly token?: string } = {}) {
    this.#client = GrpcClient.dial(InferenceService, address, options);
    this.#stream = this.#client.call.detect();
    this.#stream.on('error', () => undefined);
    this.#answers = this.#stream.iterator() as AsyncIterator<DetectResponse>;
  }

  ask(request: MessageInitShape<typeof DetectRequestSchema>): void { this.#stream.write(create(DetectRequestSchema, request)); }

  halfClose(): void { this.#stream.end(); }

  /** The next message, `undefined` at the end of the stream; rejects when it ended with an error. */
  async next(): Promise<DetectResponse['message'] | undefined> {
    const { done, value } = await this.#answers.next();
    return done === true ? undefined : value.message;
  }

  /** The next message that is no Grant. */
  async answer(): Promise<DetectResponse['message'] | undefined> {
    for (;;) {
      const message = await this.next();
      if (message?.case !== 'grant') return message;
    }
  }

  [Symbol.dispose](): void {
    this.#stream.cancel();
    this.#client[Symbol.dispose]();
  }
}
