/** recorder/ in one object: records every camera whose policy says so, keeps the rolling window. The edge process makes one. */
import { mkdir } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { EventJournal, RecordingWindow } from '../media-control/port.ts';
import type { PartMaker, PartStream, PartStreams } from '../muxer/port.ts';
import type { Logger } from '../platform/logging.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { SigningKey } from '../platform/signing-key.ts';
import { CameraRecorder } from './camera-recorder.ts';
import { SegmentChains } from './integrity/segment-chains.ts';
import type { KeptRanges } from './kept-ranges.ts';
import type { FsyncPolicy, SegmentRecord, UploadReport, UploadTarget, UploadedMedia } from './port.ts';
import { repairRecordings } from './repair.ts';
import { Retention } from './retention.ts';
import { SegmentInventory } from './segment-inventory.ts';
import type { SegmentDisk } from './segment-writer.ts';
import { Uploads } from './upload/uploads.ts';

/** As in `config/recorder.ts`. */
export interface RecorderSettings {
  readonly segment_seconds: number;
  readonly flush_ms: number;
  readonly window_minutes: number;
  readonly min_free_bytes: number;
  readonly max_bytes: number | null;
  /** By default `segment`. */
  readonly fsync?: FsyncPolicy;
  readonly fsync_interval_ms?: number;
}

export interface RecorderDeps {
  readonly streams: PartStreams;
  readonly journal: EventJournal;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'recorderLag' | 'recordedBytes' | 'branchDropped'>;
  /** The camera's recording policy now; asked when a camera appears and by `refresh`. */
  readonly policyOf: (camera: CameraId) => 'always' | 'off';
  /** The camera's own window; undefined: that of the settings. */
  readonly windowOf?: (camera: CameraId) => RecordingWindow | undefined;
  /** What marks ask to keep; undefined: nobody has said yet, so everything is kept. */
  readonly kept: () => KeptRanges | undefined;
  /** The hold of retention that an operator has confirmed last, by its `since`. */
  readonly confirmedHold?: () => Milliseconds | undefined;
  /** Recordings are chained and signed with it; absent: neither. */
  readonly key?: SigningKey;
  /** By default the real one. */
  readonly segmentDisk?: SegmentDisk;
  /** Makes the parts of uploaded files; absent: none are taken. */
  readonly partMaker?: (camera: CameraId, sessionId: string, sessionStart: Milliseconds) => PartMaker;
}

const FSYNC_INTERVAL: Milliseconds = 1_000;

const LAG_PERIOD: Milliseconds = 1_000;
/** Recording hours begin and end to so much. */
const POLICY_PERIOD: Milliseconds = 5_000;

export class Recorder implements UploadTarget, AsyncDisposable {
  readonly #directory: string;
  /** The newest segment of each camera when this process began. */
  readonly #inherited: ReadonlySet<string>;
  readonly #settings: RecorderSettings;
  readonly #deps: RecorderDeps;
  readonly #inventory: SegmentInventory;
  readonly #chains: SegmentChains | undefined;
  readonly #retention: Retention;
  readonly #uploads: Uploads;
  readonly #cameras = new Map<CameraId, CameraRecorder>();
  readonly #subscriptions = new DisposableStack();
  readonly #leaving = new Set<Promise<void>>();

  private constructor(directory: string, settings: RecorderSettings, deps: RecorderDeps, inventory: SegmentInventory, chains: SegmentChains | undefined) {
    this.#directory = directory;
    this.#settings = settings;
    this.#deps = deps;
    this.#inventory = inventory;
    this.#chains = chains;
    this.#inherited = new Set(inventory.newestIds());
    const limits = {
      of: (camera: CameraId) => {
        const own = deps.windowOf?.(camera);
        return { windowMs: (own?.minutes ?? settings.window_minutes) * 60_000, maxBytes: own?.maxBytes ?? null };
      },
      minFreeBytes: settings.min_free_bytes, maxBytes: settings.max_bytes, isKept: (segment: SegmentRecord) => deps.kept()?.has(segment) ?? true,
    };
    this.#retention = new Retention(directory, limits, { ...deps, inventory, beforeUnlink: async () => { await chains?.pin(); }, ...(deps.confirmedHold && { confirmed: deps.confirmedHold }) });
    this.#uploads = new Uploads({ directory, segmentMs: settings.segment_seconds * 1000, windowMs: (camera) => limits.of(camera).windowMs, isKept: (range) => deps.kept()?.has(range) ?? true }, { ...deps, inventory, chains });
    this.#subscriptions.use(deps.clock.every(LAG_PERIOD, () => { this.#reportLag(); }));
    this.#subscriptions.use(deps.clock.every(POLICY_PERIOD, () => { for (const camera of this.#cameras.keys()) this.refresh(camera); }));
    this.#subscriptions.use(deps.streams.onStream((stream) => { this.#add(stream); }));
    this.#subscriptions.use(deps.streams.onRemoved((camera) => { this.#remove(camera); }));
  }

  /** Repairs what an earlier run left below `directory`, journals what is there, then begins. Throws when the directory cannot be used. */
  static async start(directory: string, settings: RecorderSettings, deps: RecorderDeps): Promise<Recorder> {
    await mkdir(directory, { recursive: true });
    const chains = deps.key && (await SegmentChains.open(directory, { ...deps, key: deps.key }));
    const inventory = new SegmentInventory(deps.journal, chains);
    await repairRecordings(directory, { ...deps, inventory, chains });
    await chains?.pin(); // from here on a file without a place in it was not written by us
    return new Recorder(directory, settings, deps, inventory, chains);
  }

  /** A camera's policy may have changed: starts or stops recording it. */
  refresh(camera: CameraId): void {
    const recorder = this.#cameras.get(camera);
    if (!recorder) return;
    if (this.#deps.policyOf(camera) === 'always') recorder.start();
    else this.#track(recorder.stop());
  }

  /** Everything on disk, oldest first. */
  knownSegments(): SegmentRecord[] {
    return this.#inventory.list();
  }

  admitUpload(camera: CameraId, start: Milliseconds): void {
    this.#uploads.admit(camera, start);
  }

  upload(media: UploadedMedia): Promise<UploadReport> {
    return this.#uploads.record(media);
  }

  /** Closes every segment. Files that expired less than a minute ago stay until the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscriptions.dispose();
    const uploaded = this.#uploads[Symbol.asyncDispose]();
    await Promise.all([...this.#cameras.values()].map((recorder) => recorder[Symbol.asyncDispose]()));
    this.#cameras.clear();
    await Promise.all(this.#leaving);
    await uploaded;
    await this.#retention[Symbol.asyncDispose]();
    await this.#chains?.[Symbol.asyncDispose]();
  }

  #add(stream: PartStream): void {
    const { segment_seconds, flush_ms, fsync = 'segment', fsync_interval_ms = FSYNC_INTERVAL } = this.#settings;
    const options = { directory: this.#directory, segmentMs: segment_seconds * 1000, flushMs: flush_ms, fsync: { policy: fsync, intervalMs: fsync_interval_ms } };
    const recorder = new CameraRecorder(stream, options, { ...this.#deps, chains: this.#chains, inherited: ({ id }) => this.#inherited.has(id), inventory: this.#inventory, relieveDisk: () => this.#retention.relieve() });
    this.#cameras.set(stream.camera, recorder);
    this.refresh(stream.camera);
  }

  #remove(camera: CameraId): void {
    const recorder = this.#cameras.get(camera);
    if (!recorder) return;
    this.#cameras.delete(camera);
    this.#track(recorder[Symbol.asyncDispose]());
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#leaving.delete(tracked));
    this.#leaving.add(tracked);
  }

  #reportLag(): void {
    const now = this.#deps.clock.now();
    for (const [camera, recorder] of this.#cameras) this.#deps.metrics.recorderLag.set({ camera }, recorder.lag(now) / 1000);
  }
}
