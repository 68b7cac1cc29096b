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
const MAX_JSON = 16 << 20;
/** Of a body that was refused: so much is read, so that its client can read why. */
const MAX_REST = 64 << 20;

/** For what takes its time. */
export interface LongAnswer {
  /** Until the answer begins; a body that is still coming counts. */
  readonly answerMs?: Milliseconds;
  /** Makes the answer of the edge's JSON, where it is one of success. */
  readonly answer?: ((body: unknown) => Promise<unknown>) | undefined;
}


/** Passes requests to an edge and answers back, streamed both ways with back-pressure; nothing is gathered. */
export class Forwarder implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 64, scheduling: 'lifo' });
  readonly #clock: Clock;
  #open = 0;

  constructor(clock: Clock) { this.#clock = clock; }

  /**
   * Resolves when the answer is sent or the client is gone. Throws UNAVAILABLE (503 and Retry-After) when the edge does not answer, as long
   * as nothing was sent, and what `answer` throws.
   */
  async forward(base: string, target: string, request: IncomingMessage, response: ServerResponse, context: ForwardContext, long: LongAnswer = {}): Promise<void> {
    if (this.#open >= MAX_OPEN) throw new MediaError('UNAVAILABLE', 'Too many media requests at a time.', { reason: 'TOO_MANY_REQUESTS_OPEN', retryAfterSeconds: 2 });
    this.#open++;
    try {
      const bodyless = request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined;
      try {
        await this.#once(base, target, request, response, context, bodyless, long);
      } catch (error) {
        // A kept connection that the edge closed at the same moment: once more, when there is no body that is half gone.
        if (!(error instanceof StaleConnection) || !bodyless) throw error;
        await this.#once(base, target, request, response, context, bodyless, long);
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

  #once(base: string, target: string, request: IncomingMessage, response: ServerResponse, context: ForwardContext, bodyless: boolean, { answerMs = ANSWER_MS, answer: change }: LongAnswer): Promise<void> {
    return new Promise((resolve, reject) => {
      const upstream = httpRequest(`${base}${target}`, { method: request.method, headers: requestHeaders(request, context), agent: this.#agent });
      const waits = watch(this.#clock, upstream, answerMs);
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
        if (!bodyless && !request.readableEnded) refuseRest(request, upstream);
        if (change && answer.statusCode !== undefined && answer.statusCode < 300) {
          answerJson(answer, response, change).then(() => { done(); }, done);
          return;
        }
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
      else {
        request.pipe(upstream);
        request.once('error', (error) => { upstream.destroy(error); });
      }
    });
  }
}

/**
 * The edge has answered before the body was whole. What is still to come goes nowhere, and that connection is not used again: the edge would take the
 * next request on it for the rest of this body.
 */
const refuseRest = (request: IncomingMessage, upstream: ClientRequest): void => {
  upstream.shouldKeepAlive = false;
  request.unpipe(upstream);
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_REST) request.destroy();
  });
  request.resume(); // it may stand still, waiting for the edge to take more
};

/** Answers with what `change` makes of a small JSON answer of the edge. */
const answerJson = async (answer: IncomingMessage, response: ServerResponse, change: (body: unknown) => Promise<unknown>): Promise<void> => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_JSON) throw new Error('an answer of the edge is too long');
    chunks.push(chunk);
  }
  const text = JSON.stringify(await change(JSON.parse(Buffer.concat(chunks).toString('utf8'))));
  response.writeHead(answer.statusCode ?? 502, { 'content-type': 'application/json', 'cache-control': 'no-store', 'content-length': Buffer.byteLength(text) }).end(text);
};

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
