import { create } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../core/clock.ts';
import type { DetectionResult } from '../core/detection.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import { GrpcClient } from '../platform/grpc/client.ts';
import { fromGrpc } from '../platform/grpc/errors.ts';
import type { Logger } from '../platform/logging.ts';
import { DetectRequestSchema, InferenceService, RefusalReason } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { DetectRequest, DetectResponse, Grant, Outcome, Refusal } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { DispatchListener, DispatchSkip, FrameDispatcher, FrameOffer, ModelInfo } from './port.ts';
import { EveryFrame } from './every-frame.ts';
import { WaitingFrames } from './waiting-frames.ts';
import type { WaitingFrame } from './waiting-frames.ts';
import { fromModelMessage } from './wire.ts';

export interface DispatcherOptions {
  /** `unix:/path` or `host:port` of the worker. */
  readonly address: string;
  /** Shown to the worker where it listens on `host:port`. */
  readonly token?: string | undefined;
  /** A picture not answered by then is given up. */
  readonly deadlineMs: Milliseconds;
  readonly listener: DispatchListener;
  /**
   * No picture gives way to a newer one, and only one at a time is with the worker, so that pictures of live cameras wait for one at most.
   * Whoever offers bounds how many wait.
   */
  readonly keepAll?: boolean | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const SWEEP_PERIOD_MS = 100;
const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 2000;
/** A worker that leaves a picture unanswered for so many deadlines hangs: the stream is made anew. */
const HUNG_AFTER_DEADLINES = 5;
const HUNG_SWEEPS = 5;
/** A model whose pictures are refused is logged so often. */
const REPORT_PERIOD_MS = 30_000;
const REFUSALS: Readonly<Partial<Record<RefusalReason, DispatchSkip>>> = { [RefusalReason.DEADLINE]: 'deadline', [RefusalReason.NO_CREDIT]: 'no_credit' };

type DetectStream = ClientDuplexStream<DetectRequest, DetectResponse>;

interface InFlight {
  readonly offer: FrameOffer;
  readonly offeredAt: Milliseconds;
  readonly sentAt: Milliseconds;
  /** Its deadline passed or its camera is gone: the answer, if it comes, only returns the credit. */
  abandoned: boolean;
}

/** The extractor's client of one worker: one Detect stream, kept up with back-off. Pictures wait here only while there is no credit, newest first. */
export class Dispatcher implements FrameDispatcher, Disposable {
  readonly #options: DispatcherOptions;
  readonly #client: GrpcClient<typeof InferenceService>;
  readonly #waiting: WaitingFrames | EveryFrame;
  readonly #inFlight = new Map<bigint, InFlight>();
  readonly #sweeper: Disposable;
  #models: ReadonlyMap<string, ModelInfo> = new Map();
  #stream: DetectStream | null = null;
  #credits = 0;
  #nextId = 1n;
  #hungSweeps = 0;
  #backoff = MIN_BACKOFF_MS;
  #retry: Disposable | undefined;
  #disposed = false;
  readonly #reportedAt = new Map<string, Milliseconds>();

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#waiting = options.keepAll ? new EveryFrame() : new WaitingFrames();
    this.#client = GrpcClient.dial(InferenceService, options.address, { clock: options.clock, ...(options.token === undefined ? {} : { token: options.token }) });
    this.#sweeper = options.clock.every(SWEEP_PERIOD_MS, () => { this.#sweep(); });
    this.#connect();
  }

  /** The worker has granted credit on the present stream. */
  get connected(): boolean {
    return this.#models.size > 0;
  }

  model(name: string): ModelInfo | undefined {
    const model = this.#models.get(name);
    return model?.state === 'ready' ? model : undefined;
  }

  offer(offer: FrameOffer): void {
    const frame = { offer, offeredAt: this.#options.clock.monotonic() };
    if (!this.connected) {
      this.#skip(offer, 'worker_lost');
      return;
    }
    const before = this.#waiting.put(frame);
    if (before) this.#skip(before.offer, 'superseded');
    this.#sendAll();
  }

  forget(camera: CameraId): void {
    for (const { offer } of this.#waiting.takeAll(camera)) offer.pixels[Symbol.dispose]();
    for (const sent of this.#inFlight.values()) if (sent.offer.camera === camera) sent.abandoned = true;
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#sweeper[Symbol.dispose]();
    this.#retry?.[Symbol.dispose]();
    for (const { offer } of this.#waiting.takeAll()) offer.pixels[Symbol.dispose]();
    this.#inFlight.clear();
    this.#stream?.cancel();
    this.#client[Symbol.dispose]();
  }

  #connect(): void {
    const stream = this.#client.call.detect();
    this.#stream = stream;
    const lost = (why: string): void => { if (this.#stream === stream) this.#lose(why); };
    stream.on('data', (response: DetectResponse) => { if (this.#stream === stream) this.#receive(response); });
    stream.on('error', (error) => { lost(fromGrpc(error).message); });
    stream.on('end', () => { lost('the worker ended the stream'); });
  }

  #lose(why: string): void {
    const wasConnected = this.connected;
    const stream = this.#stream;
    this.#stream = null;
    stream?.cancel();
    this.#models = new Map();
    this.#credits = 0;
    this.#hungSweeps = 0;
    const lost = [...this.#inFlight.values()];
    this.#inFlight.clear();
    for (const sent of lost) if (!sent.abandoned) this.#options.listener.onSkip(sent.offer.camera, 'worker_lost');
    for (const { offer } of this.#waiting.takeAll()) this.#skip(offer, 'worker_lost');
    if (this.#disposed) return;
    if (wasConnected) this.#options.logger.warn({ worker: this.#options.address, reason: why }, 'worker lost');
    this.#retry = this.#options.clock.after(this.#backoff, () => { this.#connect(); });
    this.#backoff = Math.min(MAX_BACKOFF_MS, this.#backoff * 2);
  }

  #receive({ message }: DetectResponse): void {
    switch (message.case) {
      case 'grant': this.#onGrant(message.value); break;
      case 'outcome': this.#onOutcome(message.value); break;
      case 'refusal': this.#onRefusal(message.value); break;
      case undefined: break; // a message of a later version
    }
    this.#sendAll();
  }

  #onGrant(grant: Grant): void {
    if (!this.connected) this.#options.logger.info({ worker: this.#options.address, models: grant.models.map((model) => model.name) }, 'worker connected');
    this.#backoff = MIN_BACKOFF_MS;
    this.#credits += grant.credits;
    this.#models = new Map(grant.models.map((model) => [model.name, fromModelMessage(model)]));
  }

  #onOutcome(outcome: Outcome): void {
    const sent = this.#settle(outcome.requestId);
    if (!sent || sent.abandoned) return;
    const { offer } = sent;
    const now = this.#options.clock.monotonic();
    const result: DetectionResult = {
      frame: offer.frame,
      capturedAt: offer.capturedAt,
      model: offer.model,
      modelDigest: outcome.modelDigest,
      inferenceMs: rounded(outcome.inferenceMs, 100),
      width: offer.sourceWidth,
      height: offer.sourceHeight,
      detections: outcome.objects.map((object) => ({
        className: object.className,
        classId: object.classId,
        confidence: rounded(object.confidence, 10_000),
        bbox: { x: rounded(object.x, 100), y: rounded(object.y, 100), width: rounded(object.width, 100), height: rounded(object.height, 100) },
        trackId: null,
      })),
    };
    this.#options.listener.onResult(offer.detector, result, {
      queueMs: sent.sentAt - sent.offeredAt,
      waitMs: outcome.waitedMs,
      inferenceMs: outcome.inferenceMs,
      totalMs: now - sent.offeredAt,
    });
  }

  #onRefusal(refusal: Refusal): void {
    const sent = this.#settle(refusal.requestId, refusal.reason !== RefusalReason.NO_CREDIT);
    if (!sent || sent.abandoned) return;
    const { camera, model } = sent.offer;
    const why = REFUSALS[refusal.reason] ?? 'refused';
    if (why === 'refused') this.#report(camera, model, refusal.detail);
    this.#options.listener.onSkip(camera, why);
  }

  /** Once in a while for each model: the pictures come many times a second. */
  #report(camera: CameraId, model: string, detail: string): void {
    const now = this.#options.clock.monotonic();
    if (now - (this.#reportedAt.get(model) ?? -Infinity) < REPORT_PERIOD_MS) return;
    this.#reportedAt.set(model, now);
    this.#options.logger.warn({ camera, model, reason: detail }, 'worker refuses the pictures of a model');
  }

  /** An answer came: its credit is back. */
  #settle(id: bigint, credit = true): InFlight | undefined {
    const sent = this.#inFlight.get(id);
    if (!sent) return undefined;
    this.#inFlight.delete(id);
    if (credit) this.#credits++;
    return sent;
  }

  #sendAll(): void {
    while (this.#credits > 0 && !(this.#options.keepAll && this.#inFlight.size > 0)) {
      const frame = this.#waiting.take();
      if (!frame) return;
      this.#send(frame);
    }
  }

  #send({ offer, offeredAt }: WaitingFrame): void {
    const stream = this.#stream;
    if (!stream) return;
    this.#credits--;
    const id = this.#nextId++;
    const now = this.#options.clock.monotonic();
    this.#inFlight.set(id, { offer, offeredAt, sentAt: now, abandoned: false });
    const { frame } = offer;
    const request = create(DetectRequestSchema, {
      requestId: id,
      model: offer.model,
      deadlineMs: Math.max(1, Math.round(this.#options.deadlineMs - (now - offeredAt))),
      pixels: offer.pixels.bytes,
      sourceWidth: offer.sourceWidth,
      sourceHeight: offer.sourceHeight,
      ...(offer.confidence === null ? {} : { confidence: offer.confidence }),
      picture: { stream: frame.stream, epoch: frame.epoch, rtpTimestamp: frame.rtpTs, sequence: BigInt(frame.seq) },
    });
    // The message is serialised when the stream takes it, which may be later; the buffer is free once it did.
    stream.write(request, () => { offer.pixels[Symbol.dispose](); });
  }

  #sweep(): void {
    const now = this.#options.clock.monotonic();
    const { deadlineMs } = this.#options;
    for (const { offer } of this.#waiting.takeOlderThan(now - deadlineMs)) this.#skip(offer, 'no_credit');
    let hung = false;
    for (const sent of this.#inFlight.values()) {
      if (!sent.abandoned && now - sent.offeredAt > deadlineMs) {
        sent.abandoned = true;
        this.#options.listener.onSkip(sent.offer.camera, 'deadline');
      }
      if (now - sent.sentAt > deadlineMs * HUNG_AFTER_DEADLINES) hung = true;
    }
    // Seen more than once: after a stall of this process the timer comes before the answers that wait in the socket.
    this.#hungSweeps = hung ? this.#hungSweeps + 1 : 0;
    if (this.#hungSweeps > HUNG_SWEEPS) this.#lose('it does not answer');
  }

  #skip(offer: FrameOffer, reason: DispatchSkip): void {
    offer.pixels[Symbol.dispose]();
    this.#options.listener.onSkip(offer.camera, reason);
  }
}

const rounded = (value: number, steps: number): number => Math.round(value * steps) / steps;
