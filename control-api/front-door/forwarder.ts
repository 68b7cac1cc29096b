import { Agent, request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { requestHeaders, responseHeaders } from './headers.ts';
import type { ForwardContext } from './headers.ts';

/** A blocking playlist reload is held for three target durations; more is a dead edge. */
const ANSWER_MS: Milliseconds = 60_000;
const CONNECT_MS: Milliseconds = 2_000;
const MAX_OPEN = 4_096;

/** Passes requests to an edge and answers back, streamed both ways with back-pressure; nothing is gathered. */
export class Forwarder implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 64, scheduling: 'lifo' });
  readonly #clock: Clock;
  #open = 0;

  constructor(clock: Clock) { this.#clock = clock; }

  /**
   * Resolves when the answer is sent or the client is gone. Throws UNAVAILABLE (503 and Retry-After) when the edge does not answer, as long
   * as nothing was sent.
   */
  async forward(base: string, target: string, request: IncomingMessage, response: ServerResponse, context: ForwardContext): Promise<void> {
    if (this.#open >= MAX_OPEN) throw new MediaError('UNAVAILABLE', 'Too many media requests at a time.', { reason: 'TOO_MANY_REQUESTS_OPEN', retryAfterSeconds: 2 });
    this.#open++;
    try {
      const bodyless = request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined;
      try {
        await this.#once(base, target, request, response, context, bodyless);
      } catch (error) {
        // A kept connection that the edge closed at the same moment: once more, when there is no body that is half gone.
        if (!(error instanceof StaleConnection) || !bodyless) throw error;
        await this.#once(base, target, request, response, context, bodyless);
      }
    } catch (error) {
      if (error instanceof MediaError) throw error;
      throw edgeDown(error);
    } finally {
      this.#open--;
    }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  #once(base: string, target: string, request: IncomingMessage, response: ServerResponse, context: ForwardContext, bodyless: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const upstream = httpRequest(`${base}${target}`, { method: request.method, headers: requestHeaders(request, context), agent: this.#agent });
      const waits = watch(this.#clock, upstream, ANSWER_MS);
      const onGone = (): void => { upstream.destroy(); };
      const done = (error?: unknown): void => {
        waits[Symbol.dispose]();
        response.off('close', onGone);
        if (error === undefined) resolve();
        else reject(error instanceof Error ? error : new Error(messageOf(error)));
      };
      response.once('close', onGone);
      upstream.once('response', (answer) => {
        waits[Symbol.dispose]();
        for (const [name, value] of Object.entries(responseHeaders(answer, base))) if (value !== undefined) response.setHeader(name, value);
        response.writeHead(answer.statusCode ?? 502);
        // Headers at once: an endless MJPEG or a held playlist may have no first byte for long.
        response.flushHeaders();
        // After the headers an error can only cut the answer short; the client sees that, and there is nobody else to tell.
        pipeline(answer, response, () => { done(); });
      });
      upstream.once('error', (error: NodeJS.ErrnoException) => {
        if (response.closed || response.headersSent) { done(); return; }
        done(upstream.reusedSocket && error.code === 'ECONNRESET' ? new StaleConnection(error.message) : error);
      });
      if (bodyless) upstream.end();
      else pipeline(request, upstream, (error) => { if (error) upstream.destroy(error); });
    });
  }
}

class StaleConnection extends Error {}

export const edgeDown = (cause: unknown): MediaError =>
  new MediaError('UNAVAILABLE', "The camera's edge does not answer.", { reason: 'EDGE_UNAVAILABLE', cause, retryAfterSeconds: 1 });

/** Ends a request whose connection, or whose answer, does not come in time. */
export const watch = (clock: Clock, upstream: ClientRequest, answerMs: Milliseconds): Disposable => {
  const stack = new DisposableStack();
  stack.use(clock.after(answerMs, () => { upstream.destroy(new Error('no answer in time')); }));
  const connecting = stack.use(clock.after(CONNECT_MS, () => { upstream.destroy(new Error('no connection in time')); }));
  upstream.once('socket', (socket) => {
    if (socket.connecting) socket.once('connect', () => { connecting[Symbol.dispose](); });
    else connecting[Symbol.dispose]();
  });
  return stack;
};
