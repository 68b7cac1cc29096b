/** One camera's parts without ingest: a real `PartMuxer` fed with the access units of a clip. */
import { Hub } from '../../core/hub.ts';
import type { SessionInfo, SessionPhase } from '../../ingest/port.ts';
import { PartMuxer } from '../../muxer/part-muxer.ts';
import type { Part, PartStream, PartStreams } from '../../muxer/port.ts';
import { accessUnit } from './mp4-source.ts';
import type { Clip, ClipUnit } from './mp4-source.ts';

export class PartSource implements PartStream, PartStreams {
  readonly camera: string;
  readonly parts = new Hub<Part>();
  /** Everything published. */
  readonly published: Part[] = [];
  session: SessionInfo | null = null;
  #muxer: PartMuxer | undefined;
  #listeners: ((session: SessionInfo) => void)[] = [];
  #seq = 0;

  constructor(camera: string) {
    this.camera = camera;
  }

  begin(id: string, startedAt: number): void {
    this.session = { id, camera: this.camera, phase: 'live', protocol: 'rtsp', startedAt, endedAt: null, reason: null, epoch: startedAt };
    this.#muxer = new PartMuxer({ camera: this.camera, sessionId: id, sessionStart: startedAt, partMs: 200 });
    this.#seq = 0;
  }

  /** Pushes units in the epoch that began at `epoch`; `settle` is awaited every second of media, so that a real disk keeps up. */
  async play(clip: Clip, units: readonly ClipUnit[], epoch: number, settle: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    let next = 1_000;
    for (const unit of units) {
      this.push(clip, unit, epoch);
      if (unit.at < next) continue;
      next += 1_000;
      await settle();
    }
  }

  push(clip: Clip, unit: ClipUnit, epoch: number): void {
    if (this.session && this.session.epoch !== epoch) this.session = { ...this.session, epoch };
    const au = accessUnit(unit, clip, { camera: this.camera, epoch, seq: this.#seq });
    if (unit.kind === 'video') this.#seq++;
    this.#publish(this.#muxer?.push(au) ?? []);
  }

  /** `ended`: on purpose. */
  change(phase: SessionPhase): void {
    if (!this.session) return;
    this.session = { ...this.session, phase, ...(phase === 'ended' ? { left: true } : {}) };
    this.#publish(this.#muxer?.flush() ?? []);
    for (const listener of this.#listeners) listener(this.session);
  }

  onSession(listener: (session: SessionInfo) => void): Disposable {
    this.#listeners.push(listener);
    return { [Symbol.dispose]: () => { this.#listeners = this.#listeners.filter((l) => l !== listener); } };
  }

  onUnmuxable(): Disposable { return { [Symbol.dispose]: () => undefined }; }
  get(): PartStream { return this; }
  list(): readonly PartStream[] { return [this]; }
  onStream(listener: (stream: PartStream) => void): Disposable {
    listener(this);
    return { [Symbol.dispose]: () => undefined };
  }
  onRemoved(): Disposable { return { [Symbol.dispose]: () => undefined }; }

  #publish(parts: readonly Part[]): void {
    for (const part of parts) {
      this.published.push(part);
      this.parts.publish(part);
    }
  }
}
