import { create } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../core/clock.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import { isUnixAddress } from '../platform/grpc/channel-options.ts';
import { GrpcClient } from '../platform/grpc/client.ts';
import { fromGrpc } from '../platform/grpc/errors.ts';
import type { Logger } from '../platform/logging.ts';
import { DetectRequestSchema, InferenceService, RefusalReason } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { DetectRequest, DetectResponse, Grant, Outcome, Refusal } from '../proto/gen/imageflow/v1/inference_pb.ts';
import { AnswerTime } from './answer-time.ts';
import { PictureMemory } from './picture-memory.ts';
import type { Turn } from './in-order.ts';
import type { DispatchSkip, FrameOffer, ModelInfo, WorkerAddress, WorkerReport } from './port.ts';
import { fromModelMessage } from './wire.ts';

const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 2000;
/** A worker that leaves a picture unanswered for so many deadlines hangs: the stream is made anew. */
const HUNG_AFTER_DEADLINES = 5;
const HUNG_SWEEPS = 5;
/** The sweeps give up first what is overdue, and say so. */
const LEAVE_SLACK_MS: Milliseconds = 1000;
/** A model whose pictures are refused is logged so often. */
const REPORT_PERIOD_MS = 30_000;
const REFUSALS: Readonly<Partial<Record<RefusalReason, DispatchSkip>>> = { [RefusalReason.DEADLINE]: 'deadline', [RefusalReason.NO_CREDIT]: 'no_credit' };

type DetectStream = ClientDuplexStream<DetectRequest, DetectResponse>;

/** A picture to be sent. */
export interface OutgoingFrame {
  readonly offer: FrameOffer;
  /** `Clock.monotonic()`. */
  readonly offeredAt: Milliseconds;
  readonly waitingSince: Milliseconds;
  /** Least score asked of the worker, 0..1; null: the model's own default. */
  readonly asked: number | null;
  /** Objects below this are faint. */
  readonly threshold: number;
  readonly turn: Turn;
}

/** A picture that is with the worker. */
export interface SentFrame extends OutgoingFrame {
  readonly sentAt: Milliseconds;
  /** Where it lies in memory shared with the worker; null: it was sent. */
  readonly offset: number | null;
  /** Its deadline passed or its camera is gone: the answer, if it comes, only returns the credit. */
  abandoned: boolean;
}

export interface WorkerLinkOptions {
  readonly worker: WorkerAddress;
  /** A picture not answered by then is given up. */
  readonly deadlineMs: Milliseconds;
  readonly onOutcome: (sent: SentFrame, outcome: Outcome) => void;
  readonly onSkip: (sent: SentFrame, reason: DispatchSkip) => void;
  /** There is credit, or a model, that was not there. */
  readonly onRoom: () => void;
  /** The stream broke, or the worker left. What it had was skipped. */
  readonly onLost: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The extractor's client of one worker: one Detect stream, kept up with back-off, and what the worker has and may be sent. */
export class WorkerLink implements Disposable {
  readonly local: boolean;
  readonly #options: WorkerLinkOptions;
  readonly #client: GrpcClient<typeof InferenceService>;
  readonly #sent = new Map<bigint, SentFrame>();
  readonly #time = new AnswerTime();
  #models: ReadonlyMap<string, ModelInfo> = new Map();
  /** Of each model, pictures that are worth having there at a time. */
  #most: ReadonlyMap<string, number> = new Map();
  #stream: DetectStream | null = null;
  /** Shared with the worker, if it can read it. */
  #memory: PictureMemory | null = null;
  #memoryShared = false;
  #credits = 0;
  #nextId = 1n;
  #hungSweeps = 0;
  #backoff = MIN_BACKOFF_MS;
  #retry: Disposable | undefined;
  #leaving: Disposable | undefined;
  #onLeft = (): void => undefined;
  #disposed = false;
  #answered = 0;
  readonly #reportedAt = new Map<string, Milliseconds>();

  constructor(options: WorkerLinkOptions) {
    const { address, token } = options.worker;
    this.#options = options;
    this.local = isUnixAddress(address);
    this.#client = GrpcClient.dial(InferenceService, address, { clock: options.clock, ...(token === undefined ? {} : { token }) });
    this.#connect();
  }

  get worker(): WorkerAddress { return this.#options.worker; }

  /** The worker has granted credit on the present stream. */
  get connected(): boolean { return this.#models.size > 0; }

  /** Pictures it may be sent now. */
  get credits(): number { return this.#leaving ? 0 : this.#credits; }

  get unanswered(): number { return this.#sent.size; }

  get expectedMs(): Milliseconds { return this.#time.expected(this.#options.clock.monotonic()); }

  /** What it has, in whatever state. */
  get models(): ReadonlyMap<string, ModelInfo> { return this.#models; }

  /** A model it has, in whatever state. */
  model(name: string): ModelInfo | undefined { return this.#models.get(name); }

  /** It has the model, with an input of just these pixels. Of two files of one name the other size is left to the workers that have it. */
  takes({ model, pixels }: FrameOffer): boolean {
    const info = this.#models.get(model);
    return info?.state === 'ready' && 3 * info.inputWidth * info.inputHeight === pixels.bytes.length;
  }

  /** One more picture of the model would not just wait there. */
  hasRoom(model: string): boolean {
    const most = this.#most.get(model) ?? 0;
    if (most === 0) return true;
    const alone = !this.#runsTogether(model);
    let there = 0;
    // Pictures that run one by one wait for each other, whatever their models.
    for (const { offer } of this.#sent.values()) if (offer.model === model || (alone && !this.#runsTogether(offer.model))) there++;
    return there < most;
  }

  #runsTogether(model: string): boolean {
    return (this.#models.get(model)?.batch.pictures ?? 1) > 1;
  }

  /** Needs credit. */
  send(frame: OutgoingFrame): void {
    const stream = this.#stream;
    if (!stream) return;
    this.#credits--;
    const id = this.#nextId++;
    const now = this.#options.clock.monotonic();
    const { offer, offeredAt, asked } = frame;
    const offset = (this.#memoryShared ? this.#memory?.put(offer.pixels.bytes) : null) ?? null;
    this.#sent.set(id, { ...frame, sentAt: now, offset, abandoned: false });
    const request = create(DetectRequestSchema, {
      requestId: id,
      model: offer.model,
      deadlineMs: Math.max(1, Math.round(this.#options.deadlineMs - (now - offeredAt))),
      ...(offset === null ? { pixels: offer.pixels.bytes } : { sharedOffset: BigInt(offset) }),
      sourceWidth: offer.sourceWidth,
      sourceHeight: offer.sourceHeight,
      ...(asked === null ? {} : { confidence: asked }),
      picture: { stream: offer.frame.stream, epoch: offer.frame.epoch, rtpTimestamp: offer.frame.rtpTs, sequence: BigInt(offer.frame.seq) },
    });
    if (offset !== null) {
      offer.pixels[Symbol.dispose]();
      stream.write(request);
    } else {
      // The message is serialised when the stream takes it, which may be later; the buffer is free once it did.
      stream.write(request, () => { offer.pixels[Symbol.dispose](); });
    }
  }

  /** What is on its way for this camera comes back to nobody. */
  forget(camera: CameraId): void {
    for (const sent of this.#sent.values()) if (sent.offer.camera === camera) abandon(sent);
  }

  /** Gives up what is overdue. To be called several times within a deadline. */
  sweep(): void {
    const now = this.#options.clock.monotonic();
    const { deadlineMs } = this.#options;
    let hung = false;
    for (const sent of this.#sent.values()) {
      if (!sent.abandoned && now - sent.offeredAt > deadlineMs) {
        this.#time.note(deadlineMs, now);
        this.#skip(sent, 'deadline');
      }
      if (now - sent.sentAt > deadlineMs * HUNG_AFTER_DEADLINES) hung = true;
    }
    // Seen more than once: after a stall of this process the timer comes before the answers that wait in the socket.
    this.#hungSweeps = hung ? this.#hungSweeps + 1 : 0;
    if (this.#hungSweeps > HUNG_SWEEPS) this.#lose('it does not answer');
  }

  /** Sends nothing more, and closes when everything is answered, or its deadline has passed; then calls `onLeft`. */
  leave(onLeft: () => void): void {
    this.#options.logger.info({ worker: this.worker.address }, 'worker dismissed');
    this.#onLeft = onLeft;
    this.#leaving ??= this.#options.clock.after(this.#options.deadlineMs + LEAVE_SLACK_MS, () => { this[Symbol.dispose](); });
    this.#closeIfDone();
  }

  /** What became of it since the last report. */
  report(): WorkerReport {
    const report = { address: this.worker.address, connected: this.connected, unanswered: this.#sent.size, answered: this.#answered, expectedMs: Math.round(this.expectedMs * 10) / 10 };
    this.#answered = 0;
    return report;
  }

  /** In silence. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#leaving?.[Symbol.dispose]();
    this.#retry?.[Symbol.dispose]();
    for (const sent of this.#sent.values()) abandon(sent);
    this.#sent.clear();
    this.#stream?.cancel();
    this.#endMemory();
    this.#client[Symbol.dispose]();
    this.#onLeft();
  }

  #connect(): void {
    this.#memory = this.local ? PictureMemory.create() : null;
    const stream = this.#client.call.detect(this.#memory ? { metadata: this.#memory.metadata } : {});
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
    this.#endMemory();
    this.#models = new Map();
    this.#credits = 0;
    this.#hungSweeps = 0;
    const lost = [...this.#sent.values()];
    this.#sent.clear();
    for (const sent of lost) if (!sent.abandoned) this.#skip(sent, 'worker_lost');
    if (this.#disposed) return;
    if (wasConnected) this.#options.logger.warn({ worker: this.worker.address, reason: why }, 'worker lost');
    this.#retry = this.#options.clock.after(this.#backoff, () => { this.#connect(); });
    this.#backoff = Math.min(MAX_BACKOFF_MS, this.#backoff * 2);
    this.#options.onLost();
  }

  #endMemory(): void {
    this.#memory?.[Symbol.dispose]();
    this.#memory = null;
    this.#memoryShared = false;
  }

  #receive({ message }: DetectResponse): void {
    switch (message.case) {
      case 'grant': this.#onGrant(message.value); break;
      case 'outcome': this.#onOutcome(message.value); break;
      case 'refusal': this.#onRefusal(message.value); break;
      case undefined: break; // a message of a later version
    }
    this.#options.onRoom();
    this.#closeIfDone();
  }

  #onGrant(grant: Grant): void {
    if (!this.connected) {
      this.#memory?.unlink();
      this.#memoryShared = grant.sharedMemory;
      this.#options.logger.info({ worker: this.worker.address, models: grant.models.map((model) => model.name), sharedMemory: this.#memoryShared }, 'worker connected');
    }
    // It is about to leave: it ends the stream when it has answered what it was sent.
    if (this.connected && grant.models.length === 0) {
      this.#options.logger.info({ worker: this.worker.address }, 'worker leaves');
      this.#stream?.end();
    }
    this.#backoff = MIN_BACKOFF_MS;
    this.#credits += grant.credits;
    this.#models = new Map(grant.models.map((model) => [model.name, fromModelMessage(model)]));
    this.#most = new Map(grant.models.map(({ name, mostUnanswered }) => [name, mostUnanswered]));
  }

  #onOutcome(outcome: Outcome): void {
    const sent = this.#settle(outcome.requestId);
    if (!sent) return;
    const now = this.#options.clock.monotonic();
    this.#time.note(now - sent.sentAt, now);
    if (sent.abandoned) return;
    this.#answered++;
    this.#options.onOutcome(sent, outcome);
  }

  #onRefusal(refusal: Refusal): void {
    const sent = this.#settle(refusal.requestId, refusal.reason !== RefusalReason.NO_CREDIT);
    if (!sent || sent.abandoned) return;
    const why = REFUSALS[refusal.reason] ?? 'refused';
    if (why === 'refused') this.#report(sent.offer, refusal.detail);
    this.#skip(sent, why);
  }

  /** Once in a while for each model: the pictures come many times a second. */
  #report({ camera, model }: FrameOffer, detail: string): void {
    const now = this.#options.clock.monotonic();
    if (now - (this.#reportedAt.get(model) ?? -Infinity) < REPORT_PERIOD_MS) return;
    this.#reportedAt.set(model, now);
    this.#options.logger.warn({ worker: this.worker.address, camera, model, reason: detail }, 'worker refuses the pictures of a model');
  }

  /** An answer came: its credit is back. */
  #settle(id: bigint, credit = true): SentFrame | undefined {
    const sent = this.#sent.get(id);
    if (!sent) return undefined;
    this.#sent.delete(id);
    if (sent.offset !== null) this.#memory?.free(sent.offset);
    if (credit) this.#credits++;
    return sent;
  }

  #skip(sent: SentFrame, reason: DispatchSkip): void {
    abandon(sent);
    this.#options.onSkip(sent, reason);
  }

  #closeIfDone(): void {
    if (this.#leaving && this.#sent.size === 0) this[Symbol.dispose]();
  }
}

const abandon = (sent: SentFrame): void => {
  sent.abandoned = true;
  sent.turn.settle();
};
