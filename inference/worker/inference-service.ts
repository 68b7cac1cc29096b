import { create } from '@bufbuild/protobuf';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { toGrpcStatus } from '../../platform/grpc/errors.ts';
import { serve } from '../../platform/grpc/service.ts';
import type { ServiceRegistration } from '../../platform/grpc/service.ts';
import type { Logger } from '../../platform/logging.ts';
import { DetectResponseSchema, GetStatisticsResponseSchema, InferenceService as Service, ListModelsResponseSchema, RefusalReason } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import type { DetectRequest, DetectResponse, Model } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import type { ModelRegistry } from '../models/model-registry.ts';
import { ClientMemory } from '../picture-memory.ts';
import type { InferenceFrame, InferenceOutcome, ModelInfo } from '../port.ts';
import { toModelMessage } from '../wire.ts';
import { BatchFailures } from './batch-failures.ts';
import { isExpired, nextBatch } from './batching.ts';
import type { BatchLimits, WaitingPicture } from './batching.ts';
import { Gathering } from './gathering.ts';
import { PictureBuffers } from './picture-buffers.ts';
import { RunCounts } from './run-counts.ts';
import type { Turns } from './turns.ts';

export interface InferenceServiceOptions {
  readonly registry: Pick<ModelRegistry, 'ready' | 'has' | 'list' | 'onChange'>;
  /** Pictures taken at a time from one client; of a model that runs several together so many times as many. */
  readonly credits: number;
  readonly turns: Turns;
  /** By result: `GetStatisticsResponse.kserve_calls`. */
  readonly kserveCalls: () => ReadonlyMap<string, number>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A client that keeps sending without credit is cut off. */
const MAX_OVERRUNS = 16;
/** However many pictures models run together: a picture is up to 24 MiB, and has to wait for those before it. */
const MAX_BATCH_CREDITS = 64;
const ONE_BY_ONE: BatchLimits = { most: 1, delayMs: 0 };

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
  /** Where it leaves pictures; null: it sends them. */
  readonly memory: ClientMemory | null;
  /** What it may still send, and what it may send altogether. */
  credits: number;
  granted: number;
  /** It has half-closed; the stream ends with the last answer. */
  leaving: boolean;
  /** Pictures it sent without credit. */
  overruns: number;
  gone: boolean;
}

interface Job extends WaitingPicture {
  readonly client: Client;
  readonly request: DetectRequest;
}

/** A picture that a model is to look at. */
interface Ready {
  readonly job: Job;
  readonly frame: InferenceFrame;
  /** Milliseconds from receipt until its run. */
  readonly waitedMs: Milliseconds;
}

/** `imageflow.v1.InferenceService`: one queue for all clients, bounded by the credits they hold, worked off one run at a time (`nextBatch`). */
export class InferenceService {
  /** Give it to `GrpcServer.start`. */
  readonly service: ServiceRegistration;
  readonly #options: InferenceServiceOptions;
  readonly #clients = new Set<Client>();
  readonly #runs = new RunCounts();
  readonly #failures = new BatchFailures();
  readonly #gathering: Gathering;
  readonly #buffers = new PictureBuffers();
  #queue: readonly Job[] = [];
  #alarm: Disposable | undefined;
  #retired = false;
  #onEmpty = (): void => undefined;

  constructor(options: InferenceServiceOptions) {
    const { registry, turns, kserveCalls, clock } = options;
    this.#options = options;
    this.#gathering = new Gathering(clock);
    turns.take('live', () => this.#next());
    registry.onChange(() => {
      this.#runs.keep((model) => registry.has(model));
      for (const client of this.#clients) this.#grant(client);
    });
    this.service = serve(Service, {
      detect: (call) => { this.#accept(call); },
      listModels: () => Promise.resolve(create(ListModelsResponseSchema, { models: this.#models() })),
      getStatistics: () => Promise.resolve(create(GetStatisticsResponseSchema, {
        kserveCalls: Object.fromEntries([...kserveCalls()].map(([result, calls]) => [result, BigInt(calls)])), batches: [...this.#runs.all],
      })),
    });
  }

  /** Tells clients that there are no models any more, on which they leave; resolves when all have left, what they had sent answered, or after `withinMs`. */
  async retire(withinMs: Milliseconds): Promise<void> {
    this.#retired = true;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#onEmpty = () => { resolve(undefined); };
    using _deadline = this.#options.clock.after(withinMs, this.#onEmpty);
    for (const client of this.#clients) this.#grant(client);
    if (this.#clients.size === 0) this.#onEmpty();
    this.#options.turns.wake(); // what waits for others waits no more
    await promise;
  }

  /** Ends every stream: the worker is going away. */
  [Symbol.dispose](): void {
    this.#alarm?.[Symbol.dispose]();
    for (const client of this.#clients) {
      client.call.end();
      this.#drop(client);
    }
    this.#queue = [];
  }

  #accept(call: DetectCall): void {
    const client: Client = { call, memory: ClientMemory.open(call.metadata), credits: 0, granted: 0, leaving: false, overruns: 0, gone: false };
    this.#clients.add(client);
    const drop = (): void => { this.#drop(client); };
    call.on('cancelled', drop);
    call.on('close', drop);
    call.on('end', () => { client.leaving = true; this.#endIfIdle(client); });
    call.on('data', (request: DetectRequest) => { this.#receive(client, request); });
    this.#grant(client);
  }

  #drop(client: Client): void {
    if (client.gone) return;
    client.gone = true;
    client.memory?.[Symbol.dispose]();
    this.#clients.delete(client);
    if (this.#clients.size === 0) this.#onEmpty();
  }

  /** Tells the models, and gives the credit that they are worth; what was given cannot be taken back. */
  #grant(client: Client): void {
    const wanted = Math.max(this.#options.credits, ...this.#options.registry.list().map((info) => this.#worth(info)));
    const credits = this.#retired ? 0 : Math.max(0, wanted - client.granted);
    client.granted += credits;
    client.credits += credits;
    client.call.write(create(DetectResponseSchema, { message: { case: 'grant', value: { credits, models: this.#retired ? [] : this.#models(), sharedMemory: client.memory !== null } } }));
  }

  #models(): Model[] {
    return this.#options.registry.list().map((info) => toModelMessage(info, this.#worth(info)));
  }

  /** Of one client's pictures: with so many there are some in a run and as many for the next. */
  #worth({ batch: { pictures } }: ModelInfo): number {
    const { credits } = this.#options;
    return Math.max(credits, Math.min(credits * pictures, MAX_BATCH_CREDITS));
  }

  #receive(client: Client, request: DetectRequest): void {
    if (client.credits === 0) {
      client.overruns++;
      if (client.overruns > MAX_OVERRUNS) client.call.emit('error', toGrpcStatus(new MediaError('RESOURCE_EXHAUSTED', 'pictures sent without credit')));
      else this.#write(client, refusal(request.requestId, RefusalReason.NO_CREDIT, 'sent without credit'));
      return;
    }
    client.credits--;
    const { model, deadlineMs } = request;
    this.#queue = [...this.#queue, { client, request, model, deadlineMs, receivedAt: this.#options.clock.monotonic() }];
    this.#gathering.came();
    this.#options.turns.wake();
  }

  #next(): Promise<void> | undefined {
    const { clock, turns } = this.#options;
    this.#alarm?.[Symbol.dispose]();
    this.#alarm = undefined;
    const now = clock.monotonic();
    const { expired, batch: [first], dueAt } = nextBatch(this.#queue.filter(({ client }) => !client.gone), now, (model) => this.#limits(model));
    this.#queue = this.#queue.filter((job) => !job.client.gone && !expired.includes(job));
    for (const job of expired) this.#answer(job, tooLate(job, now));
    if (first) return this.#serve(first.model);
    if (dueAt !== null) this.#alarm = clock.after(dueAt - now, () => { turns.wake(); });
    return undefined;
  }

  #limits(name: string): BatchLimits {
    const model = this.#options.registry.ready(name);
    if (!model?.batch || this.#failures.areMany(model)) return ONE_BY_ONE;
    return this.#retired ? { most: model.batch.most, delayMs: 0 } : model.batch;
  }

  /** One run of a model; what the clock says is asked anew, since it may wait before. */
  async #serve(name: string): Promise<void> {
    const { registry, clock } = this.#options;
    const { most } = this.#limits(name);
    const waiting = (): readonly Job[] => this.#queue.filter(({ client, model }) => model === name && !client.gone);
    if (most > 1) await this.#gathering.all(most, waiting);
    const jobs = waiting().slice(0, most);
    this.#queue = this.#queue.filter((job) => !jobs.includes(job));
    const now = clock.monotonic();
    const model = registry.ready(name);
    const ready: Ready[] = [];
    for (const job of jobs) {
      const frame = isExpired(job, now) ? tooLate(job, now) : this.#frame(job, model);
      if ('pixels' in frame) ready.push({ job, frame, waitedMs: now - job.receivedAt });
      else this.#answer(job, frame);
    }
    if (ready.length === 0 || !model) return;
    this.#runs.note(name, ready.length);
    if (ready.length > 1 && model.batch) await this.#runTogether(ready, model, model.batch.infer);
    else for (const each of ready) await this.#runAlone(each, model);
    for (const { job, frame } of ready) if (job.request.sharedOffset !== undefined) this.#buffers.give(frame.pixels);
    this.#gathering.ran(now);
  }

  /** A run that fails is done again picture by picture, so that one bad picture takes no other with it. */
  async #runTogether(ready: readonly Ready[], model: LoadedModel, infer: (frames: readonly InferenceFrame[]) => Promise<readonly InferenceOutcome[]>): Promise<void> {
    const { clock, logger } = this.#options;
    let outcomes: readonly InferenceOutcome[];
    try {
      outcomes = await infer(ready.map(({ frame }) => frame));
    } catch (error) {
      // Of what has no answer it is not the pictures' fault, and their time is over.
      if (error instanceof MediaError && (error.code === 'DEADLINE_EXCEEDED' || error.code === 'UNAVAILABLE')) {
        for (const { job } of ready) this.#answer(job, this.#refusalFor(job, error));
        return;
      }
      let failed = 0;
      for (const each of ready) {
        const now = clock.monotonic();
        if (isExpired(each.job, now)) this.#answer(each.job, tooLate(each.job, now));
        else if (!await this.#runAlone({ ...each, waitedMs: now - each.job.receivedAt }, model)) failed++;
      }
      const fields = { model: model.info.name, pictures: ready.length, failed, error: messageOf(error) };
      if (this.#failures.note(model, failed > 0)) logger.error(fields, 'several pictures in one run fail again and again; from now on one by one');
      else logger.warn(fields, 'several pictures in one run failed; they were run one by one');
      return;
    }
    this.#failures.forget(model);
    for (const [at, { job, waitedMs }] of ready.entries()) {
      const outcome = outcomes[at];
      this.#answer(job, outcome ? answer(job, outcome, waitedMs, ready.length) : refusal(job.request.requestId, RefusalReason.INFERENCE_FAILED, 'the run had no answer for this picture'));
    }
  }

  /** False: the model failed. */
  async #runAlone({ job, frame, waitedMs }: Ready, model: LoadedModel): Promise<boolean> {
    try {
      this.#answer(job, answer(job, await model.infer(frame), waitedMs, 1));
      return true;
    } catch (error) {
      this.#answer(job, this.#refusalFor(job, error));
      return false;
    }
  }

  /** What a model is to look at, or what the request is refused with. */
  #frame({ client, request }: Job, model: LoadedModel | undefined): InferenceFrame | DetectResponse {
    const { registry } = this.#options;
    const { requestId: id, sharedOffset, sourceWidth, sourceHeight } = request;
    if (!model) {
      return registry.has(request.model)
        ? refusal(id, RefusalReason.MODEL_NOT_READY, `model ${request.model} is not ready`)
        : refusal(id, RefusalReason.UNKNOWN_MODEL, `no model ${request.model.slice(0, 200)}`);
    }
    const { defaultConfidence, inputWidth, inputHeight } = model.info;
    const confidence = request.confidence ?? defaultConfidence;
    if (sourceWidth === 0 || sourceHeight === 0 || !(confidence >= 0 && confidence <= 1)) {
      return refusal(id, RefusalReason.BAD_REQUEST, 'no picture size, or a confidence outside 0..1');
    }
    const bytes = 3 * inputWidth * inputHeight;
    const pixels = sharedOffset === undefined ? request.pixels : this.#read(client, sharedOffset, bytes);
    if (!pixels) return refusal(id, RefusalReason.BAD_REQUEST, `there are no ${bytes} bytes of pixels at ${sharedOffset} of the shared memory`);
    if (pixels.length !== bytes) return refusal(id, RefusalReason.BAD_REQUEST, `${request.model} takes ${bytes} bytes of pixels, not ${pixels.length}`);
    return { pixels, sourceWidth, sourceHeight, confidence };
  }

  /** Undefined: there is no such picture. */
  #read({ memory }: Client, offset: bigint, bytes: number): Uint8Array | undefined {
    const into = this.#buffers.take(bytes);
    if (memory?.read(Number(offset), into) === true) return into;
    this.#buffers.give(into);
    return undefined;
  }

  #refusalFor({ request }: Job, error: unknown): DetectResponse {
    if (error instanceof MediaError) return refusal(request.requestId, REFUSALS[error.code] ?? RefusalReason.BAD_REQUEST, error.message);
    this.#options.logger.error({ model: request.model, error: messageOf(error) }, 'inference failed');
    return refusal(request.requestId, RefusalReason.INFERENCE_FAILED, messageOf(error));
  }

  #answer({ client }: Job, message: DetectResponse): void {
    client.credits++;
    this.#write(client, message);
    this.#endIfIdle(client);
  }

  #write(client: Client, message: DetectResponse): void {
    // Answers are small and as many as there are credits: the stream's own buffer bounds them.
    if (!client.gone) client.call.write(message);
  }

  #endIfIdle(client: Client): void {
    if (client.leaving && !client.gone && client.credits === client.granted) client.call.end();
  }
}

const answer = ({ request }: Job, { detections, modelDigest, inferenceMs }: InferenceOutcome, waitedMs: Milliseconds, runPictures: number): DetectResponse => {
  const objects = detections.map(({ classId, className, confidence, bbox }) => ({ classId, className, confidence, ...bbox }));
  return create(DetectResponseSchema, { message: { case: 'outcome', value: { requestId: request.requestId, objects, modelDigest, inferenceMs, waitedMs, runPictures } } });
};

const refusal = (requestId: bigint, reason: RefusalReason, detail: string): DetectResponse =>
  create(DetectResponseSchema, { message: { case: 'refusal', value: { requestId, reason, detail } } });

const tooLate = ({ request, receivedAt }: Job, now: Milliseconds): DetectResponse =>
  refusal(request.requestId, RefusalReason.DEADLINE, `waited ${Math.round(now - receivedAt)} ms`);
