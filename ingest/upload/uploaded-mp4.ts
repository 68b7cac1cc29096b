/** One uploaded file as coded pictures and sound at their wall times; a thread of its own reads it. */
import { Worker } from 'node:worker_threads';
import type { AccessUnit } from '../../core/access-unit.ts';
import type { Clock } from '../../core/clock.ts';
import { h264Track } from '../../core/codec/h264/track.ts';
import { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { AudioTrack, Tracks } from '../../core/track.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { UploadedMedia, UploadedUnit } from '../../recorder/port.ts';
import type { BatchSample, Mp4WorkerData, Mp4WorkerMessage } from './mp4-protocol.ts';

export interface UploadedMp4Options {
  readonly path: string;
  readonly camera: CameraId;
  /** Wall time of its first picture, Unix ms. */
  readonly start: Milliseconds;
  /** Size of the file. */
  readonly bytes: number;
  readonly clock: Clock;
}

/** A range that can be marked at once. */
const MAX_SECONDS = 24 * 3600;
/** The tables of a day at 60 pictures a second with sound, several times over. */
const HEAP_MB = 768;
/** The first reading: so long, and as long as a slow disk takes for its bytes. */
const READ_BASE: Milliseconds = 60_000;
const BYTES_PER_MS = 10_000;
const BATCH_DEADLINE: Milliseconds = 60_000;

const unusable = (message: string, reason: string, cause?: unknown): MediaError => new MediaError('UNPROCESSABLE', message, { reason, cause });

export class UploadedMp4 implements UploadedMedia, AsyncDisposable {
  readonly camera: CameraId;
  readonly start: Milliseconds;
  readonly duration: Milliseconds;
  readonly #reader: Reader;
  readonly #tracks: Tracks;
  #pictures = 0;

  private constructor({ camera, start }: UploadedMp4Options, reader: Reader, tracks: Tracks, duration: Milliseconds) {
    this.camera = camera;
    this.start = start;
    this.duration = duration;
    this.#reader = reader;
    this.#tracks = tracks;
  }

  /** Reads the whole file once. Throws UNPROCESSABLE: it is no MP4, not H.264, breaks off, or its tables are too large. */
  static async open(options: UploadedMp4Options): Promise<UploadedMp4> {
    const reader = new Reader({ path: options.path, maxSeconds: MAX_SECONDS }, options.clock);
    try {
      const head = await reader.next(READ_BASE + options.bytes / BYTES_PER_MS);
      if (head.type !== 'head') throw new Error('an uploaded file was read out of turn');
      return new UploadedMp4(options, reader, { video: h264Track(head.sps, head.pps), audio: head.audio }, head.duration);
    } catch (error) {
      await reader[Symbol.asyncDispose]();
      if (error instanceof MediaError && error.code === 'INVALID_ARGUMENT') throw unusable('The parameters of the video make no sense.', 'FILE_NOT_USABLE', error);
      throw error;
    }
  }

  async *units(): AsyncGenerator<readonly UploadedUnit[]> {
    for (;;) {
      this.#reader.ask();
      const message = await this.#reader.next(BATCH_DEADLINE);
      if (message.type !== 'batch') return;
      const data = Buffer.from(message.data);
      let offset = 0;
      yield message.samples.flatMap((sample) => {
        const bytes = data.subarray(offset, offset + sample.bytes);
        offset += sample.bytes;
        return this.#unit(sample, bytes) ?? [];
      });
    }
  }

  /** Sound from before the first picture goes with none. */
  #unit({ kind, pts, dts, duration, randomAccess }: BatchSample, data: Buffer): UploadedUnit | undefined {
    const track: Tracks['video'] | AudioTrack = this.#tracks[kind];
    if (!track) return undefined;
    const seq = kind === 'video' ? this.#pictures++ : this.#pictures;
    if (pts < 0) return undefined;
    const { clockRate } = track;
    const shown = Math.max(pts, dts);
    const wall = this.start + (shown * 1000) / clockRate;
    const frame = { stream: this.camera, epoch: this.start, rtpTs: shown % 2 ** 32, captureNtp: wall, seq };
    const unit: AccessUnit = { kind, frame, pts: shown, dts, wall, arrivedAt: 0, randomAccess, data, byteLength: data.length, tracks: this.#tracks };
    return { unit, duration: (duration * 1000) / clockRate };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#reader[Symbol.asyncDispose]();
  }
}

/** The thread, as messages one after the other. */
class Reader implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #arrived: Mp4WorkerMessage[] = [];
  #failure: MediaError | undefined;
  #wake: (() => void) | undefined;

  constructor(workerData: Mp4WorkerData, clock: Clock) {
    this.#clock = clock;
    this.#worker = new Worker(new URL('./mp4-worker.ts', import.meta.url), { workerData, resourceLimits: { maxOldGenerationSizeMb: HEAP_MB }, stdout: true, stderr: true });
    for (const said of [this.#worker.stdout, this.#worker.stderr]) said.resume(); // the demuxer's complaints about a file are nobody's log
    this.#worker.on('message', (message: Mp4WorkerMessage) => {
      if (message.type === 'refused') this.#fail(unusable(`The file cannot be used: ${message.message}.`, message.reason === 'FILE_SOURCE' ? 'FILE_NOT_USABLE' : message.reason));
      else this.#arrived.push(message);
      this.#wake?.();
    });
    // Out of memory, for one: tables that no recording of this size has.
    this.#worker.once('error', (error) => { this.#fail(unusable('The file cannot be read.', 'FILE_NOT_USABLE', error)); });
    this.#worker.once('exit', () => { this.#fail(unusable('The file cannot be read.', 'FILE_NOT_USABLE')); });
  }

  ask(): void {
    this.#worker.postMessage('next');
  }

  /** Throws UNPROCESSABLE when the file cannot be used or does not get read in time. */
  async next(withinMs: Milliseconds): Promise<Mp4WorkerMessage> {
    using _ = this.#clock.after(withinMs, () => { this.#fail(unusable('The file takes too long to read.', 'FILE_NOT_USABLE')); });
    for (;;) {
      const message = this.#arrived.shift();
      if (message) return message;
      if (this.#failure) throw this.#failure;
      await new Promise<void>((resolve) => { this.#wake = resolve; });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(error: MediaError): void {
    this.#failure ??= error;
    this.#wake?.();
  }
}
