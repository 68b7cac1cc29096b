import type { AccessUnit } from '../core/access-unit.ts';
import { Hub } from '../core/hub.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { SessionInfo, WatchedStream } from '../ingest/port.ts';
import type { Logger } from '../platform/logging.ts';
import type { Metrics } from '../platform/metrics.ts';
import { PartMuxer } from './part-muxer.ts';
import type { Part, PartStream } from './port.ts';

export interface CameraMuxerOptions {
  /** `media.part_ms`. */
  readonly partMs: Milliseconds;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'branchDropped'>;
}

/** Drives one camera's `PartMuxer`: takes every access unit of the stream as it is published, and publishes the parts in the same call. */
export class CameraMuxer implements PartStream, Disposable {
  readonly camera: CameraId;
  readonly parts: Hub<Part>;
  readonly #stream: WatchedStream;
  readonly #options: CameraMuxerOptions;
  readonly #resources = new DisposableStack();
  #muxer: PartMuxer | null = null;
  #sessionId: string | null = null;
  #epoch: number | null = null;
  #listeners: readonly ((session: SessionInfo) => void)[] = [];
  #unmuxableListeners: readonly ((epoch: number) => void)[] = [];

  constructor(stream: WatchedStream, options: CameraMuxerOptions) {
    this.camera = stream.camera;
    this.#stream = stream;
    this.#options = options;
    this.parts = new Hub<Part>({ onDrop: (branch, reason, units) => { this.#countDrop(branch, reason, units); } });
    this.#resources.use(stream.hub.attach((unit) => { this.#take(unit); }));
    this.#resources.use(stream.onSession((session) => { this.#onSession(session); }));
  }

  get session(): SessionInfo | null {
    return this.#stream.session;
  }

  onSession(listener: (session: SessionInfo) => void): Disposable {
    this.#listeners = [...this.#listeners, listener];
    return { [Symbol.dispose]: () => { this.#listeners = this.#listeners.filter((l) => l !== listener); } };
  }

  onUnmuxable(listener: (epoch: number) => void): Disposable {
    this.#unmuxableListeners = [...this.#unmuxableListeners, listener];
    return { [Symbol.dispose]: () => { this.#unmuxableListeners = this.#unmuxableListeners.filter((l) => l !== listener); } };
  }

  /** The camera is gone: what is pending is published, then consumers drain and finish. Idempotent. */
  end(): void {
    if (this.#resources.disposed) return;
    this.#resources.dispose();
    this.#publish(this.#muxer?.flush() ?? []);
    this.parts.end();
  }

  [Symbol.dispose](): void {
    this.end();
    this.parts[Symbol.dispose]();
    this.#listeners = [];
    this.#unmuxableListeners = [];
  }

  #take(unit: AccessUnit): void {
    // A session can only change with the epoch, so the (built on demand) session is looked at once per epoch, not per unit.
    if (unit.frame.epoch !== this.#epoch) {
      this.#epoch = unit.frame.epoch;
      this.#follow(this.#stream.session);
    }
    if (this.#muxer) this.#publish(this.#muxer.push(unit));
  }

  /** Makes the muxer of this session unless it is there: decode times and sequence numbers belong to a session. */
  #follow(session: SessionInfo | null): void {
    if (!session || session.id === this.#sessionId) return;
    this.#publish(this.#muxer?.flush() ?? []);
    this.#sessionId = session.id;
    const { logger, partMs } = this.#options;
    this.#muxer = new PartMuxer({
      camera: this.camera,
      sessionId: session.id,
      sessionStart: session.startedAt,
      partMs,
      onDrop: (reason, units) => { this.#countDrop('muxer', reason, units); },
      onUnmuxable: (_tracks, why) => {
        logger.warn({ camera: this.camera, session: session.id, reason: why }, 'stream cannot be recorded or served as HLS');
        if (this.#epoch !== null) for (const listener of this.#unmuxableListeners) listener(this.#epoch);
      },
    });
  }

  #onSession(session: SessionInfo): void {
    // Nothing more of this publisher comes for now: viewers and the recorder get what is pending, the held back pictures too.
    if (session.phase === 'interrupted' || session.phase === 'ended') this.#publish(this.#muxer?.flush() ?? []);
    if (session.phase === 'ended' && session.id === this.#sessionId) this.#muxer = null;
    for (const listener of this.#listeners) listener(session);
  }

  #publish(parts: readonly Part[]): void {
    for (const part of parts) this.parts.publish(part);
  }

  #countDrop(branch: string, reason: string, units: number): void {
    this.#options.metrics.branchDropped.inc({ camera: this.camera, branch, reason }, units);
  }
}
