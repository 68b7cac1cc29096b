/** Control's side of the planner thread: started for the first long playback, ended when there has been none for a minute. */
import { Worker } from 'node:worker_threads';
import type { Clock } from '../core/clock.ts';
import { MediaError, messageOf } from '../core/errors.ts';
import { ExtentTable } from '../core/fmp4/extent-table.ts';
import type { Milliseconds } from '../core/units.ts';
import type { PlannedPlayback } from './playback-plan.ts';
import type { BytesWanted, FromThread, Refusal, ToThread } from './planner-protocol.ts';
import type { PlaybackRange, SegmentRecord } from './port.ts';
import type { SegmentFiles } from './segment-file.ts';

const IDLE: Milliseconds = 60_000;
/** Plans that wait or are made. */
const MAX_PLANS = 8;

interface Job {
  readonly segments: readonly SegmentRecord[];
  readonly done: PromiseWithResolvers<PlannedPlayback>;
}

export class PlaybackPlanner implements AsyncDisposable {
  readonly #directory: string;
  readonly #files: SegmentFiles;
  readonly #clock: Clock;
  readonly #jobs = new Map<number, Job>();
  #next = 0;
  #worker: Worker | undefined;
  #idle: Disposable | undefined;

  /** `directory`: where local files are read by the thread itself; `files`: where all others are. */
  constructor(directory: string, files: SegmentFiles, clock: Clock) {
    this.#directory = directory;
    this.#files = files;
    this.#clock = clock;
  }

  /** Throws as `planPlayback`; UNAVAILABLE when too many wait; what `signal` is aborted with: a thread that hangs in a read is given up. */
  async plan(range: PlaybackRange, segments: readonly SegmentRecord[], signal: AbortSignal): Promise<PlannedPlayback> {
    if (this.#jobs.size >= MAX_PLANS) throw new MediaError('UNAVAILABLE', 'Too many playbacks are being prepared; ask again.', { reason: 'TOO_MANY_PLAYBACKS', retryAfterSeconds: 1 });
    signal.throwIfAborted();
    this.#idle?.[Symbol.dispose]();
    const id = this.#next++;
    const done = Promise.withResolvers<PlannedPlayback>();
    this.#jobs.set(id, { segments, done });
    const onAbort = (): void => {
      done.reject(signal.reason as Error);
      void this.#giveUp(new MediaError('UNAVAILABLE', 'The planner did not answer.', { retryAfterSeconds: 1 }));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      this.#send({
        type: 'plan', id, directory: this.#directory, range, ids: segments.map((segment) => segment.id), bytes: Float64Array.from(segments, ({ bytes }) => bytes), open: Uint8Array.from(segments, ({ open }) => (open ? 1 : 0)),
      });
      return await done.promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#jobs.delete(id);
      if (this.#jobs.size === 0) this.#idle = this.#clock.after(IDLE, () => { void this.#giveUp(new MediaError('UNAVAILABLE', 'The planner has ended.')); });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#idle?.[Symbol.dispose]();
    await this.#giveUp(new MediaError('UNAVAILABLE', 'The server stops.'));
  }

  /** Ends the thread and everything it was to do; the next plan starts another. */
  async #giveUp(why: MediaError): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    for (const { done } of this.#jobs.values()) done.reject(why);
    await worker?.terminate();
  }

  #send(message: ToThread): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(message);
  }

  #start(): Worker {
    const worker = new Worker(new URL('./planner-thread.ts', import.meta.url), { name: 'planner' });
    const failed = (error: unknown): void => {
      if (this.#worker === worker) void this.#giveUp(new MediaError('INTERNAL', 'the planner ended', { cause: error }));
    };
    worker.on('error', failed).on('exit', failed).on('message', (message: FromThread) => { this.#take(worker, message); });
    worker.unref();
    return worker;
  }

  #take(worker: Worker, message: FromThread): void {
    const job = this.#jobs.get(message.id);
    if (message.type === 'read') {
      void this.#read(job, message).then((bytes) => { worker.postMessage({ type: 'bytes', ask: message.ask, bytes } satisfies ToThread); });
    } else if (message.type === 'refused') {
      const { code, message: text, reason } = message.error;
      job?.done.reject(new MediaError(code, text, reason === undefined ? {} : { reason }));
    } else {
      const { header, extents, byteLength, sources, found, missing, firstWall, lastWall } = message;
      const plan = { header: Buffer.from(header.buffer, header.byteOffset, header.byteLength), extents: ExtentTable.of(extents), byteLength };
      job?.done.resolve({ plan, sources, found, missing, firstWall, lastWall });
    }
  }

  async #read(job: Job | undefined, { segment, position, length }: BytesWanted): Promise<Uint8Array | Refusal> {
    try {
      const record = job?.segments[segment];
      if (!record) throw new MediaError('NOT_FOUND', 'nobody waits for this any more');
      await using file = await this.#files.open(record);
      return await file.read(position, length);
    } catch (error) {
      return { code: error instanceof MediaError ? error.code : 'INTERNAL', message: messageOf(error), reason: undefined };
    }
  }
}
