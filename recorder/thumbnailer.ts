/** Control's side of the thumbnailer processes: a small pool, started when the first picture is wanted and ended when none has been for a while. */
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import { MediaError, messageOf } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import { ChildProcess, describeExit } from '../platform/child-process.ts';
import type { Logger } from '../platform/logging.ts';
import { PictureMessageReader, decodeAnswer, encodeMessage } from './picture-protocol.ts';
import type { PictureRequest } from './picture-protocol.ts';

/** `ps` and the operator's scripts know the process by this. */
const TITLE = 'imageflow-edge thumbnailer';
const SCRIPT = join(import.meta.dirname, '..', 'processes', 'thumbnailer.ts');
const PROCESSES = 2;
/** Requests that wait. A page that scrubs asks for a dozen; more are refused, and told to come again. */
const MAX_WAITING = 64;
/** One picture takes some 50 ms, a large sheet a second; one that takes so long has met a stream that hangs its decoder. */
const DEADLINE: Milliseconds = 10_000;
const IDLE: Milliseconds = 60_000;
const STOP_GRACE: Milliseconds = 500;

export type PictureWork = Omit<PictureRequest, 'id'>;

/** Makes pictures of access units, in a process of its own: what a hostile stream does to a decoder ends there (EXT-7). */
export interface PictureMaker {
  /** The encoded picture. Throws UNPROCESSABLE when it cannot be decoded, UNAVAILABLE when too many wait, DEADLINE_EXCEEDED. */
  make(work: PictureWork, units: readonly Buffer[], signal: AbortSignal): Promise<Buffer>;
}

interface Job {
  readonly work: PictureWork;
  readonly units: readonly Buffer[];
  readonly signal: AbortSignal;
  readonly done: PromiseWithResolvers<Buffer>;
}

export class Thumbnailer implements PictureMaker, AsyncDisposable {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #waiting: Job[] = [];
  readonly #processes: ThumbnailerProcess[] = [];
  #idle: Disposable | undefined;
  #disposed = false;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Processes that run now. */
  get pids(): readonly number[] { return this.#processes.flatMap(({ pid }) => pid ?? []); }

  make(work: PictureWork, units: readonly Buffer[], signal: AbortSignal): Promise<Buffer> {
    if (this.#disposed || this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(new MediaError('UNAVAILABLE', 'Too many pictures are being made; ask again.', { reason: 'TOO_MANY_PICTURES', retryAfterSeconds: 1 }));
    }
    const done = Promise.withResolvers<Buffer>();
    this.#waiting.push({ work, units, signal, done });
    this.#next();
    return done.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#idle?.[Symbol.dispose]();
    for (const { done } of this.#waiting.splice(0)) done.reject(new MediaError('UNAVAILABLE', 'The server stops.'));
    await Promise.all(this.#processes.map((each) => each[Symbol.asyncDispose]()));
  }

  #next(): void {
    this.#idle?.[Symbol.dispose]();
    while (this.#waiting[0]?.signal.aborted === true) this.#waiting.shift()?.done.reject(gone());
    if (this.#waiting.length === 0) {
      if (this.#processes.every(({ busy }) => !busy) && !this.#disposed) this.#idle = this.#clock.after(IDLE, () => { for (const each of this.#processes) void each[Symbol.asyncDispose](); });
      return;
    }
    const process = this.#processes.find(({ busy }) => !busy) ?? this.#start();
    const job = process && this.#waiting.shift();
    if (!job) return;
    process.make(job).then(job.done.resolve, job.done.reject).finally(() => { this.#next(); });
    this.#next();
  }

  #start(): ThumbnailerProcess | undefined {
    if (this.#processes.length >= PROCESSES) return undefined;
    const process = new ThumbnailerProcess(this.#clock, this.#logger, () => { this.#processes.splice(this.#processes.indexOf(process), 1); });
    this.#processes.push(process);
    return process;
  }
}

const gone = (): MediaError => new MediaError('UNAVAILABLE', 'Nobody waits for this picture any more.');

/** One child. It is given up, and another started for the next job, as soon as anything is wrong with it. */
class ThumbnailerProcess implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #child: ChildProcess;
  readonly #pipe: Duplex;
  #job: { readonly id: number; readonly done: PromiseWithResolvers<Buffer> } | undefined;
  #jobs = 0;
  #stopping = false;

  /** `onGone`: it takes no more jobs. */
  constructor(clock: Clock, logger: Logger, onGone: () => void) {
    this.#clock = clock;
    this.#child = ChildProcess.spawn({ title: TITLE, script: SCRIPT, extraPipes: 1, clock });
    const pipe = this.#child.pipes[0];
    if (!pipe) throw new Error('a child without its pipe');
    this.#pipe = pipe;
    const reader = new PictureMessageReader((json, bytes) => {
      const { id, error } = decodeAnswer(json);
      const job = this.#job;
      if (job?.id !== id) throw new MediaError('INVALID_ARGUMENT', 'an answer nobody asked for');
      this.#job = undefined;
      if (error === null) job.done.resolve(bytes);
      else job.done.reject(new MediaError('UNPROCESSABLE', 'The recorded picture cannot be decoded.', { reason: 'PICTURE_DAMAGED', cause: error }));
    });
    pipe.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch (error) {
        logger.error({ pid: this.pid, reason: messageOf(error) }, 'thumbnailer sent nonsense');
        this.#child.kill('SIGKILL');
      }
    });
    void this.#child.exited.then((exit) => {
      onGone();
      pipe.destroy();
      if (!this.#stopping) logger.warn({ pid: this.pid, exit: describeExit(TITLE, exit) }, 'thumbnailer ended unexpectedly');
      this.#job?.done.reject(new MediaError('UNPROCESSABLE', 'The recorded picture cannot be decoded.', { reason: 'PICTURE_DAMAGED', cause: describeExit(TITLE, exit) }));
    });
  }

  get pid(): number | undefined { return this.#child.pid; }
  get busy(): boolean { return this.#job !== undefined || this.#stopping || !this.#child.running; }

  async make({ work, units }: Job): Promise<Buffer> {
    const id = this.#jobs++;
    const message = encodeMessage({ id, ...work }, units);
    const done = Promise.withResolvers<Buffer>();
    this.#job = { id, done };
    using _deadline = this.#clock.after(DEADLINE, () => {
      done.reject(new MediaError('DEADLINE_EXCEEDED', 'The picture took too long to make.', { reason: 'PICTURE_DEADLINE' }));
      this.#child.kill('SIGKILL');
    });
    this.#pipe.cork();
    for (const piece of message) this.#pipe.write(piece);
    this.#pipe.uncork();
    return await done.promise;
  }

  /** Closes the pipe, on which the child exits; insists after half a second. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    this.#pipe.destroy();
    await this.#child.stop(STOP_GRACE);
  }
}
