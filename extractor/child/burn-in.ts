import { Frame } from 'node-av/lib';
import { messageOf } from '../../core/errors.ts';
import type { FrameRef } from '../../core/frame-ref.ts';
import type { MediaTicks } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import { MAX_ACCESS_UNIT_BYTES } from '../protocol.ts';
import type { BURN_IN_DROPS, BurnInStatsMessage, SentUnit } from '../protocol.ts';
import type { PictureMeta } from './camera-pictures.ts';
import { H264Encoder } from './h264-encoder.ts';
import { KeyframePace } from './keyframe-pace.ts';

export interface BurnInOptions {
  readonly handle: number;
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

/**
 * One camera's video with boxes burned in, while somebody wants it: one encoder, whatever the number of viewers. An encoder that is busy takes the newest picture
 * when it is done. Pictures are left out before they are encoded, never after: what is sent has no holes.
 */
export class BurnIn implements Disposable {
  readonly #options: BurnInOptions;
  readonly #pace = new KeyframePace();
  readonly #next = new Frame();
  #waiting: PictureMeta | null = null;
  #encoder: H264Encoder | null = null;
  #on = false;
  #busy = false;
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

  set(on: boolean): void {
    this.#on = on;
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
    const stats = { handle: this.#options.handle, encoders: this.#encoder ? 1 : 0, encoded: this.#encoded, dropped: Object.fromEntries(this.#dropped) };
    if (stats.encoders === this.#told && stats.encoded === 0 && this.#dropped.size === 0) return null;
    this.#told = stats.encoders;
    this.#encoded = 0;
    this.#dropped = new Map();
    return stats;
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
    const encoder = this.#encoderFor(picture);
    if (!encoder) return;
    if (this.#last?.epoch !== epoch) this.#pace.request();
    const randomAccess = this.#pace.takes(pts);
    this.#last = { epoch, pts };
    this.#busy = true;
    void encoder.encode(picture, meta.boxes?.boxes ?? [], pts, randomAccess).then(
      (data) => { if (this.#encoder === encoder) this.#send(meta.frame, pts, meta.wall, randomAccess, data); },
      (error: unknown) => { if (this.#encoder === encoder) this.#fail(error); },
    ).then(() => {
      this.#busy = false;
      const next = this.#waiting;
      this.#waiting = null;
      if (!next) return;
      this.#options.guarded(() => { this.#encode(this.#next, next); });
      this.#next.unref();
    });
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
  #encoderFor(picture: Frame): H264Encoder | null {
    if (this.#encoder?.takes(picture)) return this.#encoder;
    this.#encoder?.[Symbol.dispose]();
    this.#pace.request();
    try {
      const before = this.#encoder;
      this.#encoder = null;
      this.#encoder = new H264Encoder(picture);
      if (!before) this.#options.onEncoderChange();
    } catch (error) {
      this.#fail(error);
    }
    return this.#encoder;
  }

  /** The next picture gets a new encoder, and is random access. */
  #fail(error: unknown): void {
    this.#drop('failed');
    this.#end();
    const why = messageOf(error);
    if (why === this.#lastError) return;
    this.#lastError = why;
    this.#options.logger.warn({ handle: this.#options.handle, error: why }, 'picture could not be encoded with its boxes');
  }

  #end(): void {
    this.#pace.request();
    if (!this.#encoder) return;
    this.#encoder[Symbol.dispose]();
    this.#encoder = null;
    this.#options.onEncoderChange();
  }

  #drop(reason: Drop, count = 1): void {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + count);
  }
}
