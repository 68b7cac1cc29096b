import type { Clock } from '../core/clock.ts';
import type { Detection, DetectionResult } from '../core/detection.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import type { DetectedObject, Outcome } from '../proto/gen/imageflow/v1/inference_pb.ts';
import { chooseWorker } from './choose-worker.ts';
import { EveryFrame } from './every-frame.ts';
import { InOrder } from './in-order.ts';
import type { DispatchListener, DispatchSkip, FrameDispatcher, FrameOffer, ModelDirectory, ModelInfo, WorkerAddress, WorkerReport } from './port.ts';
import { WaitingFrames } from './waiting-frames.ts';
import type { WaitingFrame } from './waiting-frames.ts';
import { WorkerLink } from './worker-link.ts';
import type { SentFrame } from './worker-link.ts';

export interface DispatcherOptions {
  /** The workers to begin with. */
  readonly workers: readonly WorkerAddress[];
  /** A picture not answered by then is given up. */
  readonly deadlineMs: Milliseconds;
  readonly listener: DispatchListener;
  /**
   * No picture gives way to a newer one, and only one at a time is with a worker, so that pictures of live cameras wait for one at most.
   * Whoever offers bounds how many wait.
   */
  readonly keepAll?: boolean | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const SWEEP_PERIOD_MS = 100;
/** Workers make themselves known anew to a control process that was started again: until then they are not listed. */
const UNLISTED_GRACE_MS: Milliseconds = 10_000;

/**
 * The extractor's way to the workers: each picture goes to the worker with credit from which the answer is to be expected first.
 * Pictures wait here only while nobody has credit, newest first; results come in the order of a detector's pictures.
 */
export class Dispatcher implements FrameDispatcher, ModelDirectory, Disposable {
  readonly #options: DispatcherOptions;
  /** In the order of the list: the first that has a model says what its input is. */
  #links: readonly WorkerLink[] = [];
  /** Workers that are listed no more, until their grace is over. */
  readonly #unlisted = new Map<WorkerLink, Disposable>();
  readonly #leaving = new Set<WorkerLink>();
  readonly #waiting: WaitingFrames | EveryFrame;
  readonly #order = new InOrder();
  readonly #sweeper: Disposable;
  #disposed = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#waiting = options.keepAll ? new EveryFrame() : new WaitingFrames();
    this.#sweeper = options.clock.every(SWEEP_PERIOD_MS, () => { this.#sweep(); });
    this.setWorkers(options.workers);
  }

  get connected(): boolean {
    return this.#links.some((link) => link.connected);
  }

  model(name: string): ModelInfo | undefined {
    for (const link of this.#links) {
      const model = link.model(name);
      if (model?.state === 'ready') return model;
    }
    return undefined;
  }

  models(): ReadonlyMap<string, ModelInfo> {
    const models = new Map<string, ModelInfo>();
    for (const link of this.#links) for (const [name, info] of link.models) if (models.get(name)?.state !== 'ready' && (info.state === 'ready' || !models.has(name))) models.set(name, info);
    return models;
  }

  setWorkers(workers: readonly WorkerAddress[]): void {
    const known = this.#links;
    const listed = workers.map((worker) => known.find((link) => isSame(link.worker, worker)) ?? this.#join(worker));
    for (const link of listed) {
      this.#unlisted.get(link)?.[Symbol.dispose]();
      this.#unlisted.delete(link);
    }
    const unlisted = known.filter((link) => !listed.includes(link));
    for (const link of unlisted) {
      if (!this.#unlisted.has(link)) this.#unlisted.set(link, this.#options.clock.after(UNLISTED_GRACE_MS, () => { this.#dismiss(link); }));
    }
    this.#links = [...listed, ...unlisted];
  }

  reports(): readonly WorkerReport[] {
    return this.#links.map((link) => link.report());
  }

  waitsFor(camera: CameraId, detector: string): Milliseconds {
    const waiting = this.#waiting.of(camera, detector);
    return waiting ? this.#options.clock.monotonic() - waiting.offeredAt : 0;
  }

  offer(offer: FrameOffer): void {
    const offeredAt = this.#options.clock.monotonic();
    const waitingSince = (offer.refresh === true ? this.#waiting.of(offer.camera, offer.detector)?.waitingSince : undefined) ?? offeredAt;
    const frame = { offer, offeredAt, waitingSince };
    if (!this.connected) {
      this.#skip(offer, 'worker_lost');
      return;
    }
    const before = this.#waiting.put(frame);
    if (before) this.#skip(before.offer, offer.refresh === true ? 'refreshed' : 'superseded');
    this.#sendAll();
  }

  forget(camera: CameraId): void {
    for (const { offer } of this.#waiting.takeAll(camera)) offer.pixels[Symbol.dispose]();
    for (const link of this.#all()) link.forget(camera);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#sweeper[Symbol.dispose]();
    for (const timer of this.#unlisted.values()) timer[Symbol.dispose]();
    for (const { offer } of this.#waiting.takeAll()) offer.pixels[Symbol.dispose]();
    for (const link of this.#all()) link[Symbol.dispose]();
  }

  #all(): readonly WorkerLink[] {
    return [...this.#links, ...this.#leaving];
  }

  #join(worker: WorkerAddress): WorkerLink {
    const { deadlineMs, clock, logger, listener } = this.#options;
    return new WorkerLink({
      worker, deadlineMs, clock, logger,
      onOutcome: (sent, outcome) => { sent.turn.settle(() => { this.#deliver(sent, outcome); }); },
      onSkip: ({ offer }, reason) => { listener.onSkip(offer.camera, reason, offer.model); },
      onRoom: () => { this.#sendAll(); },
      onLost: () => { if (!this.connected) for (const { offer } of this.#waiting.takeAll()) this.#skip(offer, 'worker_lost'); },
    });
  }

  #dismiss(link: WorkerLink): void {
    this.#unlisted.delete(link);
    this.#links = this.#links.filter((other) => other !== link);
    this.#leaving.add(link);
    link.leave(() => { this.#leaving.delete(link); });
  }

  #deliver({ offer, threshold, offeredAt, waitingSince, sentAt }: SentFrame, outcome: Outcome): void {
    const result: DetectionResult = {
      frame: offer.frame,
      capturedAt: offer.capturedAt,
      model: offer.model,
      modelDigest: outcome.modelDigest,
      inferenceMs: rounded(outcome.inferenceMs, 100),
      width: offer.sourceWidth,
      height: offer.sourceHeight,
      detections: outcome.objects.filter(({ confidence }) => !(confidence < threshold)).map(toDetection),
    };
    this.#options.listener.onResult(offer.detector, result, {
      queueMs: sentAt - waitingSince,
      waitMs: outcome.waitedMs,
      inferenceMs: outcome.inferenceMs,
      shareMs: outcome.inferenceMs / Math.max(1, outcome.runPictures),
      totalMs: this.#options.clock.monotonic() - offeredAt,
    }, outcome.objects.filter(({ confidence }) => confidence < threshold).map(toDetection));
  }

  #sendAll(): void {
    for (;;) {
      if (this.#options.keepAll && this.#links.some((link) => link.unanswered > 0)) return;
      const free = this.#links.filter((link) => link.connected && link.credits > 0);
      if (free.length === 0) return;
      let chosen: WorkerLink | undefined;
      const frame = this.#waiting.take((offer) => {
        chosen = this.#choose(free, offer);
        return chosen !== undefined;
      });
      if (!frame || !chosen) return;
      this.#send(chosen, frame);
    }
  }

  /** Of those with credit, and room for more of the model. A picture of a model that nobody has (any more) is shown to any of them: a worker says why it is refused. */
  #choose(free: readonly WorkerLink[], offer: FrameOffer): WorkerLink | undefined {
    const able = free.filter((link) => link.takes(offer) && link.hasRoom(offer.model));
    if (able.length === 0 && this.#links.some((link) => link.takes(offer))) return undefined;
    return chooseWorker(able.length > 0 ? able : free);
  }

  #send(link: WorkerLink, { offer, offeredAt, waitingSince }: WaitingFrame): void {
    link.send({ offer, offeredAt, waitingSince, ...this.#confidences(link, offer), turn: this.#order.enter(`${offer.camera}/${offer.detector}`) });
  }

  /** What the worker is asked for, null for the model's own default; and what of it is no longer faint. */
  #confidences(link: WorkerLink, { model, confidence, faintConfidence }: FrameOffer): { readonly asked: number | null; readonly threshold: number } {
    const wanted = confidence ?? link.model(model)?.defaultConfidence;
    if (faintConfidence === null || wanted === undefined || faintConfidence >= wanted) return { asked: confidence, threshold: -Infinity };
    return { asked: faintConfidence, threshold: Math.fround(wanted) }; // as it would have travelled
  }

  #sweep(): void {
    const overdue = this.#options.clock.monotonic() - this.#options.deadlineMs;
    for (const { offer } of this.#waiting.takeOlderThan(overdue)) this.#skip(offer, 'no_credit');
    for (const link of this.#all()) link.sweep();
  }

  #skip(offer: FrameOffer, reason: DispatchSkip): void {
    offer.pixels[Symbol.dispose]();
    this.#options.listener.onSkip(offer.camera, reason, offer.model);
  }
}

const isSame = (a: WorkerAddress, b: WorkerAddress): boolean => a.address === b.address && a.token === b.token;

const toDetection = (object: DetectedObject): Detection => ({
  className: object.className,
  classId: object.classId,
  confidence: rounded(object.confidence, 10_000),
  bbox: { x: rounded(object.x, 100), y: rounded(object.y, 100), width: rounded(object.width, 100), height: rounded(object.height, 100) },
  trackId: null,
});

const rounded = (value: number, steps: number): number => Math.round(value * steps) / steps;
