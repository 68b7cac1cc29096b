/** The planner thread of control: reads thousands of indexes and makes tables of a million samples where nobody waits for the event loop. */
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { MediaError, invariant, messageOf } from '../core/errors.ts';
import { planPlayback } from './playback-plan.ts';
import type { FromThread, PlanRequest, Refusal, ToThread } from './planner-protocol.ts';
import type { SegmentRecord } from './port.ts';
import type { SegmentFile, SegmentFiles } from './segment-file.ts';
import { TrailerWindow, readSegmentIndex } from './segment-index.ts';
import { segmentPath } from './segment-path.ts';

invariant(parentPort, 'the planner runs in a thread');
const port = parentPort;
const asked = new Map<number, PromiseWithResolvers<Buffer>>();
let asks = 0;

/** Local files by plain system calls, a fifth of what a hop to the thread pool costs; what is elsewhere through control. */
class ThreadSegments implements SegmentFiles {
  readonly #request: PlanRequest;
  readonly #numbers: ReadonlyMap<string, number>;

  constructor(request: PlanRequest) {
    this.#request = request;
    this.#numbers = new Map(request.ids.map((id, i) => [id, i]));
  }

  async open({ id }: SegmentRecord): Promise<SegmentFile> {
    try {
      return localFile(openSync(segmentPath(this.#request.directory, id), 'r'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    const file = this.#elsewhere(this.#numbers.get(id) ?? 0);
    await file.read(0, 0); // tells whether there is one
    return file;
  }

  #elsewhere(segment: number): SegmentFile {
    const close = (): Promise<void> => Promise.resolve();
    const read = (position: number, length: number): Promise<Buffer> => {
      const ask = asks++;
      const answer = Promise.withResolvers<Buffer>();
      asked.set(ask, answer);
      send({ type: 'read', id: this.#request.id, ask, segment, position, length });
      return answer.promise;
    };
    return { read, close, [Symbol.asyncDispose]: close };
  }
}

const localFile = (fd: number): SegmentFile => {
  let open = true;
  const close = (): Promise<void> => {
    if (open) closeSync(fd);
    open = false;
    return Promise.resolve();
  };
  const read = (position: number, length: number): Promise<Buffer> => {
    const bytes = Buffer.allocUnsafe(length);
    let filled = 0;
    for (let more = 1; filled < length && more > 0; filled += more) more = readSync(fd, bytes, filled, length - filled, position + filled);
    return Promise.resolve(bytes.subarray(0, filled));
  };
  return { read, close, [Symbol.asyncDispose]: close };
};

const send = (message: FromThread, transfer: ArrayBuffer[] = []): void => { port.postMessage(message, transfer); };

const refusal = (error: unknown): Refusal =>
  error instanceof MediaError ? { code: error.code, message: error.message, reason: error.reason } : { code: 'INTERNAL', message: messageOf(error), reason: undefined };

const plan = async (request: PlanRequest): Promise<void> => {
  const { id, range, ids, bytes, open } = request;
  const files = new ThreadSegments(request);
  const segments = ids.map((segment, i): SegmentRecord => ({
    id: segment, camera: range.camera, sessionId: '', epoch: 0, start: 0, duration: 0, bytes: bytes[i] ?? 0, sha256: null, open: open[i] === 1, tracks: [], gapBefore: null,
  }));
  const trailer = new TrailerWindow();
  const { plan: made, ...rest } = await planPlayback(range, segments, { files, indexOf: (segment) => readSegmentIndex(files, segment, trailer) }, new AbortController().signal);
  const header = Uint8Array.from(made.header);
  const extents = made.extents.columns();
  send({ type: 'planned', id, ...rest, header, extents, byteLength: made.byteLength }, [header.buffer, extents.source.buffer, extents.offset.buffer, extents.length.buffer, extents.position.buffer]);
};

port.on('message', (message: ToThread) => {
  if (message.type === 'plan') {
    plan(message).catch((error: unknown) => { send({ type: 'refused', id: message.id, error: refusal(error) }); });
    return;
  }
  const answer = asked.get(message.ask);
  asked.delete(message.ask);
  if ('code' in message.bytes) answer?.reject(new MediaError(message.bytes.code, message.bytes.message));
  else answer?.resolve(Buffer.from(message.bytes));
});
