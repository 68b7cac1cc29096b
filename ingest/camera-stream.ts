import { randomUUID } from 'node:crypto';
import type { AccessUnit } from '../core/access-unit.ts';
import type { Clock } from '../core/clock.ts';
import { MediaError, messageOf } from '../core/errors.ts';
import type { CameraId } from '../core/frame-ref.ts';
import { Hub } from '../core/hub.ts';
import type { Tracks } from '../core/track.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { CameraStream, Publication, PublisherDriver, SessionInfo, SessionStats, TransportStats } from './port.ts';
import { addTransport, NO_TRANSPORT, SessionCounters, toSessionStats } from './session-counters.ts';
import { beginSession, stepSession } from './session-state.ts';
import type { SessionEvent, SessionState } from './session-state.ts';
import { StreamMeter } from './stream-meter.ts';

/** The ring of ING-10: the current GOP, at most about 10 s of 30 pictures and 50 audio frames a second. */
const GOP_CACHE = { maxUnits: 900, maxBytes: 24 << 20 };

export interface CameraStreamOptions {
  readonly camera: CameraId;
  readonly graceMs: Milliseconds;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Called before a publisher is let in where there was none; throws UNAVAILABLE when there are too many. */
  readonly admit: () => void;
}

/** One camera's stream through all its sessions: the driver of `session-state.ts`. Disposing ends it for good. */
export class EdgeCameraStream implements CameraStream, Disposable {
  readonly camera: CameraId;
  readonly hub: Hub<AccessUnit>;
  readonly #options: CameraStreamOptions;
  readonly #logger: Logger;
  #state: SessionState | null = null;
  #session: SessionInfo | null = null;
  #publication: StreamPublication | null = null;
  #tracks: Tracks | null = null;
  #meter = new StreamMeter();
  #counters: SessionCounters;
  /** Transport numbers of the session's earlier publishers. */
  #formerTransport: TransportStats = NO_TRANSPORT;
  /** When the latest picture of this publisher came; the latest sound, where there is no video. */
  #lastUnitAt: Milliseconds | null = null;
  #lastEpoch = 0;
  #nextSeq = 0;
  #listeners: readonly ((session: SessionInfo) => void)[] = [];
  #disposed = false;

  constructor(options: CameraStreamOptions) {
    this.camera = options.camera;
    this.#options = options;
    this.#logger = options.logger.child({ camera: options.camera });
    this.#counters = new SessionCounters(options.metrics, options.camera);
    this.hub = new Hub<AccessUnit>({
      gopCache: GOP_CACHE,
      onDrop: (branch, reason, units) => { options.metrics.branchDropped.inc({ camera: options.camera, branch, reason }, units); },
    });
  }

  get session(): SessionInfo | null {
    return this.#session;
  }

  get tracks(): Tracks | null {
    return this.#tracks;
  }

  /** A publisher holds the stream now. */
  get isPublished(): boolean {
    return this.#publication !== null;
  }

  stats(): SessionStats | null {
    if (!this.#session) return null;
    const current = this.#publication?.driver.stats() ?? NO_TRANSPORT;
    return toSessionStats(addTransport(this.#formerTransport, current), this.#meter, this.#tracks, this.#options.clock.monotonic());
  }

  requestKeyframe(): void {
    this.#publication?.driver.requestKeyframe();
  }

  beginPublication(driver: PublisherDriver): Publication {
    if (this.#disposed) throw new MediaError('NOT_FOUND', 'the camera was removed', { context: { camera: this.camera } });
    if (!this.#publication) this.#options.admit();
    this.#detach()?.close('replaced');
    const epoch = Math.max(Math.floor(this.#options.clock.now()), this.#lastEpoch + 1);
    this.#lastEpoch = epoch;
    this.#lastUnitAt = null;
    this.hub.clearGop();
    this.#meter.interrupt();
    const publication = new StreamPublication(this, driver, epoch, {
      publish: (unit) => { this.#accept(publication, unit); },
      nextSeq: () => this.#nextSeq++,
      end: (how, reason) => { this.#endPublication(publication, how, reason); },
    });
    this.#publication = publication;
    if (!this.#state || this.#state.phase === 'ended') this.#openSession();
    else this.#step({ type: 'published' });
    return publication;
  }

  onSession(listener: (session: SessionInfo) => void): Disposable {
    this.#listeners = [...this.#listeners, listener];
    return { [Symbol.dispose]: () => { this.#listeners = this.#listeners.filter((l) => l !== listener); } };
  }

  /** Time passed: watchdog, end of the grace time, metrics. The registry calls it twice a second. */
  tick(): void {
    this.#count();
    if (this.#state && this.#state.phase !== 'ended') this.#step({ type: 'tick', lastUnitAt: this.#lastUnitAt });
  }

  /** Ends the session and closes its publisher, as when the camera is removed. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const driver = this.#detach();
    if (this.#state) this.#step({ type: 'left', reason: 'camera removed' });
    driver?.close('camera removed');
    this.hub.end();
    this.hub[Symbol.dispose]();
    this.#listeners = [];
  }

  #accept(publication: StreamPublication, unit: AccessUnit): void {
    if (publication !== this.#publication) return;
    const now = this.#options.clock.monotonic();
    this.#tracks = unit.tracks;
    this.#meter.count(unit, now);
    // Sound alone is no life of a stream that has pictures: viewers would see a black or frozen picture that is called live.
    if (unit.kind === 'video' || unit.tracks.video === null) {
      this.#lastUnitAt = now;
      if (this.#state?.phase === 'connecting') this.#step({ type: 'media' });
    }
    this.hub.publish(unit);
  }

  #endPublication(publication: StreamPublication, how: 'lost' | 'left', reason: string): void {
    if (publication !== this.#publication) return;
    this.#detach();
    this.#step({ type: how, reason });
  }

  /** Takes the stream from its publisher and keeps its numbers; the caller closes the driver, if it must. */
  #detach(): PublisherDriver | null {
    const driver = this.#publication?.driver ?? null;
    if (!driver) return null;
    this.#count();
    this.#formerTransport = addTransport(this.#formerTransport, driver.stats());
    this.#publication = null;
    return driver;
  }

  #openSession(): void {
    const { clock } = this.#options;
    this.#nextSeq = 0;
    this.#tracks = null;
    this.#meter = new StreamMeter();
    this.#formerTransport = NO_TRANSPORT;
    this.#counters = new SessionCounters(this.#options.metrics, this.camera);
    this.#state = beginSession(clock.monotonic());
    this.#announce({ id: randomUUID(), startedAt: clock.now() });
  }

  #step(event: SessionEvent): void {
    if (!this.#state || !this.#session) return;
    const { state, closePublisher } = stepSession(this.#state, event, this.#options.clock.monotonic(), this.#options.graceMs);
    if (state === this.#state) return;
    this.#state = state;
    const silent = closePublisher ? this.#detach() : null;
    if (state.phase === 'ended') {
      this.hub.clearGop();
      this.#tracks = null;
    }
    this.#announce(this.#session);
    silent?.close('reason' in state ? state.reason : 'silent');
  }

  /** Builds the session's view anew and tells the listeners. */
  #announce(identity: { readonly id: string; readonly startedAt: Milliseconds }): void {
    const state = this.#state;
    if (!state) return;
    const session: SessionInfo = {
      id: identity.id,
      camera: this.camera,
      phase: state.phase,
      protocol: this.#publication?.driver.protocol ?? this.#session?.protocol ?? 'rtsp',
      startedAt: identity.startedAt,
      endedAt: state.phase === 'ended' ? this.#options.clock.now() : null,
      reason: 'reason' in state ? state.reason : null,
      ...('left' in state ? { left: true as const } : {}),
      epoch: this.#lastEpoch,
    };
    this.#session = session;
    this.#logger.info({ session: session.id, phase: session.phase, protocol: session.protocol, epoch: session.epoch, reason: session.reason }, 'session');
    for (const listener of this.#listeners) {
      try {
        listener(session);
      } catch (error) { // a bug, or a resource that is gone: media must not stop for it
        this.#logger.error({ error: messageOf(error), stack: error instanceof Error ? error.stack : undefined }, 'a session listener failed');
      }
    }
  }

  #count(): void {
    const driver = this.#publication?.driver;
    if (driver) this.#counters.update(driver.protocol, addTransport(this.#formerTransport, driver.stats()), this.#meter.videoUnits);
  }
}

interface PublicationActions {
  readonly publish: (unit: AccessUnit) => void;
  readonly nextSeq: () => number;
  readonly end: (how: 'lost' | 'left', reason: string) => void;
}

class StreamPublication implements Publication {
  readonly stream: CameraStream;
  readonly driver: PublisherDriver;
  readonly epoch: number;
  readonly #actions: PublicationActions;

  constructor(stream: CameraStream, driver: PublisherDriver, epoch: number, actions: PublicationActions) {
    this.stream = stream;
    this.driver = driver;
    this.epoch = epoch;
    this.#actions = actions;
  }

  publish(unit: AccessUnit): void {
    this.#actions.publish(unit);
  }

  nextSeq(): number {
    return this.#actions.nextSeq();
  }

  end(how: 'lost' | 'left', reason: string): void {
    this.#actions.end(how, reason);
  }
}
