import type { Clock } from '../core/clock.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Hub } from '../core/hub.ts';
import type { Milliseconds } from '../core/units.ts';
import type { CameraStream, StreamRegistry } from '../ingest/port.ts';
import type { CameraSpec, DetectorSpec, EventJournal } from '../media-control/port.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../platform/logging.ts';
import type { Metrics } from '../platform/metrics.ts';
import { CameraDetections } from './camera-detections.ts';
import { CameraFeed } from './camera-feed.ts';
import { DetectionLog } from './detection-log.ts';
import { ExtractorProcess } from './extractor-process.ts';
import type { ExtractorProcessOptions, Extractor } from './extractor-process.ts';
import { ExtractorSlots } from './extractor-slots.ts';
import type { Slot } from './extractor-slots.ts';
import type { DetectionSource, DetectionUnit, ExtractorStats } from './port.ts';
import type { FromChild, Hello } from './protocol.ts';

export interface ExtractorPoolOptions {
  /** `extractor.processes`. */
  readonly processes: number;
  /** `extractor.idle_seconds`. */
  readonly idleSeconds: number;
  /** `inference.deadline_ms`. */
  readonly deadlineMs: Milliseconds;
  /** Where the worker is, asked at each start of a process, and the token it wants where it listens on `host:port`. */
  readonly worker: () => { readonly address: string; readonly token?: string | undefined };
  /** `log.level`, for the children. */
  readonly logLevel: string;
  readonly registry: StreamRegistry;
  /** What is configured for a camera now. */
  readonly specs: (camera: CameraId) => CameraSpec | undefined;
  /** Told when any camera's configuration has changed. */
  readonly onSpecsChanged: (listener: () => void) => Disposable;
  readonly journal: EventJournal;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** For tests; default: a real child process. */
  readonly spawn?: (options: ExtractorProcessOptions) => Extractor;
}

/** A removed camera's last statistics are waited for so long before its process may end. */
const LAST_WORDS_MS: Milliseconds = 500;
/** A decoder that lost its way asks the camera for a key frame at most so often. */
const KEYFRAME_PERIOD_MS: Milliseconds = 2000;

interface CameraState {
  readonly stream: CameraStream;
  readonly detections: CameraDetections;
  readonly listening: Disposable;
  feed: CameraFeed | null;
  slot: Slot | null;
  /** JSON of the detectors the feed has. */
  detectors: string;
  idle: Disposable | null;
  keyframeAskedAt: Milliseconds;
}

/**
 * The edge's side of detection: a live camera with detectors is decoded in an extractor process, exactly once; nothing else is. Processes
 * start when the first camera needs them and end with the last.
 */
export class ExtractorPool implements DetectionSource, AsyncDisposable {
  readonly #options: ExtractorPoolOptions;
  readonly #cameras = new Map<CameraId, CameraState>();
  /** Made when first asked for: others may hear of a new camera before this pool does. */
  readonly #detections = new Map<CameraId, CameraDetections>();
  readonly #slots: ExtractorSlots;
  readonly #log: DetectionLog;
  readonly #subscriptions: readonly Disposable[];
  #nextHandle = 0;

  constructor(options: ExtractorPoolOptions) {
    this.#options = options;
    this.#log = new DetectionLog(options.journal, options.clock);
    const spawn = options.spawn ?? ((process) => new ExtractorProcess(process));
    this.#slots = new ExtractorSlots({
      processes: options.processes,
      clock: options.clock,
      spawn: (events) => spawn({
        hello: helloOf(options),
        logLevel: options.logLevel, clock: options.clock, logger: options.logger, ...events,
      }),
      onMessage: (slot, message) => { this.#receive(slot, message); },
      onLost: (slot) => { this.#lose(slot); },
      onRetry: () => { this.#evaluateAll(); },
      onStartFailed: (error) => { options.logger.error({ error: messageOf(error) }, 'extractor could not be started'); },
    });
    this.#subscriptions = [
      options.registry.onStream((stream) => { this.#add(stream); }),
      options.registry.onRemoved((camera) => { this.#remove(camera); }),
      options.onSpecsChanged(() => { this.#evaluateAll(); }),
    ];
  }

  /** The same Hub for as long as the camera is configured, whether it is detected now or not. */
  detections(camera: CameraId): Hub<DetectionUnit> {
    return this.#detectionsOf(camera).hub;
  }

  stats(camera: CameraId): ExtractorStats | null {
    return this.#cameras.get(camera)?.detections.stats ?? null;
  }

  /** Process ids of the running extractors. */
  get pids(): readonly number[] {
    return this.#slots.all.flatMap((slot) => slot.extractor.pid ?? []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
    for (const camera of [...this.#cameras.keys()]) this.#remove(camera);
    await this.#slots[Symbol.asyncDispose]();
    this.#log[Symbol.dispose]();
  }

  #detectionsOf(camera: CameraId): CameraDetections {
    let detections = this.#detections.get(camera);
    if (!detections) this.#detections.set(camera, (detections = new CameraDetections(camera, this.#options.metrics)));
    return detections;
  }

  #add(stream: CameraStream): void {
    const { camera } = stream;
    this.#cameras.set(camera, {
      stream,
      detections: this.#detectionsOf(camera),
      listening: stream.onSession(() => { this.#evaluate(camera); }),
      feed: null, slot: null, detectors: '', idle: null, keyframeAskedAt: -Infinity,
    });
    this.#evaluate(camera);
  }

  #remove(camera: CameraId): void {
    const state = this.#cameras.get(camera);
    if (!state) return;
    state.listening[Symbol.dispose]();
    this.#stop(state);
    state.detections[Symbol.dispose]();
    this.#detections.delete(camera);
    this.#cameras.delete(camera);
    this.#slots.forget(camera);
  }

  #evaluateAll(): void {
    for (const camera of this.#cameras.keys()) this.#evaluate(camera);
  }

  /** Brings a camera's feed in line with its session and its configuration. */
  #evaluate(camera: CameraId): void {
    const state = this.#cameras.get(camera);
    if (!state) return;
    const detectors = this.#options.specs(camera)?.detectors ?? [];
    if (detectors.length > 0 && state.stream.session?.phase === 'live') {
      state.idle?.[Symbol.dispose]();
      state.idle = null;
      if (state.feed) this.#setDetectors(state, state.feed, detectors);
      else this.#start(state, detectors);
    } else if (state.feed) {
      if (detectors.length === 0) this.#setDetectors(state, state.feed, []);
      state.idle ??= this.#options.clock.after(this.#options.idleSeconds * 1000, () => { this.#stop(state); });
    }
  }

  #setDetectors(state: CameraState, feed: CameraFeed, detectors: readonly DetectorSpec[]): void {
    const json = JSON.stringify(detectors);
    if (json === state.detectors) return;
    state.detectors = json;
    feed.setDetectors(detectors);
  }

  #start(state: CameraState, detectors: readonly DetectorSpec[]): void {
    const { camera } = state.stream;
    const slot = this.#slots.place(camera);
    if (!slot) return;
    const handle = this.#nextHandle++;
    slot.cameras.set(handle, camera);
    state.slot = slot;
    state.detectors = JSON.stringify(detectors);
    state.feed = new CameraFeed({
      stream: state.stream, handle, extractor: slot.extractor, detectors, clock: this.#options.clock,
      onSkip: (reason) => { state.detections.skip(reason, 1); },
    });
  }

  #stop(state: CameraState): void {
    state.idle?.[Symbol.dispose]();
    state.idle = null;
    const { feed, slot } = state;
    state.feed = null;
    state.slot = null;
    if (!feed || !slot) return;
    feed[Symbol.dispose]();
    this.#options.clock.after(LAST_WORDS_MS, () => { this.#leave(slot, feed.handle, state.stream.camera); });
  }

  /** The camera's decoder is gone; the process may go, too. */
  #leave(slot: Slot, handle: number, camera: CameraId): void {
    if (!slot.cameras.delete(handle)) return;
    this.#cameras.get(camera)?.detections.onGone(handle);
    this.#slots.release(slot);
  }

  /** A process died: its cameras start anew in another as soon as that may be. */
  #lose(slot: Slot): void {
    for (const [handle, camera] of slot.cameras) {
      const state = this.#cameras.get(camera);
      if (!state) continue;
      state.detections.onGone(handle);
      if (state.feed?.handle !== handle) continue;
      state.feed[Symbol.dispose]();
      state.feed = null;
      state.slot = null;
      state.idle?.[Symbol.dispose]();
      state.idle = null;
    }
    slot.cameras.clear();
    this.#evaluateAll(); // cameras whose process does not wait after this crash
  }

  #receive(slot: Slot, message: FromChild): void {
    const camera = slot.cameras.get(message.handle);
    const state = camera === undefined ? undefined : this.#cameras.get(camera);
    if (camera === undefined || !state) return;
    if (message.type === 'result') {
      if (message.result.frame.stream !== camera || state.feed?.handle !== message.handle) return;
      state.detections.onResult(message);
      this.#log.add(message.result);
      return;
    }
    if (message.type === 'flushed') return; // nobody here asks for one
    state.detections.onStats(message);
    if (state.feed?.handle !== message.handle) {
      if (message.decodersActive === 0) this.#leave(slot, message.handle, camera);
    } else if (message.awaitingRandomAccess) this.#askForKeyframe(state);
  }

  #askForKeyframe(state: CameraState): void {
    const now = this.#options.clock.monotonic();
    if (now - state.keyframeAskedAt < KEYFRAME_PERIOD_MS) return;
    state.keyframeAskedAt = now;
    state.stream.requestKeyframe();
  }
}

const helloOf = ({ worker, deadlineMs }: ExtractorPoolOptions): Hello => {
  const { address, token } = worker();
  return { workerAddress: address, deadlineMs, ...(token === undefined ? {} : { workerToken: token }) };
};
