import type { AccessUnit } from '../core/access-unit.ts';
import type { Clock } from '../core/clock.ts';
import { NalType, avccNals, nalType } from '../core/codec/h264/nal.ts';
import { h264Track } from '../core/codec/h264/track.ts';
import type { CameraId } from '../core/frame-ref.ts';
import { Hub } from '../core/hub.ts';
import type { Tracks } from '../core/track.ts';
import type { SessionInfo, WatchedStream } from '../ingest/port.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { AnnotatedUnitMessage } from './protocol.ts';

/** Two seconds at 60 pictures a second, and room for one that is late. */
const GOP_CACHE = { maxUnits: 240, maxBytes: 16 << 20 };

export interface AnnotatedStreamOptions {
  readonly source: WatchedStream;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'branchDropped'>;
  readonly requestKeyframe: () => void;
}

/** A camera's video with boxes burned in: the source's sessions, epochs and FrameRefs; no sound. */
export class AnnotatedStream implements WatchedStream, Disposable {
  readonly camera: CameraId;
  readonly hub: Hub<AccessUnit>;
  readonly #options: AnnotatedStreamOptions;
  readonly #listening: Disposable;
  #tracks: Tracks | null = null;
  #listeners: readonly ((session: SessionInfo) => void)[] = [];
  #changed: readonly (() => void)[] = [];

  constructor(options: AnnotatedStreamOptions) {
    const { source, metrics } = options;
    this.camera = source.camera;
    this.#options = options;
    this.hub = new Hub<AccessUnit>({ gopCache: GOP_CACHE, onDrop: (branch, reason, units) => { metrics.branchDropped.inc({ camera: source.camera, branch, reason }, units); } });
    this.#listening = source.onSession((session) => { this.#onSession(session); });
  }

  get session(): SessionInfo | null {
    return this.#options.source.session;
  }

  get tracks(): Tracks | null {
    return this.#tracks;
  }

  requestKeyframe(): void {
    this.#options.requestKeyframe();
  }

  onSession(listener: (session: SessionInfo) => void): Disposable {
    this.#listeners = [...this.#listeners, listener];
    return { [Symbol.dispose]: () => { this.#listeners = this.#listeners.filter((l) => l !== listener); } };
  }

  /** Called when `tracks` or the session may have changed, and when the stream ends. Disposing removes the listener. */
  onChange(listener: () => void): Disposable {
    this.#changed = [...this.#changed, listener];
    return { [Symbol.dispose]: () => { this.#changed = this.#changed.filter((l) => l !== listener); } };
  }

  /** The next access unit. Throws INVALID_ARGUMENT for one that is not what it says. */
  accept({ frame, pts, wall, randomAccess, data }: AnnotatedUnitMessage): void {
    if (this.session?.phase !== 'live') return; // pictures lag behind what becomes of the session
    if (randomAccess) this.#follow(data);
    if (!this.#tracks) return; // the session it belongs to has ended
    this.hub.publish({
      kind: 'video', frame: { ...frame, stream: this.camera }, pts, dts: pts, wall, arrivedAt: this.#options.clock.monotonic(), randomAccess, data, byteLength: data.length, tracks: this.#tracks,
    });
  }

  /** The last viewer has left, or the camera was removed. */
  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
    this.#listeners = [];
    this.hub.end();
    this.hub[Symbol.dispose]();
    this.#tell();
    this.#changed = [];
  }

  #follow(data: Buffer): void {
    const nals = avccNals(data);
    const [sps, pps] = [nals.find((nal) => nalType(nal) === NalType.sps), nals.find((nal) => nalType(nal) === NalType.pps)];
    const video = this.#tracks?.video;
    if (!sps || !pps || (video?.codec === 'h264' && sps.equals(video.sps) && pps.equals(video.pps))) return;
    this.#tracks = { video: h264Track(sps, pps, 0), audio: null };
    this.#tell();
  }

  #onSession(session: SessionInfo): void {
    if (session.phase === 'ended') {
      this.hub.clearGop();
      this.#tracks = null;
    }
    for (const listener of this.#listeners) listener(session);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#changed) listener();
  }
}
