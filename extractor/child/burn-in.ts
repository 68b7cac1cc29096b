import { Frame } from 'node-av/lib';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { CameraId, FrameRef } from '../../core/frame-ref.ts';
import type { MediaTicks, Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import { MAX_ACCESS_UNIT_BYTES } from '../protocol.ts';
import type { BURN_IN_DROPS, BurnInStatsMessage, SentUnit } from '../protocol.ts';
import type { PictureMeta } from './camera-pictures.ts';
import { DevicePatience } from './device-patience.ts';
import type { H264Encoder } from './h264-encoder.ts';
import { KeyframePace } from './keyframe-pace.ts';

/** Where encoders come from. */
export interface EncoderSource {
  /** The device a camera's video is encoded on now; null: software. */
  encodingDevice(camera: CameraId): string | null;
  /** For pictures like `first`, made smaller to so many lines at most (null: as they are). Throws when there is no such encoder, or the device is not there. */
  encoder(first: Frame, device: string | null, maxHeight: number | null): Pick<H264Encoder, 'takes' | 'encode' | typeof Symbol.dispose>;
  /** The device failed: it is opened anew for the next encoder. */
  doubt(device: string): void;
  /** The device keeps a picture, and with it one of the few threads of this process. */
  stuck(device: string): void;
}

export interface BurnInOptions {
  readonly handle: number;
  readonly camera: CameraId;
  readonly encoders: EncoderSource;
  readonly clock: Clock;
  /** Runs native work on pictures that is not part of decoding one. */
  readonly guarded: (work: () => void) => void;
  /** The pipe has room for another access unit. */
  readonly hasRoom: () => boolean;
  readonly send: (unit: SentUnit) => void;
  /** An encoder was made or ended: the edge wants to know now. */
  readonly onEncoderChange: () => void;
  readonly logger: Logger;
}

type Drop = (typeof BURN_IN_DROPS)[number];

const TICKS_PER_MS = 90;
/** A device that has not encoded a picture by then hangs. */
const DEVICE_LIMIT_MS: Milliseconds = 5_000;

interface Running {
  readonly encoder: ReturnType<EncoderSource['encoder']>;
  readonly device: string | null;
}

/**
 * One camera's video with boxes burned in, while somebody wants it: one encoder, whatever the number of viewers, on a device where one is trusted, and in software
 * where none is or it has failed. An encoder that is busy takes the newest picture when it is done. Pictures are left out before they are encoded, never after: what is sent has no holes.
 */
export class BurnIn implements Disposable {
  readonly #options: BurnInOptions;
  readonly #pace = new KeyframePace();
  readonly #next = new Frame();
  #waiting: PictureMeta | null = null;
  readonly #patience = new DevicePatience();
  #running: Running | null = null;
  #on = false;
  #maxHeight: number | null = null;
  /** What encodes a picture now, and since when. */
  #busy: { readonly running: Running; readonly since: Milliseconds } | null = null;
  #failed: string[] = [];
  /** Of the last picture that was begun to be encoded. */
  #last: { readonly epoch: number; readonly pts: MediaTicks } | null = null;
  #encoded = 0;
  #dropped = new Map<Drop, number>();
  /** Encoders the edge knows of. */
  #told = 0;
  #lastError = '';

  constructor(options: BurnInOptions) {
    this.#options = options;
    this.#next.alloc();
  }

  get wanted(): boolean {
    return this.#on;
  }

  /** Wanted or not; of so many lines at most (null: of the camera's own) from the next picture on, which then is random access. */
  set(on: boolean, maxHeight: number | null = null): void {
    this.#on = on;
    this.#maxHeight = maxHeight;
    if (on) return;
    this.forget(0);
    this.#end();
  }

  requestKeyframe(): void {
    this.#pace.request();
  }

  /** A picture with its boxes, valid during the call; in order. */
  take(picture: Frame, meta: PictureMeta): void {
    if (!this.#on) return;
    this.#leaveStuck();
    if (meta.late) this.#drop('late');
    else if (!this.#busy) this.#encode(picture, meta);
    else {
      if (this.#waiting) this.#drop('encoder_busy');
      this.#next.unref();
      this.#waiting = this.#next.ref(picture) < 0 ? null : meta;
      if (!this.#waiting) this.#drop('failed');
    }
  }

  /** What comes next does not continue what came before; so many pictures will never come. */
  forget(lost: number): void {
    if (this.#on && lost > 0) this.#drop('interrupted', lost);
    if (this.#waiting) this.#next.unref();
    if (this.#on && this.#waiting) this.#drop('interrupted');
    this.#waiting = null;
    this.#pace.request();
  }

  /** What happened since the last call; null: nothing. */
  takeStats(): BurnInStatsMessage | null {
    const stats = { handle: this.#options.handle, encoders: this.#running ? 1 : 0, encoded: this.#encoded, dropped: Object.fromEntries(this.#dropped) };
    if (stats.encoders === this.#told && stats.encoded === 0 && this.#dropped.size === 0) return null;
    this.#told = stats.encoders;
    this.#encoded = 0;
    this.#dropped = new Map();
    return stats;
  }

  /** Devices that failed since the last call. */
  takeFailed(): string[] {
    const failed = this.#failed;
    this.#failed = [];
    return failed;
  }

  [Symbol.dispose](): void {
    this.set(false);
    this.#next.free();
  }

  #encode(picture: Frame, meta: PictureMeta): void {
    const pts = Math.round(meta.pts * TICKS_PER_MS);
    const { epoch } = meta.frame;
    if (this.#last?.epoch === epoch && pts <= this.#last.pts) { // decode times of a stream grow
      this.#drop('repeated');
      return;
    }
    if (!this.#options.hasRoom()) {
      this.#drop('pipe_full');
      return;
    }
    const running = this.#runningFor(picture);
    if (!running) return;
    if (this.#last?.epoch !== epoch) this.#pace.request();
    const randomAccess = this.#pace.takes(pts);
    this.#last = { epoch, pts };
    const busy = { running, since: this.#options.clock.monotonic() };
    this.#busy = busy;
    void running.encoder.encode(picture, meta.boxes?.boxes ?? [], pts, randomAccess).then(
      (data) => { if (this.#running === running) this.#send(meta.frame, pts, meta.wall, randomAccess, data); },
      (error: unknown) => { if (this.#running === running) this.#fail(error); },
    ).then(() => { if (this.#busy === busy) this.#goOn(); });
  }

  /** With the picture that waited. */
  #goOn(): void {
    this.#busy = null;
    const next = this.#waiting;
    this.#waiting = null;
    if (!next) return;
    this.#options.guarded(() => { this.#encode(this.#next, next); });
    this.#next.unref();
  }

  /** A device that keeps its picture for too long is given up, and the picture left to it. */
  #leaveStuck(): void {
    const busy = this.#busy;
    const device = busy?.running.device ?? null;
    if (!busy || device === null || this.#options.clock.monotonic() - busy.since <= DEVICE_LIMIT_MS) return;
    this.#drop('failed');
    this.#giveUp(device, new Error(`no picture in ${String(DEVICE_LIMIT_MS / 1000)} s`));
    this.#options.encoders.stuck(device);
    this.#busy = null;
    if (this.#running === busy.running) this.#end();
    if (!this.#waiting) return;
    this.#drop('encoder_busy');
    this.#waiting = null;
    this.#next.unref();
  }

  #send(frame: FrameRef, pts: MediaTicks, wall: number, randomAccess: boolean, data: Buffer): void {
    if (data.length > MAX_ACCESS_UNIT_BYTES) {
      this.#fail(new Error(`an access unit of ${String(data.length)} bytes`));
      return;
    }
    this.#encoded++;
    this.#options.send({ frame, pts, wall, randomAccess, data });
  }

  /** Null: there is none, and this picture is lost. */
  #runningFor(picture: Frame): Running | null {
    const before = this.#running;
    if (before?.encoder.takes(picture, this.#maxHeight)) return before;
    before?.encoder[Symbol.dispose]();
    this.#pace.request();
    try {
      this.#running = null;
      this.#running = this.#open(picture);
      if (!before) this.#options.onEncoderChange();
    } catch (error) {
      this.#fail(error);
    }
    return this.#running;
  }

  /** In software, if the device does not take such pictures, or cannot be opened any more. */
  #open(picture: Frame): Running {
    const { encoders, camera, clock } = this.#options;
    const device = this.#patience.allows(clock.monotonic()) ? encoders.encodingDevice(camera) : null;
    if (device === null) return { encoder: encoders.encoder(picture, null, this.#maxHeight), device };
    try {
      return { encoder: encoders.encoder(picture, device, this.#maxHeight), device };
    } catch (error) {
      this.#giveUp(device, error);
      return { encoder: encoders.encoder(picture, null, this.#maxHeight), device: null };
    }
  }

  #giveUp(device: string, error: unknown): void {
    const { encoders, camera, clock, logger } = this.#options;
    this.#patience.failed(clock.monotonic());
    encoders.doubt(device);
    if (this.#failed.length < 16) this.#failed.push(device);
    logger.warn({ camera, device, error: messageOf(error) }, 'the device failed; the camera\'s annotated video is encoded in software');
  }

  /** The next picture gets a new encoder, and is random access. */
  #fail(error: unknown): void {
    this.#drop('failed');
    const device = this.#running?.device ?? null;
    if (device !== null) this.#giveUp(device, error);
    this.#end();
    const why = messageOf(error);
    if (why === this.#lastError) return;
    this.#lastError = why;
    this.#options.logger.warn({ handle: this.#options.handle, error: why }, 'picture could not be encoded with its boxes');
  }

  #end(): void {
    this.#pace.request();
    const running = this.#running;
    if (!running) return;
    this.#running = null;
    running.encoder[Symbol.dispose]();
    this.#options.onEncoderChange();
  }

  #drop(reason: Drop, count = 1): void {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + count);
  }
}
