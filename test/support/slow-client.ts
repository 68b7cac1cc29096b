/** An HTTP client that takes an answer as slowly as it is told to: what it does not take stays with the server. */
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';

export interface TakenAnswer {
  readonly status: number;
  /** `content-length`; null: none was promised. */
  readonly promised: number | null;
  readonly etag: string | null;
  readonly byteLength: number;
  /** False: the connection ended before the last byte that was promised, or before the last chunk. */
  readonly complete: boolean;
}

export interface SlowAnswer {
  /** Resolves once so many bytes were taken, or no more come. */
  taken(bytes: number): Promise<void>;
  /** From now on at most so many bytes a second, 0 and `Infinity` included. */
  setRate(bytesPerSecond: number): void;
  /** Resolves when the answer, or the connection, has ended. */
  readonly done: Promise<TakenAnswer>;
}

/** Asks for `url`, and hands what it takes to `onBytes`. Resolves with the beginning of the answer. */
export const takeSlowly = async (url: string, token: string, bytesPerSecond: number, onBytes: (bytes: Buffer) => void): Promise<SlowAnswer> => {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(url, { headers: { authorization: `Bearer ${token}` } }, resolve).on('error', reject).end();
  });
  let total = 0;
  let rate = bytesPerSecond;
  let timer: NodeJS.Timeout | undefined;
  /** What has been taken since the rate was set is to last until now. */
  let since = { at: performance.now(), total: 0 };
  let ended = false;
  const waiting = new Set<() => void>();
  const tell = (): void => { for (const check of waiting) check(); };
  const pace = (): void => {
    if (rate === 0) { response.pause(); return; }
    const ahead = since.at + ((total - since.total) * 1000) / rate - performance.now();
    if (ahead <= 0) { response.resume(); return; }
    response.pause();
    timer = setTimeout(pace, ahead);
  };
  const done = new Promise<TakenAnswer>((resolve) => {
    response.on('error', () => undefined).on('close', () => {
      ended = true;
      clearTimeout(timer);
      tell();
      const length = response.headers['content-length'];
      resolve({ status: response.statusCode ?? 0, promised: length === undefined ? null : Number(length), etag: response.headers.etag ?? null, byteLength: total, complete: response.complete });
    });
  });
  response.on('data', (chunk: Buffer) => {
    onBytes(chunk);
    total += chunk.length;
    tell();
    pace();
  });
  pace();
  return {
    done,
    taken: (bytes) => new Promise((resolve) => {
      const check = (): void => {
        if (!ended && total < bytes) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
    }),
    setRate: (next) => {
      rate = next;
      since = { at: performance.now(), total };
      clearTimeout(timer);
      pace();
    },
  };
};
