import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import { ChildProcess, describeExit } from '../platform/child-process.ts';
import { ONE_THREAD_COLLECTS } from '../platform/heap-growth.ts';
import type { Logger } from '../platform/logging.ts';
import { BlackBox } from './black-box.ts';
import { MessageReader } from './message-reader.ts';
import { decodeFromChild, encodeAccessUnitHeader, encodeBurnIn, encodeCamera, encodeFlush, encodeHardware, encodeHello, encodeKeyframe, encodePictures, encodeRemove, encodeStill, encodeWorkers } from './protocol.ts';
import type { BurnInMessage, CameraMessage, FromChild, HardwareMessage, Hello, PicturesMessage, SentUnit, StillMessage } from './protocol.ts';

/** `ps` and the operator's scripts know the process by this. */
const TITLE = 'imageflow-edge extractor';
const SCRIPT = join(import.meta.dirname, '..', 'processes', 'extractor.ts');
const STOP_GRACE_MS = 1000;
const WATCH_PERIOD_MS = 1000;
/** A child that decodes tells its statistics every second; one silent for so many is stuck in native code, or stopped. */
const SILENT_PERIODS = 8;
/** Its first words take longer: it loads a decoder first. */
const FIRST_WORDS_PERIODS = 30;

export interface ExtractorProcessOptions {
  readonly hello: Hello;
  readonly logLevel: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onMessage: (message: FromChild) => void;
  /** It ended without being asked to. `culprit`: the handle of the camera whose picture it was working on, if any. */
  readonly onCrash: (culprit: number | null) => void;
}

/** What the pool needs of a running extractor child. */
export interface Extractor extends AsyncDisposable {
  readonly pid: number | undefined;
  setWorkers(workers: Hello['workers']): void;
  setCamera(camera: CameraMessage): void;
  removeCamera(handle: number): void;
  /** What is to come of a camera as pictures from now on; a camera that was set. */
  setPictures(pictures: PicturesMessage): void;
  /** Asks for the newest picture, as of all that was sent before. */
  requestStill(still: StillMessage): void;
  /** Whether a camera's video with boxes burned in is wanted from now on, and how large; a camera that was set. */
  setBurnIn(burnIn: BurnInMessage): void;
  /** Asks for a random access picture in that video. */
  requestKeyframe(handle: number): void;
  /** What pictures are decoded and encoded on from the next random access picture on. */
  setHardware(hardware: HardwareMessage): void;
  /** Hands the unit to the pipe; its bytes are not copied. False: the pipe is full, wait for `drained` before the next. */
  send(handle: number, unit: SentUnit, decodeOnly: boolean): boolean;
  /** Resolves when the pipe has room again, or is gone. */
  drained(): Promise<void>;
}

/** One extractor child and the pipe to it. Its crash costs the detections and pictures of its cameras for a moment, nothing else. */
export class ExtractorProcess implements Extractor {
  readonly #child: ChildProcess;
  readonly #pipe: Duplex;
  readonly #blackBox: BlackBox;
  readonly #logger: Logger;
  #stopping = false;
  #draining: Promise<void> | null = null;
  readonly #watch: Disposable;
  /** Handles it decodes. */
  readonly #cameras = new Set<number>();
  /** Looks at it since it last said something: looks, not time, so that a stall of this process is not taken for one of the child. */
  #silent = 0;
  #spoke = false;

  /** Starts it; a failure to start is a crash. */
  constructor(options: ExtractorProcessOptions) {
    const { clock, logger } = options;
    this.#logger = logger;
    this.#blackBox = BlackBox.create();
    this.#child = ChildProcess.spawn({
      title: TITLE,
      nodeFlags: [ONE_THREAD_COLLECTS],
      script: SCRIPT,
      args: [this.#blackBox.path],
      extraPipes: 1,
      env: { IMAGEFLOW_LOG_LEVEL: options.logLevel },
      clock,
    });
    const pipe = this.#child.pipes[0];
    if (!pipe) throw new Error('a child without its pipe');
    this.#pipe = pipe;
    const reader = new MessageReader((type, body) => { options.onMessage(decodeFromChild(type, body)); });
    pipe.on('data', (chunk: Buffer) => {
      if (this.#stopping) return;
      this.#silent = 0;
      this.#spoke = true;
      try {
        reader.push(chunk);
      } catch (error) {
        // A child that talks nonsense decodes hostile video no longer to be trusted.
        logger.error({ pid: this.pid, error: messageOf(error) }, 'extractor sent nonsense');
        this.#child.kill('SIGKILL');
      }
    });
    pipe.write(encodeHello(options.hello));
    this.#watch = clock.every(WATCH_PERIOD_MS, () => { this.#look(); });
    void this.#child.exited.then((exit) => {
      const culprit = this.#blackBox.read();
      this.#blackBox[Symbol.dispose]();
      this.#watch[Symbol.dispose]();
      pipe.destroy();
      if (this.#stopping) return;
      logger.warn({ pid: this.pid, exit: describeExit(TITLE, exit) }, 'extractor ended unexpectedly');
      options.onCrash(culprit);
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  setWorkers(workers: Hello['workers']): void {
    this.#write(encodeWorkers(workers));
  }

  setCamera(camera: CameraMessage): void {
    if (this.#cameras.size === 0) this.#silent = 0;
    this.#cameras.add(camera.handle);
    this.#write(encodeCamera(camera));
  }

  removeCamera(handle: number): void {
    this.#cameras.delete(handle);
    this.#write(encodeRemove(handle));
  }

  setPictures(pictures: PicturesMessage): void {
    this.#write(encodePictures(pictures));
  }

  requestStill(still: StillMessage): void {
    this.#write(encodeStill(still));
  }

  setBurnIn(burnIn: BurnInMessage): void {
    this.#write(encodeBurnIn(burnIn));
  }

  requestKeyframe(handle: number): void {
    this.#write(encodeKeyframe(handle));
  }

  setHardware(hardware: HardwareMessage): void {
    this.#write(encodeHardware(hardware));
  }

  /** Nothing continues what was sent: a `flushed` message follows when all of it was offered to the detectors. */
  flush(handle: number): void {
    this.#write(encodeFlush(handle));
  }

  send(handle: number, unit: SentUnit, decodeOnly: boolean): boolean {
    if (this.#pipe.destroyed || this.#stopping) return true;
    this.#pipe.cork();
    this.#pipe.write(encodeAccessUnitHeader(handle, unit, decodeOnly));
    this.#pipe.write(unit.data);
    this.#pipe.uncork();
    return !this.#pipe.writableNeedDrain;
  }

  drained(): Promise<void> {
    if (this.#pipe.destroyed || !this.#pipe.writableNeedDrain) return Promise.resolve();
    this.#draining ??= new Promise((resolve) => {
      const done = (): void => {
        this.#draining = null;
        this.#pipe.off('drain', done).off('close', done);
        resolve();
      };
      this.#pipe.on('drain', done).on('close', done);
    });
    return this.#draining;
  }

  /** Closes the pipe, on which the child exits; insists after a second. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopping) { await this.#child.exited; return; }
    this.#stopping = true;
    this.#logger.debug({ pid: this.pid }, 'extractor stops');
    this.#pipe.destroy();
    await this.#child.stop(STOP_GRACE_MS);
  }

  /** Its end is a crash like any other: its cameras go on in a new process. */
  #look(): void {
    if (this.#cameras.size === 0 || ++this.#silent < (this.#spoke ? SILENT_PERIODS : FIRST_WORDS_PERIODS)) return;
    this.#logger.error({ pid: this.pid, seconds: this.#silent }, 'extractor does not answer; ending it');
    this.#silent = 0;
    this.#child.kill('SIGKILL');
  }

  #write(message: Buffer): void {
    if (!this.#pipe.destroyed && !this.#stopping) this.#pipe.write(message);
  }
}
