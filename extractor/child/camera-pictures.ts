import { Frame } from 'node-av/lib';
import { messageOf } from '../../core/errors.ts';
import type { FrameRef } from '../../core/frame-ref.ts';
import type { MediaTicks, Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import { FpsGate } from '../fps-gate.ts';
import { pictureSize } from '../picture-size.ts';
import type { PictureSpec } from '../port.ts';
import { MAX_PICTURE_BYTES } from '../protocol.ts';
import type { NoStillMessage, PictureHeader, PictureStream } from '../protocol.ts';
import type { FrameBoxes } from './frame-boxes.ts';
import { PictureOutput } from './picture-output.ts';
import type { EncodedPicture } from './picture-output.ts';
import { PictureScaler } from './picture-scaler.ts';
import type { SlowLane } from './slow-lane.ts';

export interface CameraPicturesOptions {
  readonly handle: number;
  readonly lane: SlowLane;
  /** Runs native work on pictures that is not part of decoding one. */
  readonly guarded: (work: () => void) => void;
  /** Hands a picture to the edge. False: the pipe is full, it did not go. */
  readonly send: (header: PictureHeader, bytes: Buffer) => boolean;
  readonly sendNoStill: (failure: NoStillMessage) => void;
  readonly logger: Logger;
}

/** A decoded picture's identity. */
export interface PictureMeta {
  /** Of its access unit. */
  readonly index: number;
  readonly frame: FrameRef;
  readonly wall: Milliseconds;
  /** In ticks of a millisecond. */
  readonly pts: MediaTicks;
  /** Too late to be shown as it comes. */
  readonly late: boolean;
  /** Whether detectors look at this very picture; null: there are none. */
  readonly detected: boolean | null;
  /** What is to be drawn into it; absent: nothing. */
  readonly boxes?: FrameBoxes;
}

interface Stream {
  message: PictureStream;
  readonly gate: FpsGate;
  /** Pictures it may still let pass to begin with one that detectors look at: at the same rate it then has all of those. */
  patience: number;
  output: PictureOutput | null;
}

/** Outputs no stream uses that are kept for the next still like the last one. */
const IDLE_OUTPUTS = 2;
/** So many pictures long: some seconds. */
const LATELY = 300;
/** Stills that wait for a first picture; the edge asks for fewer, and has long given up older ones. */
const MAX_STILLS = 256;
const GATE_CLOCK_RATE = 1000;
const PATIENCE = 6;

/**
 * The pictures of one camera that are wanted encoded: each decoded picture is scaled at most once per size and layout, and encoded at most once per size,
 * format and quality. An output that is busy takes the newest picture when it is done; those in between are counted as dropped.
 */
export class CameraPictures implements Disposable {
  readonly #options: CameraPicturesOptions;
  readonly #picture = new Frame();
  #newest: PictureMeta | null = null;
  #streams: readonly Stream[] = [];
  /** Waiting for a first picture. */
  #stills: { readonly id: number; readonly spec: PictureSpec }[] = [];
  readonly #outputs = new Map<string, PictureOutput>();
  readonly #scalers = new Map<string, PictureScaler>();
  /** Pictures since anybody asked. */
  #unasked = 0;
  #lastError = '';

  constructor(options: CameraPicturesOptions) {
    this.#options = options;
    this.#picture.alloc();
  }

  /** Encoders there are. */
  get outputs(): number {
    return this.#outputs.size;
  }

  /** Whether pictures are asked for, or were lately: only then one is worth being held beside those the decoder needs, which costs memory and cache. */
  get wanted(): boolean {
    return this.#streams.length > 0 || this.#stills.length > 0 || this.#outputs.size > 0;
  }

  setStreams(messages: readonly PictureStream[]): void {
    const before = new Map(this.#streams.map((stream) => [stream.message.id, stream]));
    this.#streams = messages.map((message) => {
      const same = before.get(message.id);
      if (same?.message.fps === message.fps) return Object.assign(same, { message }); // of another size perhaps
      return { message, gate: new FpsGate(message.fps, GATE_CLOCK_RATE), patience: PATIENCE, output: same?.output ?? null };
    });
    const newest = this.#newest;
    if (newest) for (const stream of this.#streams) if (!before.has(stream.message.id)) this.#offer(stream, newest); // who comes sees something at once
    this.#prune();
  }

  /** The newest picture, at once; where none is held, the next that comes. */
  still(id: number, spec: PictureSpec): void {
    this.#unasked = 0;
    if (this.#newest) this.#offerStill(id, spec);
    else {
      this.#stills.push({ id, spec });
      if (this.#stills.length > MAX_STILLS) this.#stills.shift();
    }
  }

  /** A decoded picture, valid during the call. */
  take(picture: Frame, meta: PictureMeta): void {
    this.#picture.unref();
    this.#newest = this.#picture.ref(picture) < 0 ? null : meta;
    if (this.#streams.length === 0 && ++this.#unasked > LATELY) this.#prune(0);
    if (!this.#newest) return;
    if (!meta.late) for (const stream of this.#streams) if (this.#isDue(stream, meta)) this.#offer(stream, meta);
    if (this.#stills.length === 0) return;
    const stills = this.#stills;
    this.#stills = [];
    for (const { id, spec } of stills) this.#offerStill(id, spec);
  }

  /** What comes next does not continue what came before: nobody is shown the past. */
  forget(): void {
    if (this.#newest) this.#picture.unref();
    this.#newest = null;
    for (const stream of this.#streams) {
      stream.gate.reset();
      stream.patience = PATIENCE;
    }
  }

  [Symbol.dispose](): void {
    this.#newest = null;
    this.#streams = [];
    this.#stills = [];
    for (const output of this.#outputs.values()) output[Symbol.dispose]();
    this.#outputs.clear();
    for (const scaler of this.#scalers.values()) scaler[Symbol.dispose]();
    this.#scalers.clear();
    this.#picture.free();
  }

  #isDue(stream: Stream, { pts, detected }: PictureMeta): boolean {
    if (stream.patience > 0) {
      if (detected === false && --stream.patience > 0) return false;
      stream.patience = 0;
    }
    return stream.gate.takes(pts);
  }

  #offer(stream: Stream, newest: PictureMeta): void {
    try {
      const output = this.#outputFor(stream.message.spec);
      output.awaitFor(stream.message.id);
      this.#make(output, newest);
      if (stream.output === output) return;
      stream.output = output;
      this.#prune(); // the camera sends another size now
    } catch (error) {
      this.#tell(error);
    }
  }

  #offerStill(id: number, spec: PictureSpec): void {
    try {
      const output = this.#outputFor(spec);
      output.awaitStill(id);
      if (this.#newest) this.#make(output, this.#newest);
      this.#prune();
    } catch (error) {
      this.#tell(error);
      this.#options.sendNoStill({ handle: this.#options.handle, id, why: 'failed' });
    }
  }

  /** Throws when FFmpeg has no encoder for it. */
  #outputFor(spec: PictureSpec): PictureOutput {
    const { width, height } = pictureSize(this.#picture.width, this.#picture.height, spec);
    const key = `${String(width)}x${String(height)} ${spec.format} ${spec.format === 'png' ? '' : String(spec.quality)}`;
    const known = this.#outputs.get(key);
    const output = known ?? new PictureOutput(key, { format: spec.format, width, height, quality: spec.quality, lane: this.#options.lane });
    this.#outputs.delete(key); // behind all others: the first is the one used least lately
    this.#outputs.set(key, output);
    return output;
  }

  /** Begins to encode the newest picture, unless an earlier one still is: then that begins this one. */
  #make(output: PictureOutput, newest: PictureMeta): void {
    if (output.busy || output.disposed || !output.awaited) return;
    const waiting = output.take();
    if (output.last?.index === newest.index) {
      this.#deliver(output, output.last, waiting, false);
      return;
    }
    const { index, frame, wall: capturedAt, pts, boxes } = newest;
    let encoding: Promise<EncodedPicture>;
    try {
      const scaled = this.#scalerFor(output).scale(this.#picture, index, boxes?.boxes);
      encoding = output.encode(scaled, { index, frame, capturedAt, pts, drawn: boxes?.drawn ?? null, sourceWidth: this.#picture.width, sourceHeight: this.#picture.height });
    } catch (error) {
      this.#fail(output, waiting, error);
      return;
    }
    void encoding.then(
      (picture) => { if (!output.disposed) this.#deliver(output, picture, waiting, true); },
      (error: unknown) => { if (!output.disposed) this.#fail(output, waiting, error); },
    ).then(() => {
      const next = this.#newest;
      if (next && !output.disposed) this.#options.guarded(() => { this.#make(output, next); });
    });
  }

  #scalerFor({ width, height, format, layout }: PictureOutput): PictureScaler {
    const key = scalerKey({ width, height, format });
    let scaler = this.#scalers.get(key);
    if (!scaler) this.#scalers.set(key, (scaler = new PictureScaler(width, height, layout)));
    return scaler;
  }

  #deliver(output: PictureOutput, { index: _, bytes, ...picture }: EncodedPicture, waiting: ReturnType<PictureOutput['take']>, fresh: boolean): void {
    const { handle, send, sendNoStill } = this.#options;
    if (bytes.length > MAX_PICTURE_BYTES) {
      output.dropped += waiting.streams.length;
      for (const id of waiting.stills) sendNoStill({ handle, id, why: 'too_large' });
      return;
    }
    if (send({ handle, ...waiting, ...picture, fresh, dropped: output.dropped }, bytes)) output.dropped = 0;
    else output.dropped += waiting.streams.length;
  }

  #fail(output: PictureOutput, waiting: ReturnType<PictureOutput['take']>, error: unknown): void {
    output.dropped += waiting.streams.length;
    for (const id of waiting.stills) this.#options.sendNoStill({ handle: this.#options.handle, id, why: 'failed' });
    this.#tell(error);
  }

  /** The same fault once, not with every picture. */
  #tell(error: unknown): void {
    const why = messageOf(error);
    if (why === this.#lastError) return;
    this.#lastError = why;
    this.#options.logger.warn({ handle: this.#options.handle, error: why }, 'picture could not be encoded');
  }

  /** Lets go of what is no longer used, but for the last `kept`. */
  #prune(kept = IDLE_OUTPUTS): void {
    const used = new Set(this.#streams.map(({ output }) => output));
    const idle = [...this.#outputs.values()].filter((output) => !used.has(output) && !output.busy && !output.awaited);
    for (const output of idle.slice(0, Math.max(0, idle.length - kept))) {
      this.#outputs.delete(output.key);
      output[Symbol.dispose]();
    }
    const scales = new Set([...this.#outputs.values()].map(scalerKey));
    for (const [key, scaler] of this.#scalers) {
      if (scales.has(key)) continue;
      this.#scalers.delete(key);
      scaler[Symbol.dispose]();
    }
  }
}

/** JPEG, PNG and WebP want different pixels. */
const scalerKey = ({ width, height, format }: Pick<PictureOutput, 'width' | 'height' | 'format'>): string => `${String(width)}x${String(height)} ${format}`;
