/** A stream without key frames can be neither joined, nor cut into segments, nor decoded anew: the operator is told (D-2). */
import type { Clock } from '../core/clock.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { CameraStream, StreamRegistry } from './port.ts';

const TICK: Milliseconds = 1_000;

export interface KeyframeWatchOptions {
  readonly streams: StreamRegistry;
  /** A live stream that had no key frame for so long is overdue. */
  readonly overdueMs: Milliseconds;
  /** Becomes the alarm `keyframes_overdue` of the camera; null: they come again, or the camera is away. */
  readonly onOverdue: (camera: CameraId, problem: string | null) => void;
  readonly clock: Clock;
}

interface Watched {
  readonly stream: CameraStream;
  readonly sink: Disposable;
  /** `Clock.monotonic()` of the latest key frame, or since when one has been expected; null while nothing is live. */
  since: Milliseconds | null;
  /** `Clock.monotonic()` of the latest picture. A camera that sends none at all is silent, which is not a matter of key frames. */
  latest: Milliseconds;
  raised: boolean;
}

/** Watches every stream of the registry, whatever its protocol. */
export class KeyframeWatch implements Disposable {
  readonly #options: KeyframeWatchOptions;
  readonly #watched = new Map<CameraId, Watched>();
  readonly #resources = new DisposableStack();

  constructor(options: KeyframeWatchOptions) {
    this.#options = options;
    this.#resources.use(options.streams.onStream((stream) => { this.#add(stream); }));
    this.#resources.use(options.streams.onRemoved((camera) => { this.#remove(camera); }));
    this.#resources.use(options.clock.every(TICK, () => { this.#tick(); }));
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
    for (const { sink } of this.#watched.values()) sink[Symbol.dispose]();
    this.#watched.clear();
  }

  #add(stream: CameraStream): void {
    const watched: Watched = {
      stream, since: null, latest: -Infinity, raised: false,
      sink: stream.hub.attach((unit) => {
        if (unit.kind !== 'video') return;
        watched.latest = this.#options.clock.monotonic();
        if (unit.randomAccess) watched.since = watched.latest;
      }),
    };
    this.#watched.set(stream.camera, watched);
  }

  #remove(camera: CameraId): void {
    const watched = this.#watched.get(camera);
    if (!watched) return;
    this.#watched.delete(camera);
    watched.sink[Symbol.dispose]();
    this.#tell(watched, null);
  }

  #tick(): void {
    const { clock, overdueMs } = this.#options;
    const now = clock.monotonic();
    for (const watched of this.#watched.values()) {
      const { camera, session, tracks } = watched.stream;
      if (session?.phase !== 'live' || !tracks?.video) watched.since = null;
      else watched.since ??= now;
      const overdue = watched.since !== null && watched.latest - watched.since >= overdueMs;
      this.#tell(watched, overdue
        ? `Camera ${camera} has sent no key frame for ${String(Math.round(overdueMs / 1000))} s: nobody can begin to watch it, and its recording cannot be cut. Set a shorter key frame interval (GOP) in its encoder.`
        : null);
    }
  }

  #tell(watched: Watched, problem: string | null): void {
    if (watched.raised === (problem !== null)) return;
    watched.raised = problem !== null;
    this.#options.onOverdue(watched.stream.camera, problem);
  }
}
