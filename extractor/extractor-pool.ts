import type { CameraId } from '../core/frame-ref.ts';
import type { Hub } from '../core/hub.ts';
import type { Milliseconds } from '../core/units.ts';
import type { CameraStream } from '../ingest/port.ts';
import { MAX_WORKERS } from '../inference/port.ts';
import { messageOf } from '../core/errors.ts';
import { AnnotatedStreams } from './annotated-streams.ts';
import { CameraCodes } from './codes/camera-codes.ts';
import { codesWanted } from './codes/codes-wanted.ts';
import { CameraDetections } from './camera-detections.ts';
import { CameraFeed } from './camera-feed.ts';
import { DetectionLog } from './detection-log.ts';
import { DetectionRates } from './detection-rates.ts';
import type { ExtractorPoolOptions } from './extractor-pool-options.ts';
import { ExtractorProcess } from './extractor-process.ts';
import { ExtractorSlots } from './extractor-slots.ts';
import type { Slot } from './extractor-slots.ts';
import { LivePictures } from './live-pictures.ts';
import type { AnnotatedSource, DetectionSource, DetectionUnit, ExtractorStats, PictureSource } from './port.ts';
import type { BurnInMessage, FromChild, Hello, PictureStream } from './protocol.ts';
import { CameraScene } from './scene/camera-scene.ts';
import type { SentDetector } from './sent-detector.ts';
import { ShownHeights } from './shown-heights.ts';
import { WorkerReports } from './worker-reports.ts';

/** A removed camera's last statistics are waited for so long before its process may end. */
const LAST_WORDS_MS: Milliseconds = 500;
/** A decoder that lost its way asks the camera for a key frame at most so often. */
const KEYFRAME_PERIOD_MS: Milliseconds = 2000;
const SCENE_TICK_MS: Milliseconds = 1000;

interface CameraState {
  readonly stream: CameraStream;
  readonly detections: CameraDetections;
  readonly scene: CameraScene;
  readonly codes: CameraCodes;
  readonly listening: Disposable;
  feed: CameraFeed | null;
  slot: Slot | null;
  /** JSON of the detectors, the codes, and the pictures for viewers, that the feed has. */
  detectors: string;
  wantedCodes: string;
  pictures: string;
  idle: Disposable | null;
  keyframeAskedAt: Milliseconds;
}

/**
 * The edge's side of decoding: a live camera with detectors, in which codes are read, or of which viewers want pictures, is decoded in an extractor process, exactly once; nothing
 * else is. Processes start when the first camera needs them and end with the last.
 */
export class ExtractorPool implements DetectionSource, AsyncDisposable {
  readonly #options: ExtractorPoolOptions;
  readonly #cameras = new Map<CameraId, CameraState>();
  /** Made when first asked for: others may hear of a new camera before this pool does. */
  readonly #detections = new Map<CameraId, CameraDetections>();
  readonly #slots: ExtractorSlots;
  readonly #pictures: LivePictures;
  readonly #annotated: AnnotatedStreams;
  readonly #log: DetectionLog;
  readonly #rates: DetectionRates<Slot>;
  readonly #heights: ShownHeights;
  readonly #subscriptions: readonly Disposable[];
  readonly #reports: WorkerReports<Slot>;
  /** JSON of the workers the processes know. */
  #workers: string;
  #nextHandle = 0;

  constructor(options: ExtractorPoolOptions) {
    this.#options = options;
    this.#reports = new WorkerReports(options.metrics);
    this.#workers = JSON.stringify(workersOf(options));
    this.#log = new DetectionLog(options.journal, options.clock);
    this.#pictures = new LivePictures({
      clock: options.clock, metrics: options.metrics,
      phaseOf: (camera) => {
        const stream = this.#cameras.get(camera)?.stream;
        return !stream ? 'unknown' : stream.session?.phase === 'live' ? 'live' : 'away';
      },
      onChange: (camera) => { this.#evaluate(camera); },
    });
    this.#annotated = new AnnotatedStreams({
      clock: options.clock, metrics: options.metrics, logger: options.logger, maxStreams: options.annotatedStreams,
      source: (camera) => this.#cameras.get(camera)?.stream,
      onChange: (camera) => { this.#evaluate(camera); },
      onKeyframe: (camera) => { this.#cameras.get(camera)?.feed?.requestKeyframe(); },
    });
    this.#rates = new DetectionRates({
      ...options,
      cameras: () => this.#cameras.keys(),
      slotOf: (camera) => this.#cameras.get(camera)?.slot,
      onChange: (camera) => { this.#evaluate(camera); },
    });
    this.#heights = new ShownHeights({
      ...options,
      cameras: () => this.#cameras.keys(),
      shown: (camera) => {
        const state = this.#cameras.get(camera);
        return { source: state?.feed ? (state.stream.tracks?.video ?? null) : null, burnIn: this.#annotated.wanted(camera), pictures: this.#pictures.streams(camera) };
      },
      onChange: (camera) => { this.#evaluate(camera); },
    });
    const spawn = options.spawn ?? ((process) => new ExtractorProcess(process));
    this.#slots = new ExtractorSlots({
      processes: options.processes,
      clock: options.clock,
      spawn: (events) => {
        const extractor = spawn({
          hello: { workers: workersOf(options), deadlineMs: options.deadlineMs },
          logLevel: options.logLevel, clock: options.clock, logger: options.logger, ...events,
        });
        if (!options.hardware.none) extractor.setHardware(options.hardware.message);
        return extractor;
      },
      onMessage: (slot, message) => { this.#receive(slot, message); },
      onLost: (slot, culprit) => { this.#lose(slot, culprit); },
      onRetry: () => { this.#evaluateAll(); },
      onStartFailed: (error) => { options.logger.error({ error: messageOf(error) }, 'extractor could not be started'); },
    });
    this.#subscriptions = [
      options.clock.every(SCENE_TICK_MS, () => { for (const { scene } of this.#cameras.values()) scene.tick(); }),
      options.hardware.onChange(() => { for (const { extractor } of this.#slots.all) extractor.setHardware(options.hardware.message); }),
      options.registry.onStream((stream) => { this.#add(stream); }),
      options.registry.onRemoved((camera) => { this.#remove(camera); }),
      options.onSpecsChanged(() => {
        this.#tellWorkers();
        this.#evaluateAll();
      }),
    ];
  }

  /** The same Hub for as long as the camera is configured, whether it is detected now or not. */
  detections(camera: CameraId): Hub<DetectionUnit> {
    return this.#detectionsOf(camera).hub;
  }

  stats(camera: CameraId): ExtractorStats | null {
    const state = this.#cameras.get(camera);
    if (!state) return null;
    return { ...state.detections.stats, qos: this.#rates.present(camera), shown: this.#heights.present(camera), lastCode: state.codes.last };
  }

  get pictures(): PictureSource {
    return this.#pictures;
  }

  get annotated(): AnnotatedSource {
    return this.#annotated;
  }

  /** Process ids of the running extractors. */
  get pids(): readonly number[] {
    return this.#slots.all.flatMap((slot) => slot.extractor.pid ?? []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
    for (const camera of [...this.#cameras.keys()]) this.#remove(camera);
    this.#rates[Symbol.dispose]();
    this.#heights[Symbol.dispose]();
    await this.#slots[Symbol.asyncDispose]();
    this.#log[Symbol.dispose]();
  }

  #detectionsOf(camera: CameraId): CameraDetections {
    let detections = this.#detections.get(camera);
    if (!detections) this.#detections.set(camera, (detections = new CameraDetections(camera, this.#options.metrics, this.#options.clock)));
    return detections;
  }

  #add(stream: CameraStream): void {
    const { camera } = stream;
    this.#cameras.set(camera, {
      stream,
      detections: this.#detectionsOf(camera),
      scene: new CameraScene({
        camera, clock: this.#options.clock, metrics: this.#options.metrics,
        onFinding: (finding) => { this.#options.journal.append({ type: 'rule', finding }); },
      }),
      codes: new CameraCodes({ camera, metrics: this.#options.metrics, onSeen: (seen) => { this.#options.journal.append({ type: 'code', seen }); } }),
      listening: stream.onSession(() => { this.#evaluate(camera); }),
      feed: null, slot: null, detectors: '', wantedCodes: '', pictures: '', idle: null, keyframeAskedAt: -Infinity,
    });
    this.#evaluate(camera);
  }

  #remove(camera: CameraId): void {
    const state = this.#cameras.get(camera);
    if (!state) return;
    state.listening[Symbol.dispose]();
    this.#stop(state);
    state.scene[Symbol.dispose]();
    state.detections[Symbol.dispose]();
    this.#detections.delete(camera);
    this.#cameras.delete(camera);
    this.#annotated.remove(camera);
    this.#annotated.onGone(camera);
    this.#rates.show(camera);
    this.#pictures.remove(camera);
    this.#slots.forget(camera);
  }

  #tellWorkers(): void {
    const workers = workersOf(this.#options);
    const json = JSON.stringify(workers);
    if (json === this.#workers) return;
    this.#workers = json;
    for (const { extractor } of this.#slots.all) extractor.setWorkers(workers);
  }

  #evaluateAll(): void {
    for (const camera of this.#cameras.keys()) this.#evaluate(camera);
  }

  /** Brings a camera's feed in line with its session, its configuration and its viewers. */
  #evaluate(camera: CameraId): void {
    const state = this.#cameras.get(camera);
    if (!state) return;
    const detectors = this.#rates.detectors(camera);
    const spec = this.#options.specs(camera);
    state.scene.follow(spec?.detectors ?? []);
    state.codes.follow(spec?.codes);
    const wanted = (detectors.length > 0 || spec?.codes !== undefined || this.#pictures.wanted(camera) || this.#annotated.wanted(camera)) && state.stream.session?.phase === 'live';
    if (wanted) {
      state.idle?.[Symbol.dispose]();
      state.idle = null;
      if (!state.feed) this.#start(state, detectors);
    }
    const { feed } = state;
    if (!feed) return;
    this.#align(state, feed, detectors);
    if (!wanted) state.idle ??= this.#options.clock.after(this.#options.idleSeconds * 1000, () => { this.#stop(state); });
  }

  #align(state: CameraState, feed: CameraFeed, detectors: readonly SentDetector[]): void {
    const { camera } = state.stream;
    const detectorsJson = JSON.stringify(detectors);
    if (detectorsJson !== state.detectors) {
      state.detectors = detectorsJson;
      feed.setDetectors(detectors);
    }
    const codes = codesWanted(this.#options.specs(camera));
    const codesJson = JSON.stringify(codes);
    if (codesJson !== state.wantedCodes) {
      state.wantedCodes = codesJson;
      feed.setCodes(codes);
    }
    const pictures = this.#streams(camera);
    const picturesJson = JSON.stringify(pictures);
    if (picturesJson !== state.pictures) {
      state.pictures = picturesJson;
      feed.setPictures(pictures);
    }
    feed.setBurnIn(this.#burnIn(camera));
    this.#pictures.askFor(camera, feed);
  }

  #streams(camera: CameraId): readonly PictureStream[] {
    return this.#heights.bounded(camera, this.#pictures.streams(camera));
  }

  #burnIn(camera: CameraId): Omit<BurnInMessage, 'handle'> {
    return { on: this.#annotated.wanted(camera), maxHeight: this.#heights.burnIn(camera) };
  }

  #start(state: CameraState, detectors: readonly SentDetector[]): void {
    const { camera } = state.stream;
    const slot = this.#slots.place(camera);
    if (!slot) return;
    const handle = this.#nextHandle++;
    slot.cameras.set(handle, camera);
    state.slot = slot;
    const pictures = this.#streams(camera);
    const codes = codesWanted(this.#options.specs(camera));
    state.detectors = JSON.stringify(detectors);
    state.wantedCodes = JSON.stringify(codes);
    state.pictures = JSON.stringify(pictures);
    state.feed = new CameraFeed({
      stream: state.stream, handle, extractor: slot.extractor, detectors, codes, pictures, burnIn: this.#burnIn(camera), clock: this.#options.clock,
      lastTrack: () => state.detections.lastTrack,
      onSkip: (reason) => { state.detections.skip(reason, 1); },
      onUnit: (late) => { this.#rates.onUnit(late); },
    });
    if (state.stream.hub.gop().length === 0) this.#askForKeyframe(state); // it would wait for the camera's next one
  }

  #stop(state: CameraState): void {
    state.idle?.[Symbol.dispose]();
    state.idle = null;
    const { feed, slot } = state;
    state.feed = null;
    state.slot = null;
    this.#rates.show(state.stream.camera);
    if (!feed || !slot) return;
    feed[Symbol.dispose]();
    this.#options.clock.after(LAST_WORDS_MS, () => { this.#leave(slot, feed.handle, state.stream.camera); });
  }

  /** The camera's decoder is gone; the process may go, too. */
  #leave(slot: Slot, handle: number, camera: CameraId): void {
    if (!slot.cameras.delete(handle)) return;
    this.#cameras.get(camera)?.detections.onGone(handle);
    this.#annotated.onGone(camera);
    if (this.#slots.release(slot)) this.#forget(slot);
  }

  /** The process is gone, or about to go. */
  #forget(slot: Slot): void {
    this.#reports.forget(slot);
    this.#rates.forget(slot);
  }

  /** A process died: its cameras start anew in another as soon as that may be. */
  #lose(slot: Slot, culprit: CameraId | undefined): void {
    this.#suspectDevices(slot, culprit);
    this.#forget(slot);
    for (const [handle, camera] of slot.cameras) {
      const state = this.#cameras.get(camera);
      if (!state) continue;
      state.detections.onGone(handle);
      this.#annotated.onGone(camera);
      if (state.feed?.handle !== handle) continue;
      state.feed[Symbol.dispose]();
      state.feed = null;
      state.slot = null;
      state.idle?.[Symbol.dispose]();
      state.idle = null;
      this.#rates.show(camera);
    }
    slot.cameras.clear();
    this.#evaluateAll(); // cameras whose process does not wait after this crash
  }

  /** An encoder works on a thread of its own: its crash names no camera, or another one. */
  #suspectDevices(slot: Slot, culprit: CameraId | undefined): void {
    const { hardware } = this.#options;
    const encoded = hardware.message.encode === null ? [] : [...slot.cameras.values()].filter((camera) => this.#annotated.wanted(camera));
    for (const camera of culprit === undefined ? encoded : [culprit]) {
      hardware.onCrash(camera, encoded.includes(camera) ? null : this.#cameras.get(camera)?.detections.stats.decoder ?? null);
    }
  }

  #receive(slot: Slot, message: FromChild): void {
    if (message.type === 'reports') {
      if (this.#slots.all.includes(slot)) this.#reports.take(slot, message.reports);
      return;
    }
    if (message.type === 'models') {
      if (this.#slots.all.includes(slot)) this.#rates.takeModels(slot, message.models);
      return;
    }
    const camera = slot.cameras.get(message.handle);
    const state = camera === undefined ? undefined : this.#cameras.get(camera);
    if (camera === undefined || !state) return;
    if (message.type === 'result') {
      if (message.result.frame.stream !== camera || state.feed?.handle !== message.handle) return;
      const told = state.scene.see(message.detector, message.result);
      state.detections.onResult(message, told);
      this.#rates.onResult(camera, message);
      this.#log.add(told);
      return;
    }
    if (message.type === 'flushed') return; // nobody here asks for one
    if (message.type === 'picture' || message.type === 'no-still') {
      if (message.type === 'picture' && message.frame.stream !== camera) return;
      this.#pictures.receive(camera, message);
      return;
    }
    if (message.type === 'annotated' || message.type === 'burn-in-stats') {
      if (state.feed?.handle === message.handle) this.#annotated.receive(camera, message); // not of a decoder that was let go
      return;
    }
    if (message.type === 'codes') {
      if (message.frame.stream === camera && state.feed?.handle === message.handle) state.codes.see(message);
      return;
    }
    if (message.type === 'code-stats') {
      state.codes.onStats(message);
      return;
    }
    state.detections.onStats(message);
    this.#rates.onSkips(camera, message);
    this.#rates.show(camera);
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

const workersOf = ({ workers }: ExtractorPoolOptions): Hello['workers'] =>
  workers().slice(0, MAX_WORKERS).map(({ address, token }) => ({ address, ...(token === undefined ? {} : { token }) }));
