import { Worker } from 'node:worker_threads';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { ReadCode } from '../protocol.ts';
import type { FromCodeThread, ToCodeThread } from './code-thread-protocol.ts';

/** A picture takes 5 to 50 ms; the worst, noise in which many kinds are looked for, half a second, and on a machine that does much else several times that. */
export const READ_DEADLINE_MS: Milliseconds = 5_000;
/** Until the thread has loaded its library. */
export const START_DEADLINE_MS: Milliseconds = 30_000;
/** After a thread has failed the next one waits so long, and so does the camera whose picture it had; twice as long each time until a picture, or one of that camera, is read again. */
export const PAUSE_MS: Milliseconds = 1_000;
const MAX_PAUSE_MS: Milliseconds = 60_000;
/** Without a picture for so long, the thread and its memory are given up. */
export const IDLE_MS: Milliseconds = 60_000;
/** Of its JavaScript; pictures and the library's memory come on top. */
const HEAP_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 };

/** What became of a picture. */
export type CodeOutcome =
  | { readonly type: 'read'; readonly codes: readonly ReadCode[] }
  /** A newer one of its camera came · it took too long · the thread that had it failed. */
  | { readonly type: 'skipped'; readonly reason: 'superseded' | 'deadline' | 'failed' };

interface Job {
  readonly camera: number;
  readonly picture: ToCodeThread;
  readonly done: (outcome: CodeOutcome) => void;
}

export interface CodeReaderOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** For tests. */
  readonly start?: () => Worker;
}

const startThread = (): Worker => new Worker(new URL('./code-thread.ts', import.meta.url), { name: 'codes', resourceLimits: HEAP_LIMITS });

/**
 * Reads codes in pictures of all cameras of a process, one picture at a time, on one thread of its own. Of each camera one picture at most waits: the newest, in the
 * turn of the one it takes the place of. A thread that dies, fails or does not answer in time is replaced and takes nothing with it but the picture it had.
 */
export class CodeReader implements Disposable {
  readonly #options: CodeReaderOptions;
  /** By camera, in the order of their turns. */
  readonly #waiting = new Map<number, Job>();
  #thread: { readonly worker: Worker; ready: boolean } | null = null;
  #current: Job | null = null;
  /** Of the picture that is read, or of the thread that starts. */
  #deadline: Disposable | null = null;
  #pause: Disposable | null = null;
  #pauseMs = PAUSE_MS;
  #idle: Disposable | null = null;
  /** Cameras whose last picture cost a thread, and until when they wait: others are not held up by them for good. */
  readonly #blamed = new Map<number, { readonly until: Milliseconds; readonly pauseMs: Milliseconds }>();
  #wake: Disposable | null = null;
  #disposed = false;

  constructor(options: CodeReaderOptions) {
    this.#options = options;
  }

  /** `done` is called once, unless the camera is forgotten before. The picture's memory goes to the thread: it is not to be used any more. */
  offer(camera: number, picture: ToCodeThread, done: Job['done']): void {
    if (this.#disposed) return;
    const older = this.#waiting.get(camera);
    this.#waiting.set(camera, { camera, picture, done });
    older?.done({ type: 'skipped', reason: 'superseded' });
    this.#next();
  }

  /** Nobody wants what waits of it. */
  forget(camera: number): void {
    this.#waiting.delete(camera);
    this.#blamed.delete(camera);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#waiting.clear();
    this.#current = null;
    this.#pause?.[Symbol.dispose]();
    this.#wake?.[Symbol.dispose]();
    this.#end();
  }

  #next(): void {
    if (this.#current || this.#pause || this.#disposed) return;
    this.#wake?.[Symbol.dispose]();
    this.#wake = null;
    const job = this.#first();
    if (!job) {
      if (this.#thread?.ready) this.#idle ??= this.#options.clock.after(IDLE_MS, () => { this.#end(); });
      return;
    }
    this.#idle?.[Symbol.dispose]();
    this.#idle = null;
    if (!this.#thread) this.#start();
    if (!this.#thread?.ready) return;
    this.#waiting.delete(job.camera);
    this.#current = job;
    this.#deadline = this.#options.clock.after(READ_DEADLINE_MS, () => { this.#fail('deadline', `no answer within ${String(READ_DEADLINE_MS)} ms`); });
    this.#thread.worker.postMessage(job.picture, [job.picture.picture.buffer]);
  }

  /** The first in turn; of a camera that is blamed once its time is over, for which it is woken. */
  #first(): Job | undefined {
    const { clock } = this.#options;
    const now = clock.monotonic();
    let soonest = Infinity;
    for (const [camera, job] of this.#waiting) {
      const until = this.#blamed.get(camera)?.until ?? -Infinity;
      if (until <= now) return job;
      soonest = Math.min(soonest, until);
    }
    if (soonest < Infinity) this.#wake = clock.after(soonest - now, () => { this.#next(); });
    return undefined;
  }

  #start(): void {
    try {
      const worker = (this.#options.start ?? startThread)();
      this.#thread = { worker, ready: false };
      this.#deadline = this.#options.clock.after(START_DEADLINE_MS, () => { this.#fail('deadline', `it did not start within ${String(START_DEADLINE_MS)} ms`); });
      const failed = (why: string): void => { if (this.#thread?.worker === worker) this.#fail('failed', why); };
      worker.on('error', (error) => { failed(messageOf(error)); }).on('exit', (code) => { failed(`it ended with ${String(code)}`); });
      worker.on('message', (message: FromCodeThread) => { if (this.#thread?.worker === worker) this.#take(message); });
      worker.unref();
    } catch (error) {
      this.#fail('failed', messageOf(error));
    }
  }

  #take(message: FromCodeThread): void {
    if (message.type === 'failed') {
      this.#fail('failed', message.error);
      return;
    }
    this.#deadline?.[Symbol.dispose]();
    this.#deadline = null;
    if (message.type === 'ready' && this.#thread) this.#thread.ready = true;
    const job = this.#current;
    this.#current = null;
    if (message.type === 'read') {
      this.#pauseMs = PAUSE_MS;
      if (job) this.#blamed.delete(job.camera);
      job?.done(message);
    }
    this.#next();
  }

  /** The thread is not to be trusted any more; others that wait are read by the next one. */
  #fail(reason: 'deadline' | 'failed', why: string): void {
    const job = this.#current;
    this.#current = null;
    this.#end();
    this.#options.logger.warn({ error: why, pauseMs: this.#pauseMs }, 'the thread that reads codes is replaced');
    this.#pause = this.#options.clock.after(this.#pauseMs, () => {
      this.#pause = null;
      this.#next();
    });
    this.#pauseMs = Math.min(MAX_PAUSE_MS, 2 * this.#pauseMs);
    if (job) this.#blame(job.camera);
    job?.done({ type: 'skipped', reason });
  }

  #blame(camera: number): void {
    const pauseMs = this.#blamed.get(camera)?.pauseMs ?? PAUSE_MS;
    this.#blamed.set(camera, { until: this.#options.clock.monotonic() + pauseMs, pauseMs: Math.min(MAX_PAUSE_MS, 2 * pauseMs) });
  }

  #end(): void {
    this.#deadline?.[Symbol.dispose]();
    this.#deadline = null;
    this.#idle?.[Symbol.dispose]();
    this.#idle = null;
    const thread = this.#thread;
    this.#thread = null;
    void thread?.worker.terminate();
  }
}
