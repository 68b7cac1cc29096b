import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { edgeDown, watch } from './forwarder.ts';
import { requestHeaders, responseHeaders } from './headers.ts';
import type { ForwardContext } from './headers.ts';

const MAX_OPEN = 4_096;
/** Until the edge agrees to an upgrade. A client that leaves meanwhile is not noticed: nothing reads its socket yet. */
const ANSWER_MS: Milliseconds = 10_000;

const head = (status: number, message: string, rawHeaders: readonly string[]): string => {
  let text = `HTTP/1.1 ${String(status)} ${message}\r\n`;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) text += `${rawHeaders[i] ?? ''}: ${rawHeaders[i + 1] ?? ''}\r\n`;
  return `${text}\r\n`;
};

/** Joins the client's socket with one to the edge after the edge agreed to the upgrade (D-11): frames are not looked at. */
export class Upgrader implements Disposable {
  readonly #clock: Clock;
  readonly #open = new Set<Duplex>();

  constructor(clock: Clock) { this.#clock = clock; }

  /** Resolves when joined or refused by the edge. Throws UNAVAILABLE when the edge does not answer, as long as nothing was sent. */
  upgrade(base: string, target: string, request: IncomingMessage, socket: Duplex, first: Buffer, context: ForwardContext): Promise<void> {
    if (this.#open.size >= MAX_OPEN) throw new MediaError('UNAVAILABLE', 'Too many sockets.', { reason: 'TOO_MANY_SOCKETS', retryAfterSeconds: 2 });
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    return new Promise((resolve, reject) => {
      const headers = { ...requestHeaders(request, context), connection: 'Upgrade', upgrade: request.headers.upgrade ?? 'websocket' };
      const upstream = httpRequest(`${base}${target}`, { method: 'GET', headers, agent: false });
      const waits = watch(this.#clock, upstream, ANSWER_MS);
      const onGone = (): void => { upstream.destroy(); };
      socket.once('close', onGone);
      socket.on('error', onGone);
      const settle = (): void => {
        waits[Symbol.dispose]();
        socket.off('close', onGone);
      };
      upstream.once('upgrade', (answer, edge: Socket, edgeFirst) => {
        settle();
        edge.setNoDelay(true);
        socket.write(head(101, 'Switching Protocols', answer.rawHeaders));
        if (edgeFirst.byteLength > 0) socket.write(edgeFirst);
        if (first.byteLength > 0) edge.write(first);
        // When one side ends, errs or closes, so does the other; pipe gives the back-pressure.
        edge.on('error', () => { socket.destroy(); });
        socket.on('error', () => { edge.destroy(); });
        edge.once('close', () => { socket.destroy(); });
        socket.once('close', () => { edge.destroy(); });
        edge.pipe(socket);
        socket.pipe(edge);
        resolve();
      });
      upstream.once('response', (answer) => {
        settle();
        const kept = Object.entries(responseHeaders(answer, base)).flatMap(([name, value]) => (Array.isArray(value) ? value.flatMap((one) => [name, one]) : [name, String(value)]));
        socket.write(head(answer.statusCode ?? 502, answer.statusMessage ?? '', [...kept, 'connection', 'close']));
        answer.pipe(socket);
        answer.once('error', () => { socket.destroy(); });
        resolve();
      });
      upstream.once('error', (error) => {
        settle();
        if (socket.destroyed) resolve();
        else reject(edgeDown(error));
      });
      upstream.end();
    });
  }

  [Symbol.dispose](): void {
    for (const socket of this.#open) socket.destroy();
  }
}
