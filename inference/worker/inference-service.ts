import { create } from '@bufbuild/protobuf';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { toGrpcStatus } from '../../platform/grpc/errors.ts';
import { serve } from '../../platform/grpc/service.ts';
import type { ServiceRegistration } from '../../platform/grpc/service.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import { DetectResponseSchema, GetStatisticsResponseSchema, InferenceService as Service, ListModelsResponseSchema, RefusalReason } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import type { DetectRequest, DetectResponse } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import type { ModelRegistry } from '../models/model-registry.ts';
import { toModelMessage } from '../wire.ts';
import type { Turns } from './turns.ts';

export interface InferenceServiceOptions {
  readonly registry: Pick<ModelRegistry, 'ready' | 'has' | 'list' | 'onChange'>;
  /** Pictures taken at a time from one client. */
  readonly credits: number;
  readonly turns: Turns;
  /** By result: `GetStatisticsResponse.kserve_calls`. */
  readonly kserveCalls: () => ReadonlyMap<string, number>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A client that keeps sending without credit is cut off. */
const MAX_OVERRUNS = 16;

/** What a model rejects with that is not the request's fault: the server that runs it is gone, slow or gives nonsense. */
const REFUSALS: Readonly<Partial<Record<ErrorCode, RefusalReason>>> = {
  DEADLINE_EXCEEDED: RefusalReason.DEADLINE,
  UNAVAILABLE: RefusalReason.MODEL_NOT_READY,
  UNPROCESSABLE: RefusalReason.INFERENCE_FAILED,
  INTERNAL: RefusalReason.INFERENCE_FAILED,
};

type DetectCall = ServerDuplexStream<DetectRequest, DetectResponse>;

interface Client {
  readonly call: DetectCall;
  /** What it may still send. */
  credits: number;
  /** It has half-closed; the stream ends with the last answer. */
  leaving: boolean;
  /** Pictures it sent without credit. */
  overruns: number;
  gone: boolean;
}

interface Job {
  readonly client: Client;
  readonly request: DetectRequest;
  readonly receivedAt: number;
}

/** `imageflow.v1.InferenceService`: one queue for all clients, bounded by the credits they hold, worked off one picture at a time. */
export class InferenceService {
  /** Give it to `GrpcServer.start`. */
  readonly service: ServiceRegistration;
  readonly #options: InferenceServiceOptions;
  readonly #clients = new Set<Client>();
  readonly #queue: Job[] = [];
  #retired = false;
  #onEmpty = (): void => undefined;

  constructor(options: InferenceServiceOptions) {
    this.#options = options;
    options.turns.take('live', () => this.#next());
    options.registry.onChange(() => { for (const client of this.#clients) this.#grant(client, 0); });
    this.service = serve(Service, {
      detect: (call) => { this.#accept(call); },
      listModels: () => Promise.resolve(create(ListModelsResponseSchema, { models: options.registry.list().map(toModelMessage) })),
      getStatistics: () => Promise.resolve(create(GetStatisticsResponseSchema, { kserveCalls: Object.fromEntries([...options.kserveCalls()].map(([result, calls]) => [result, BigInt(calls)])) })),
    });
  }

  /** Tells clients that there are no models any more, on which they leave; resolves when all have left, what they had sent answered, or after `withinMs`. */
  async retire(withinMs: Milliseconds): Promise<void> {
    this.#retired = true;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#onEmpty = () => { resolve(undefined); };
    using _deadline = this.#options.clock.after(withinMs, this.#onEmpty);
    for (const client of this.#clients) this.#grant(client, 0);
    if (this.#clients.size === 0) this.#onEmpty();
    await promise;
  }

  /** Ends every stream: the worker is going away. */
  [Symbol.dispose](): void {
    for (const { call } of this.#clients) call.end();
    this.#clients.clear();
    this.#queue.length = 0;
  }

  #accept(call: DetectCall): void {
    const client: Client = { call, credits: 0, leaving: false, overruns: 0, gone: false };
    this.#clients.add(client);
    const drop = (): void => {
      client.gone = true;
      this.#clients.delete(client);
      if (this.#clients.size === 0) this.#onEmpty();
    };
    call.on('cancelled', drop);
    call.on('close', drop);
    call.on('end', () => { client.leaving = true; this.#endIfIdle(client); });
    call.on('data', (request: DetectRequest) => { this.#receive(client, request); });
    this.#grant(client, this.#options.credits);
  }

  #grant(client: Client, credits: number): void {
    client.credits += credits;
    client.call.write(create(DetectResponseSchema, { message: { case: 'grant', value: { credits, models: this.#retired ? [] : this.#options.registry.list().map(toModelMessage) } } }));
  }

  #receive(client: Client, request: DetectRequest): void {
    if (client.credits === 0) {
      client.overruns++;
      if (client.overruns > MAX_OVERRUNS) client.call.emit('error', toGrpcStatus(new MediaError('RESOURCE_EXHAUSTED', 'pictures sent without credit')));
      else this.#write(client, refusal(request.requestId, RefusalReason.NO_CREDIT, 'sent without credit'));
      return;
    }
    client.credits--;
    this.#queue.push({ client, request, receivedAt: this.#options.clock.monotonic() });
    this.#options.turns.wake();
  }

  #next(): Promise<void> | undefined {
    for (let job = this.#queue.shift(); job; job = this.#queue.shift()) if (!job.client.gone) return this.#serve(job);
    return undefined;
  }

  async #serve(job: Job): Promise<void> {
    const answer = await this.#answer(job);
    job.client.credits++;
    this.#write(job.client, answer);
    this.#endIfIdle(job.client);
  }

  async #answer({ request, receivedAt }: Job): Promise<DetectResponse> {
    const { registry, clock, logger } = this.#options;
    const id = request.requestId;
    const waitedMs = clock.monotonic() - receivedAt;
    if (waitedMs > request.deadlineMs) return refusal(id, RefusalReason.DEADLINE, `waited ${Math.round(waitedMs)} ms`);
    const model = registry.ready(request.model);
    if (!model) {
      return registry.has(request.model)
        ? refusal(id, RefusalReason.MODEL_NOT_READY, `model ${request.model} is not ready`)
        : refusal(id, RefusalReason.UNKNOWN_MODEL, `no model ${request.model.slice(0, 200)}`);
    }
    const confidence = request.confidence ?? model.info.defaultConfidence;
    if (request.sourceWidth === 0 || request.sourceHeight === 0 || !(confidence >= 0 && confidence <= 1)) {
      return refusal(id, RefusalReason.BAD_REQUEST, 'no picture size, or a confidence outside 0..1');
    }
    try {
      const { sourceWidth, sourceHeight, pixels } = request;
      const outcome = await model.infer({ pixels, sourceWidth, sourceHeight, confidence });
      const objects = outcome.detections.map(({ classId, className, confidence: score, bbox }) => ({ classId, className, confidence: score, ...bbox }));
      return create(DetectResponseSchema, {
        message: { case: 'outcome', value: { requestId: id, objects, modelDigest: outcome.modelDigest, inferenceMs: outcome.inferenceMs, waitedMs } },
      });
    } catch (error) {
      if (error instanceof MediaError) return refusal(id, REFUSALS[error.code] ?? RefusalReason.BAD_REQUEST, error.message);
      logger.error({ model: request.model, error: messageOf(error) }, 'inference failed');
      return refusal(id, RefusalReason.INFERENCE_FAILED, messageOf(error));
    }
  }

  #write(client: Client, message: DetectResponse): void {
    // Answers are small and as many as there are credits: the stream's own buffer bounds them.
    if (!client.gone) client.call.write(message);
  }

  #endIfIdle(client: Client): void {
    if (client.leaving && !client.gone && client.credits === this.#options.credits) client.call.end();
  }
}

const refusal = (requestId: bigint, reason: RefusalReason, detail: string): DetectResponse =>
  create(DetectResponseSchema, { message: { case: 'refusal', value: { requestId, reason, detail } } });
