/** Control's side of the exporter process: recorded pictures and their boxes go in, one MP4 comes out. A process for each file. */
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import type { DrawnBox } from '../core/drawing/drawn-box.ts';
import { MediaError } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import { ChildProcess, describeExit } from '../platform/child-process.ts';
import type { Logger } from '../platform/logging.ts';
import { decodeExportAnswer } from './export-protocol.ts';
import type { EXPORT_FAILURES, ExportAnswer, ExportMessage } from './export-protocol.ts';
import { pictureKey } from './picture-key.ts';
import { encodeMessage } from './picture-protocol.ts';
import type { RangePicture, RangePictures, RangeRun } from './port.ts';
import { isGone } from './segment-file.ts';

/** `ps` and the operator's scripts know the process by this. */
const TITLE = 'imageflow-edge exporter';
const SCRIPT = join(import.meta.dirname, '..', 'processes', 'exporter.ts');
/** A child that takes nothing for so long hangs; a second of 4K takes some seconds of a busy machine. */
const SILENCE: Milliseconds = 120_000;
/** The file is written once more at its end, to have its tables first. */
const FINISHING: Milliseconds = 600_000;
const STOP_GRACE: Milliseconds = 500;

export interface ExportWork {
  /** For words. */
  readonly camera: string;
  readonly pictures: RangePictures;
  /** The file to be made; an older one there is replaced. */
  readonly path: string;
  readonly maxBytes: number;
  /** The boxes of a run's pictures, by `pictureKey`. */
  readonly boxesOf: (run: RangeRun) => Promise<ReadonlyMap<string, readonly DrawnBox[]>>;
  /** The child has taken everything before `at`, milliseconds of the file. Rejects to end the work. */
  readonly onProgress: (at: Milliseconds, so: ExportCounts) => Promise<void>;
}

export interface ExportCounts {
  /** Boxes handed over to be drawn. */
  readonly boxes: number;
  /** Segments whose files had gone. */
  readonly missing: number;
}

export interface ExportOutcome extends ExportCounts {
  readonly bytes: number;
  readonly pictures: number;
  /** Pictures of the range that could not be decoded. */
  readonly undecodable: number;
}

/**
 * Makes the file. Rejects with what `signal` is aborted with or `onProgress` rejects with, RESOURCE_EXHAUSTED (disk full, file too large), UNPROCESSABLE (nothing
 * can be decoded), UNAVAILABLE (the process ended or hangs); a file half made is left at `path`.
 */
export const makeAnnotatedExport = async (work: ExportWork, clock: Clock, logger: Logger, signal: AbortSignal): Promise<ExportOutcome> => {
  signal.throwIfAborted();
  await using exporter = new ExporterProcess(work.camera, clock, logger, signal);
  const { pictures, path, maxBytes, boxesOf, onProgress } = work;
  await exporter.send({ type: 'begin', path, fps: rateOf(pictures), maxBytes });
  let [shown, boxes, missing] = [0, 0, pictures.missing];
  let before: RangeRun | undefined;
  for (const run of pictures.runs) {
    // A decoder goes on where its pictures do: a file may begin within a GOP.
    if (before?.sessionId !== run.sessionId || !before.decoderConfig.equals(run.decoderConfig)) await exporter.send({ type: 'stream', decoderConfig: run.decoderConfig.toString('base64') });
    before = run;
    const known = await boxesOf(run);
    try {
      let i = 0;
      for await (const unit of run.read()) {
        const picture = run.pictures[i++];
        if (!picture) break;
        const drawn = picture.at === null ? [] : boxesAt(known, picture);
        await exporter.send({ type: 'picture', at: picture.at, boxes: [...drawn] }, unit);
        if (picture.at === null) continue;
        shown++;
        boxes += drawn.length;
        await onProgress(picture.at, { boxes, missing });
      }
    } catch (error) {
      if (!(error instanceof MediaError && error.code === 'NOT_FOUND' && isGone(error))) throw error;
      missing++;
      before = undefined;
    }
  }
  const { bytes, pictures: made } = await exporter.finish(pictures.length);
  return { bytes, pictures: made, undecodable: Math.max(0, shown - made), boxes, missing };
};

/** Pictures a second while there are any: the most that a run has. */
const rateOf = ({ runs }: RangePictures): number => runs.reduce((most, { pictures }) => {
  const times = pictures.flatMap(({ at }) => at ?? []);
  const span = times.reduce((a, b) => Math.max(a, b), 0) - times.reduce((a, b) => Math.min(a, b), Infinity);
  return span > 0 ? Math.max(most, Math.min(240, Math.round(((times.length - 1) * 1000) / span))) : most;
}, 1);

const boxesAt = (known: ReadonlyMap<string, readonly DrawnBox[]>, { frame }: RangePicture): readonly DrawnBox[] => known.get(pictureKey(frame.epoch, frame.rtpTs)) ?? [];

const FAILURES: Readonly<Record<(typeof EXPORT_FAILURES)[number], (camera: string, message: string) => MediaError>> = {
  disk_full: (camera) => new MediaError('RESOURCE_EXHAUSTED', `The export of camera ${camera} does not fit on the disk: make room, delete exports you have downloaded, then ask for it again.`, { reason: 'DISK_FULL' }),
  too_large: (camera) => new MediaError('RESOURCE_EXHAUSTED', `The export of camera ${camera} became too large a file: ask for a shorter range.`, { reason: 'EXPORT_TOO_LARGE' }),
  no_picture: (camera) => new MediaError('UNPROCESSABLE', `No picture of camera ${camera} in this range can be decoded: choose another range, or take the recording itself from its playback.`, { reason: 'PICTURE_DAMAGED' }),
  other: (camera, message) => new MediaError('UNAVAILABLE', `The export of camera ${camera} could not be written (${message}): ask for it again, and look into the server's log if it fails again.`, { reason: 'EXPORT_FAILED' }),
};

/** One child, for one file. */
class ExporterProcess implements AsyncDisposable {
  readonly #camera: string;
  readonly #clock: Clock;
  readonly #child: ChildProcess;
  readonly #pipe: Duplex;
  readonly #answer = Promise.withResolvers<Extract<ExportAnswer, { type: 'done' }>>();
  #failure: Error | undefined;
  #stopping = false;

  constructor(camera: string, clock: Clock, logger: Logger, signal: AbortSignal) {
    this.#camera = camera;
    this.#clock = clock;
    this.#answer.promise.catch(() => undefined); // it may come while nobody waits for it
    this.#child = ChildProcess.spawn({ title: TITLE, script: SCRIPT, extraPipes: 1, clock, onMessage: (message) => { this.#take(message); } });
    const pipe = this.#child.pipes[0];
    if (!pipe) throw new Error('a child without its pipe');
    this.#pipe = pipe;
    signal.addEventListener('abort', () => { this.#fail(signal.reason instanceof Error ? signal.reason : new Error('aborted')); }, { once: true });
    void this.#child.exited.then((exit) => {
      if (!this.#stopping) logger.warn({ pid: this.#child.pid, camera, exit: describeExit(TITLE, exit) }, 'exporter ended unexpectedly');
      this.#fail(new MediaError('UNAVAILABLE', `The export of camera ${camera} ended before it was done, because its process ${exit.signal === null ? 'ended' : `was ended by ${exit.signal}`}: ask for it again; if it ends again at the same place, leave that place out.`, { reason: 'EXPORTER_ENDED', cause: describeExit(TITLE, exit) }));
    });
  }

  /** Resolves when there is room for more. Rejects with why there never will be. */
  async send(message: ExportMessage, bytes?: Buffer): Promise<void> {
    if (this.#failure) throw this.#failure;
    this.#pipe.cork();
    let room = true;
    for (const piece of encodeMessage(message, bytes ? [bytes] : [])) room = this.#pipe.write(piece);
    this.#pipe.uncork();
    if (!room) await this.#within(SILENCE, new Promise<void>((resolve) => { this.#pipe.once('drain', resolve); }));
  }

  /** Waits for the finished file. Rejects as `send`. */
  async finish(length: Milliseconds): Promise<{ readonly bytes: number; readonly pictures: number }> {
    await this.send({ type: 'end', length });
    return await this.#within(FINISHING, this.#answer.promise);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    this.#child.kill('SIGKILL'); // it has nothing to say any more, and may be in the middle of a picture
    this.#pipe.destroy();
    await this.#child.stop(STOP_GRACE);
  }

  async #within<T>(ms: Milliseconds, wanted: Promise<T>): Promise<T> {
    using _timer = this.#clock.after(ms, () => {
      this.#fail(new MediaError('DEADLINE_EXCEEDED', `The export of camera ${this.#camera} came to a halt: ask for it again when the machine is less busy; if it halts again at the same place, leave that place out.`, { reason: 'EXPORTER_HANGS' }));
    });
    const value = await Promise.race([wanted, this.#answer.promise]);
    if (this.#failure) throw this.#failure;
    return value as T;
  }

  #take(message: unknown): void {
    const answer = decodeExportAnswer(message);
    if (answer?.type === 'done') this.#answer.resolve(answer);
    else if (answer) this.#fail(FAILURES[answer.why](this.#camera, answer.message));
  }

  /** The first cause counts; whoever waits is told. */
  #fail(error: Error): void {
    this.#failure ??= error;
    this.#answer.reject(this.#failure);
  }
}
