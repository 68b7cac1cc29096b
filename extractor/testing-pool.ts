import type { AccessUnit } from '../core/access-unit.ts';
import { Hub } from '../core/hub.ts';
import { FakeClock } from '../core/testing-clock.ts';
import type { Tracks } from '../core/track.ts';
import type { SessionInfo, SessionPhase, StreamRegistry } from '../ingest/port.ts';
import type { CameraSpec, DetectorSpec, EdgeEvent } from '../media-control/port.ts';
import { silentLogger } from '../platform/logging.ts';
import { createMetrics } from '../platform/metrics.ts';
import { ExtractorPool } from './extractor-pool.ts';
import type { Extractor, ExtractorProcessOptions } from './extractor-process.ts';
import type { AnnotatedUnitMessage, BurnInMessage, BurnInStatsMessage, CameraMessage, CodeStatsMessage, CodesMessage, HardwareMessage, ModelsMessage, PictureHeader, PicturesMessage, ResultMessage, StatsMessage, StillMessage } from './protocol.ts';

/** An extractor that only remembers. */
export class FakeExtractor implements Extractor {
  readonly pid: number;
  readonly cameras = new Map<number, CameraMessage>();
  readonly sent: { readonly handle: number; readonly seq: number; readonly decodeOnly: boolean }[] = [];
  readonly #options: ExtractorProcessOptions;
  full = false;
  ended = false;
  #drain: (() => void) | null = null;

  get hello(): ExtractorProcessOptions['hello'] { return this.#options.hello; }

  constructor(options: ExtractorProcessOptions, pid: number) {
    this.#options = options;
    this.pid = pid;
  }
  workers: ExtractorProcessOptions['hello']['workers'] | undefined;
  setWorkers(workers: ExtractorProcessOptions['hello']['workers']): void { this.workers = workers; }
  setCamera(camera: CameraMessage): void { this.cameras.set(camera.handle, camera); }
  removeCamera(handle: number): void {
    if (this.cameras.delete(handle)) this.stats(handle, 0);
  }
  readonly stills: (StillMessage & { readonly behind: number })[] = [];
  readonly pictures = new Map<number, PicturesMessage['streams']>();
  setPictures({ handle, streams }: PicturesMessage): void { this.pictures.set(handle, streams); }
  requestStill(still: StillMessage): void { this.stills.push({ ...still, behind: this.sent.length }); }
  /** Handles whose video with boxes burned in is wanted. */
  readonly burning = new Set<number>();
  keyframesAsked = 0;
  /** The most lines it was asked for last. */
  burnInHeight: number | null = null;
  setBurnIn({ handle, on, maxHeight }: BurnInMessage): void {
    this.burnInHeight = maxHeight;
    if (on) this.burning.add(handle);
    else this.burning.delete(handle);
  }
  requestKeyframe(): void { this.keyframesAsked++; }
  hardware: HardwareMessage | undefined;
  setHardware(hardware: HardwareMessage): void { this.hardware = hardware; }
  annotated(unit: AnnotatedUnitMessage): void { this.#options.onMessage({ type: 'annotated', ...unit }); }
  burnInStats(stats: BurnInStatsMessage): void { this.#options.onMessage({ type: 'burn-in-stats', ...stats }); }
  send(handle: number, unit: AccessUnit, decodeOnly: boolean): boolean {
    this.sent.push({ handle, seq: unit.frame.seq, decodeOnly });
    return !this.full;
  }
  drained(): Promise<void> { return new Promise((resolve) => { this.#drain = resolve; }); }
  drain(): void { this.full = false; this.#drain?.(); }
  stats(handle: number, decodersActive: number, awaitingRandomAccess = false, skipped: StatsMessage['skipped'] = { fps: 5 }, decoder = 'software', failedDevices: string[] = [], refusedModels: string[] = []): void {
    this.#options.onMessage({ type: 'stats', handle, decodersActive, decoder: decodersActive > 0 ? decoder : null, failedDevices, decodedFrames: 10, skipped, refusedModels, awaitingRandomAccess });
  }
  codes(message: CodesMessage): void { this.#options.onMessage({ type: 'codes', ...message }); }
  codeStats(message: CodeStatsMessage): void { this.#options.onMessage({ type: 'code-stats', ...message }); }
  models(models: ModelsMessage['models']): void { this.#options.onMessage({ type: 'models', models }); }
  result(message: ResultMessage): void { this.#options.onMessage({ type: 'result', ...message }); }
  picture(header: PictureHeader): void { this.#options.onMessage({ type: 'picture', ...header, bytes: Buffer.from('JPEG') }); }
  crash(culprit: number | null): void { this.ended = true; this.#options.onCrash(culprit); }
  [Symbol.asyncDispose](): Promise<void> { this.ended = true; return Promise.resolve(); }
}

/** Devices that a test has and takes away. */
export class FakeHardware {
  message: HardwareMessage = { decode: {}, encode: null, software: [] };
  readonly crashes: (readonly [string, string | null])[] = [];
  #listener = (): void => undefined;
  get none(): boolean { return Object.keys(this.message.decode).length === 0; }
  onChange(listener: () => void): Disposable { this.#listener = listener; return { [Symbol.dispose]: () => undefined }; }
  onCrash(camera: string, decoder: string | null): void { this.crashes.push([camera, decoder]); }
  become(message: HardwareMessage): void {
    this.message = message;
    this.#listener();
  }
}

export class FakeStream {
  readonly hub = new Hub<AccessUnit>({ gopCache: { maxUnits: 100, maxBytes: 1e6 } });
  session: SessionInfo | null = null;
  tracks: Tracks | null = null;
  keyframesAsked = 0;
  readonly camera: string;
  #listeners: ((session: SessionInfo) => void)[] = [];
  constructor(camera: string) { this.camera = camera; }
  stats(): null { return null; }
  requestKeyframe(): void { this.keyframesAsked++; }
  beginPublication(): never { throw new Error('not here'); }
  onSession(listener: (session: SessionInfo) => void): Disposable { this.#listeners.push(listener); return { [Symbol.dispose]: () => { this.#listeners = this.#listeners.filter((l) => l !== listener); } }; }
  become(phase: SessionPhase): void {
    this.session = { id: 's', camera: this.camera, phase, protocol: 'rtsp', startedAt: 0, endedAt: null, reason: null, epoch: 0 };
    for (const listener of this.#listeners) listener(this.session);
  }
}

export const DETECTOR: DetectorSpec = { id: 'detect', model: 'm', fps: 15, confidence: null };
export const TRACKS = { video: { kind: 'video', codec: 'vp8', clockRate: 90_000, width: 1, height: 1, codecString: 'vp8', reorderDepth: 0 }, audio: null } as const;

export const setUp = (cameras: readonly string[], processes = 1, workers: { readonly address: string; readonly token?: string }[] = [{ address: 'unix:/w' }]) => {
  const clock = new FakeClock();
  const streams = cameras.map((camera) => new FakeStream(camera));
  const detectors = new Map<string, readonly DetectorSpec[]>(cameras.map((camera) => [camera, [DETECTOR]]));
  const extractors: FakeExtractor[] = [];
  const journal: EdgeEvent[] = [];
  const settings = new Map<string, Pick<CameraSpec, 'qos' | 'priority' | 'codes'>>();
  /** What the next attempts to start a process end with. */
  const refusals: Error[] = [];
  let changed = (): void => undefined;
  let removed = (_camera: string): void => undefined;
  const registry: StreamRegistry = {
    get: () => undefined,
    list: () => [],
    onStream: (listener) => { for (const stream of streams) listener(stream); return { [Symbol.dispose]: () => undefined }; },
    onRemoved: (listener) => { removed = listener; return { [Symbol.dispose]: () => undefined }; },
  };
  const metrics = createMetrics('test');
  const hardware = new FakeHardware();
  /** Busy share of the machine's processors. */
  const machine = { cpu: 0 };
  const pool = new ExtractorPool({
    processes, idleSeconds: 3, annotatedStreams: 2, deadlineMs: 1000, workers: () => workers, logLevel: 'error', registry, clock, metrics, logger: silentLogger(), cpu: () => machine.cpu,
    hardware,
    specs: (id) => ({ id, name: id, source: { type: 'push' }, recording: 'off', detectors: detectors.get(id) ?? [], ...settings.get(id) }),
    onSpecsChanged: (listener) => { changed = listener; return { [Symbol.dispose]: () => undefined }; },
    journal: { append: (event) => { journal.push(event); } },
    spawn: (options) => {
      if (refusals.length > 0) throw refusals.shift() as Error;
      const extractor = new FakeExtractor(options, extractors.length + 1); extractors.push(extractor); return extractor; },
  });
  const publish = (stream: FakeStream, seq: number, randomAccess = false, bytes = 10): void => {
    stream.hub.publish({
      kind: 'video', frame: { stream: stream.camera, epoch: 1, rtpTs: seq, captureNtp: null, seq }, pts: seq * 3000, dts: seq * 3000, wall: 0,
      arrivedAt: clock.monotonic(), randomAccess, data: Buffer.alloc(bytes), byteLength: bytes, tracks: TRACKS,
    });
  };
  const set = (camera: string, specs: readonly DetectorSpec[]): void => { detectors.set(camera, specs); changed(); };
  const adjust = (camera: string, to: Pick<CameraSpec, 'qos' | 'priority' | 'codes'>): void => { settings.set(camera, to); changed(); };
  return { adjust, clock, hardware, machine, refusals, streams, extractors, journal, pool, metrics, publish, set, remove: (camera: string) => { removed(camera); } };
};
/** Lets the pumps run. */
export const settle = async (): Promise<void> => { for (let i = 0; i < 20; i++) await Promise.resolve(); };
