/** Control's side of the process that decodes sent pictures: started when somebody sends some, ended a while after the last. */
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import { ChildProcess, describeExit } from '../platform/child-process.ts';
import { ONE_THREAD_COLLECTS } from '../platform/heap-growth.ts';
import type { Logger } from '../platform/logging.ts';
import type { SentPicture, SentPictureDetector, SentPictureOutcome } from './port.ts';
import { MessageReader } from './message-reader.ts';
import { decodeFromDecoder, encodeHello, encodePictureHead, encodeWorkers } from './sent-picture-protocol.ts';
import type { SentPictureHello } from './sent-picture-protocol.ts';

/** `ps` and the operator's scripts know the process by this. */
const TITLE = 'imageflow-edge picture-decoder';
const SCRIPT = join(import.meta.dirname, '..', 'processes', 'picture-decoder.ts');
const IDLE: Milliseconds = 30_000;
const STOP_GRACE: Milliseconds = 500;
/** One that ends before it can be asked anything is not started again sooner. */
const RESTART_PAUSE: Milliseconds = 1_000;
const WATCH_PERIOD: Milliseconds = 1_000;
/** Looks at one that owes answers and says nothing, until it is given up; it needs some to begin with. Looks, not time: a stall of this process is none of the child's. */
const SILENT_PERIODS = 15;
const FIRST_WORDS_PERIODS = 30;

const LOST: SentPictureOutcome = { seen: false, reason: 'decoder_lost', detail: 'The process that decodes pictures ended meanwhile; send it again.' };
const STOPPING: SentPictureOutcome = { seen: false, reason: 'stopping', detail: 'The server stops.' };

export interface SentPictureDetectionOptions {
  /** The AI workers now. */
  readonly workers: () => SentPictureHello['workers'];
  /** A picture is given up when no worker has answered by then. */
  readonly deadlineMs: Milliseconds;
  readonly logLevel: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class SentPictureDetection implements SentPictureDetector, AsyncDisposable {
  readonly #options: SentPictureDetectionOptions;
  #process: DecoderProcess | undefined;
  readonly #ending = new Set<DecoderProcess>();
  #holders = 0;
  #idle: Disposable | undefined;
  #restartAt: Milliseconds = -Infinity;
  #disposed = false;

  constructor(options: SentPictureDetectionOptions) {
    this.#options = options;
  }

  /** Of the process that runs now. */
  get pid(): number | undefined { return this.#process?.pid; }

  hold(): Disposable {
    this.#holders++;
    this.#running();
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#holders--;
        this.#endWhenIdle();
      },
    };
  }

  async detect(picture: SentPicture): Promise<SentPictureOutcome> {
    const process = this.#running();
    if (!process) return this.#lost();
    const outcome = await process.detect(picture);
    this.#endWhenIdle();
    return outcome === LOST ? this.#lost() : outcome;
  }

  /** The list of workers is another. */
  workersChanged(): void {
    this.#process?.setWorkers(this.#options.workers());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#idle?.[Symbol.dispose]();
    if (this.#process) this.#ending.add(this.#process);
    this.#process = undefined;
    await Promise.all([...this.#ending].map((each) => each[Symbol.asyncDispose]()));
  }

  /** Undefined: it has just failed to start. */
  #running(): DecoderProcess | undefined {
    this.#idle?.[Symbol.dispose]();
    const { clock } = this.#options;
    if (this.#process || this.#disposed || clock.monotonic() < this.#restartAt) return this.#process;
    const process = new DecoderProcess(this.#options, () => {
      this.#ending.delete(process);
      if (this.#process !== process) return;
      this.#process = undefined;
      if (!process.began) this.#restartAt = clock.monotonic() + RESTART_PAUSE;
    });
    return this.#process = process;
  }

  #lost(): SentPictureOutcome {
    return this.#disposed ? STOPPING : LOST;
  }

  #endWhenIdle(): void {
    this.#idle?.[Symbol.dispose]();
    if (this.#holders > 0 || this.#disposed) return;
    this.#idle = this.#options.clock.after(IDLE, () => {
      const process = this.#process;
      if (!process || process.owes > 0) return;
      this.#process = undefined;
      this.#ending.add(process);
      void process[Symbol.asyncDispose]();
    });
  }
}

/** One child. Whatever is wrong with it costs the pictures it has. */
class DecoderProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #pipe: Duplex;
  readonly #asked = new Map<number, (outcome: SentPictureOutcome) => void>();
  readonly #watch: Disposable;
  #next = 0;
  #silent = 0;
  #began = false;
  #stopping = false;
  #gone = false;

  /** `onGone`: it takes no more pictures. */
  constructor({ workers, deadlineMs, logLevel, clock, logger }: SentPictureDetectionOptions, onGone: () => void) {
    this.#child = ChildProcess.spawn({ title: TITLE, nodeFlags: [ONE_THREAD_COLLECTS], script: SCRIPT, extraPipes: 1, env: { IMAGEFLOW_LOG_LEVEL: logLevel }, clock });
    const pipe = this.#child.pipes[0];
    if (!pipe) throw new Error('a child without its pipe');
    this.#pipe = pipe;
    const reader = new MessageReader((type, body) => {
      const message = decodeFromDecoder(type, body);
      if (message.type === 'ready') { this.#began = true; return; }
      const { id, ...outcome } = message.answer;
      this.#asked.get(id)?.(outcome);
      this.#asked.delete(id);
    });
    pipe.on('data', (chunk: Buffer) => {
      this.#silent = 0;
      try {
        reader.push(chunk);
      } catch (error) {
        // A child that talks nonsense has decoded a hostile picture, and is no longer to be trusted.
        logger.error({ pid: this.pid, error: messageOf(error) }, 'picture decoder sent nonsense');
        this.#child.kill('SIGKILL');
      }
    });
    pipe.write(encodeHello({ workers: workers(), deadlineMs }));
    this.#watch = clock.every(WATCH_PERIOD, () => {
      if (this.#asked.size === 0) this.#silent = 0;
      else if (++this.#silent >= (this.#began ? SILENT_PERIODS : FIRST_WORDS_PERIODS)) {
        logger.error({ pid: this.pid, pictures: this.#asked.size }, 'picture decoder does not answer; ending it');
        this.#child.kill('SIGKILL');
      }
    });
    void this.#child.exited.then((exit) => {
      if (!this.#stopping) logger.warn({ pid: this.pid, exit: describeExit(TITLE, exit), pictures: this.#asked.size }, 'picture decoder ended unexpectedly');
      this.#end();
      onGone();
    });
  }

  get pid(): number | undefined { return this.#child.pid; }
  /** It has said that it takes pictures. */
  get began(): boolean { return this.#began; }
  /** Pictures without an answer. */
  get owes(): number { return this.#asked.size; }

  detect({ bytes, model, confidence, annotated }: SentPicture): Promise<SentPictureOutcome> {
    if (this.#gone || this.#stopping) return Promise.resolve(LOST);
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#asked.set(id, resolve);
      this.#pipe.cork();
      this.#pipe.write(encodePictureHead({ id, model, confidence, annotated }, bytes.length));
      this.#pipe.write(bytes);
      this.#pipe.uncork();
    });
  }

  setWorkers(workers: SentPictureHello['workers']): void {
    if (!this.#gone && !this.#stopping) this.#pipe.write(encodeWorkers(workers));
  }

  /** Closes the pipe, on which the child exits; insists after half a second. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    this.#end();
    await this.#child.stop(STOP_GRACE);
  }

  #end(): void {
    this.#gone = true;
    this.#watch[Symbol.dispose]();
    this.#pipe.destroy();
    for (const answer of this.#asked.values()) answer(LOST);
    this.#asked.clear();
  }
}
