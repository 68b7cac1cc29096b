/** Checks many recorded files, on several threads where there is enough to do. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { PublicSigningKey } from '../../platform/signing-key.ts';
import { SegmentChecker } from './segment-check.ts';
import type { SegmentCheck, UnreadableSegment } from './segment-check.ts';
import type { VerifyWorkerData } from './verify-worker.ts';

export interface CheckOptions {
  readonly key?: PublicSigningKey | undefined;
  /** 0: on this one. By default as many as there are processors, at most eight. */
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Fewer files are read on this thread: another one takes its time to begin. */
const FEW = 16;
const MOST_THREADS = 8;

/** The results in whatever order they come. Throws when `signal` aborts or a thread dies. */
export async function* checkSegments(directory: string, ids: readonly string[], options: CheckOptions): AsyncGenerator<SegmentCheck | UnreadableSegment> {
  const { key, signal, threads = ids.length <= FEW ? 0 : Math.min(MOST_THREADS, availableParallelism()) } = options;
  if (threads === 0) {
    const checker = new SegmentChecker(directory, key);
    for (const id of ids) {
      signal?.throwIfAborted();
      yield await checker.check(id);
    }
    return;
  }
  signal?.throwIfAborted();
  const workerData: VerifyWorkerData = { directory, key: key?.pem ?? null };
  const workers = Array.from({ length: threads }, () => new Worker(new URL('./verify-worker.ts', import.meta.url), { workerData }));
  let failure: unknown;
  const arrived: (SegmentCheck | UnreadableSegment)[] = [];
  let wake = (): void => undefined;
  let next = 0;
  const fail = (error: unknown): void => {
    failure ??= error;
    wake();
  };
  const abort = (): void => { fail(signal?.reason); };
  signal?.addEventListener('abort', abort, { once: true });
  const give = (worker: Worker): void => {
    const id = ids[next++];
    if (id !== undefined) worker.postMessage(id);
  };
  for (const worker of workers) {
    worker.on('message', (result: SegmentCheck | UnreadableSegment) => {
      give(worker);
      arrived.push(result);
      wake();
    });
    worker.once('error', fail);
    give(worker);
    give(worker); // so that none waits for its next
  }
  try {
    for (let done = 0; done < ids.length; done++) {
      while (arrived.length === 0 && failure === undefined) await new Promise<void>((resolve) => { wake = resolve; });
      if (failure !== undefined) throw failure as Error;
      const result = arrived.shift();
      if (result) yield result;
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
