import type { Clock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Logger } from '../platform/logging.ts';
import type { Metrics } from '../platform/metrics.ts';
import { EdgeCameraStream } from './camera-stream.ts';
import type { CameraStream, SessionPhase, StreamRegistry } from './port.ts';

const TICK_MS = 500;
/** What a publisher beyond the limit is told to wait. */
const RETRY_AFTER_SECONDS = 30;
const PHASES: readonly SessionPhase[] = ['connecting', 'live', 'interrupted', 'ended'];

export interface StreamRegistryOptions {
  /** `session.grace_seconds`. */
  readonly graceSeconds: number;
  /** `limits.sessions`: publishers at a time. */
  readonly maxSessions: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** The streams of all cameras this edge owns. Disposing removes them all. */
export class EdgeStreamRegistry implements StreamRegistry, Disposable {
  readonly #options: StreamRegistryOptions;
  readonly #streams = new Map<CameraId, EdgeCameraStream>();
  readonly #ticker: Disposable;
  #streamListeners: readonly ((stream: CameraStream) => void)[] = [];
  #removedListeners: readonly ((camera: CameraId) => void)[] = [];

  constructor(options: StreamRegistryOptions) {
    this.#options = options;
    this.#ticker = options.clock.every(TICK_MS, () => { this.#tick(); });
  }

  get(camera: CameraId): CameraStream | undefined {
    return this.#streams.get(camera);
  }

  list(): readonly CameraStream[] {
    return [...this.#streams.values()];
  }

  /** Adds a configured camera and returns its stream; the one there is if it is already known. */
  add(camera: { readonly id: CameraId }): CameraStream {
    const known = this.#streams.get(camera.id);
    if (known) return known;
    const { graceSeconds, clock, metrics, logger } = this.#options;
    const stream = new EdgeCameraStream({
      camera: camera.id, graceMs: graceSeconds * 1000, clock, metrics, logger,
      admit: () => { this.#admit(camera.id); },
    });
    this.#streams.set(camera.id, stream);
    stream.onSession(() => { this.#countSessions(); });
    for (const listener of this.#streamListeners) listener(stream);
    return stream;
  }

  /** Closes the camera's publisher, ends its session and its Hub, and forgets it. */
  remove(camera: CameraId): void {
    const stream = this.#streams.get(camera);
    if (!stream) return;
    this.#streams.delete(camera);
    stream[Symbol.dispose]();
    this.#countSessions();
    for (const listener of this.#removedListeners) listener(camera);
  }

  onStream(listener: (stream: CameraStream) => void): Disposable {
    this.#streamListeners = [...this.#streamListeners, listener];
    for (const stream of this.#streams.values()) listener(stream);
    return { [Symbol.dispose]: () => { this.#streamListeners = this.#streamListeners.filter((l) => l !== listener); } };
  }

  onRemoved(listener: (camera: CameraId) => void): Disposable {
    this.#removedListeners = [...this.#removedListeners, listener];
    return { [Symbol.dispose]: () => { this.#removedListeners = this.#removedListeners.filter((l) => l !== listener); } };
  }

  [Symbol.dispose](): void {
    this.#ticker[Symbol.dispose]();
    for (const camera of [...this.#streams.keys()]) this.remove(camera);
    this.#streamListeners = [];
    this.#removedListeners = [];
  }

  #admit(camera: CameraId): void {
    let published = 0;
    for (const stream of this.#streams.values()) if (stream.isPublished) published++;
    if (published < this.#options.maxSessions) return;
    throw new MediaError('UNAVAILABLE', 'too many cameras publish at once', {
      reason: 'SESSION_LIMIT',
      retryAfterSeconds: RETRY_AFTER_SECONDS,
      context: { camera, limit: this.#options.maxSessions },
    });
  }

  #tick(): void {
    for (const stream of this.#streams.values()) stream.tick();
  }

  #countSessions(): void {
    const counts: Record<SessionPhase, number> = { connecting: 0, live: 0, interrupted: 0, ended: 0 };
    for (const { session } of this.#streams.values()) if (session) counts[session.phase]++;
    for (const state of PHASES) this.#options.metrics.sessions.set({ state }, counts[state]);
  }
}
