import { randomUUID } from 'node:crypto';
import { createServer, STATUS_CODES } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import { lateBody, watchBody } from '../../platform/body-deadline.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import { CorsPolicy } from './cors.ts';
import { credentialOf } from '../../platform/bearer-credential.ts';
import { Exchange, targetOf, traceIdOf } from './exchange.ts';
import type { MediaHandler, MediaRouter, UpgradeRequest } from './port.ts';
import { statusOf, toProblem } from './problem.ts';
import type { Problem } from './problem.ts';
import { Router } from './router.ts';

export interface MediaHttpServerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** `cors.origins` */
  readonly origins: readonly string[];
  /** The body of `GET /v1/health`, made anew for every request. */
  readonly health: () => unknown;
  /** More connections than this are refused by closing them. */
  readonly maxConnections?: number;
}

interface Route {
  readonly handler: MediaHandler;
  readonly longBody: boolean;
}

type UpgradeHandler = (request: UpgradeRequest) => Promise<void> | void;

const MAX_HEADER_BYTES = 16 * 1024; // a JWT in Authorization or ?token= fits several times
const HEADERS_TIMEOUT_MS = 10_000;
const BODY_TIMEOUT_MS = 30_000; // answering may take longer (blocking playlists)
const KEEP_ALIVE_MS = 30_000;

/** The edge's media HTTP server: routes, CORS, credentials, problems, health and metrics. Disposing cuts every connection. */
export class MediaHttpServer implements MediaRouter, AsyncDisposable {
  readonly #options: MediaHttpServerOptions;
  readonly #cors: CorsPolicy;
  readonly #routes = new Router<Route>();
  readonly #upgrades = new Router<UpgradeHandler>();
  readonly #upgraded = new Set<Duplex>();
  readonly #server: Server;

  constructor(options: MediaHttpServerOptions) {
    this.#options = options;
    this.#cors = new CorsPolicy(options.origins);
    this.#server = createServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: 0, // `watchBody` does that
      keepAliveTimeout: KEEP_ALIVE_MS,
      noDelay: true,
      // curl offers h2c on every plain request with --http2: only a WebSocket is an upgrade here
      shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === 'websocket',
    });
    this.#server.maxConnections = options.maxConnections ?? 8192;
    this.#server.on('request', (request, response) => { void this.#serve(request, response); });
    this.#server.on('upgrade', (request, socket, head) => { void this.#serveUpgrade(request, socket, head); });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => { this.#refuse(error, socket); });
    this.route('GET', '/v1/health', ({ response }) => { sendJson(response, options.health()); });
    this.route('GET', '/metrics', async ({ response }) => {
      const text = await options.metrics.registry.metrics();
      response.writeHead(200, { 'content-type': options.metrics.registry.contentType, 'cache-control': 'no-store' });
      response.end(text);
    });
  }

  route(method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'DELETE', pattern: string, handler: MediaHandler, { longBody = false }: { readonly longBody?: boolean } = {}): void {
    this.#routes.add(method, pattern, { handler, longBody });
  }

  upgrade(pattern: string, handler: UpgradeHandler): void {
    this.#upgrades.add('GET', pattern, handler);
  }

  /** Resolves when it listens. Rejects when the port is taken or the address is not this machine's. */
  listen(port: number, bind: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const onError = (error: Error): void => {
        reject(new Error(`media HTTP cannot listen on ${bind}:${String(port)}: ${error.message}`, { cause: error }));
      };
      this.#server.once('error', onError);
      this.#server.listen(port, bind, () => {
        this.#server.off('error', onError);
        this.#server.on('error', (error) => { this.#options.logger.error({ error: error.message }, 'media http server failed'); });
        resolve();
      });
    });
  }

  /** The port it listens on; throws `Error` before `listen`. */
  get port(): number {
    const address = this.#server.address() as AddressInfo | null;
    if (!address) throw new Error('the media HTTP server does not listen');
    return address.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#upgraded) socket.destroy();
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => { resolve(); });
      this.#server.closeAllConnections();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const began = this.#options.clock.monotonic();
    const method = request.method ?? 'GET';
    const target = targetOf(request.url ?? '');
    let pattern = 'none';
    let exchange: Exchange | null = null;
    try {
      this.#cors.apply(request, response);
      const match = target && this.#routes.find(method, target.path);
      if (!match || !('value' in match) || !match.value.longBody) watchBody(request, this.#options.clock, BODY_TIMEOUT_MS, () => { this.#refuse(lateBody(), request.socket); });
      if (match && 'allowed' in match) {
        if (method === 'OPTIONS') { this.#cors.answerOptions(request, response, match.allowed); return; }
        response.setHeader('allow', match.allowed.join(', '));
        throw new MediaError('INVALID_ARGUMENT', `${method} is not for this resource.`, { reason: 'METHOD_NOT_ALLOWED' });
      }
      if (method === 'OPTIONS' && target?.path === '*') { this.#cors.answerOptions(request, response, ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'OPTIONS']); return; }
      if (!match) throw this.#notFound(target?.path);
      pattern = match.pattern;
      exchange = new Exchange(request, response, match.params, target.search);
      await match.value.handler(exchange);
    } catch (error) {
      this.#fail(error, request, response, target?.path ?? '', exchange?.credential != null);
    } finally {
      const seconds = (this.#options.clock.monotonic() - began) / 1000;
      this.#options.metrics.httpRequestSeconds.observe({ route: pattern, status: String(response.statusCode) }, seconds);
    }
  }

  #notFound(path: string | undefined): MediaError {
    if (path !== undefined && this.#upgrades.find('GET', path)) {
      return new MediaError('INVALID_ARGUMENT', 'This resource is a WebSocket.', { reason: 'UPGRADE_REQUIRED' });
    }
    return new MediaError('NOT_FOUND', 'There is nothing at this path.');
  }

  #fail(error: unknown, request: IncomingMessage, response: ServerResponse, instance: string, credentialShown: boolean): void {
    if (response.headersSent || response.destroyed) {
      if (!(error instanceof MediaError) && !response.destroyed) this.#logBug(error, request.method, instance, '');
      response.destroy(); // half an answer must not look like a whole one
      return;
    }
    const problem = this.#problem(error, request, instance, credentialShown);
    if (problem.status === 426) response.setHeader('upgrade', 'websocket');
    response.writeHead(problem.status, { ...problem.headers, 'content-length': String(Buffer.byteLength(problem.body)) });
    response.end(problem.body);
    if (!request.complete) request.resume(); // a body nobody reads would block the connection
  }

  #problem(error: unknown, request: IncomingMessage, instance: string, credentialShown: boolean): Problem {
    const traceId = traceIdOf(request);
    if (statusOf(error) === 500) this.#logBug(error, request.method, instance, traceId);
    return toProblem(error, { clock: this.#options.clock, instance, traceId, credentialShown });
  }

  #refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (error.code === 'ECONNRESET' || !socket.writable) { socket.destroy(); return; }
    socket.end(rawAnswer(toProblem(clientError(error.code), { clock: this.#options.clock, instance: '/', traceId: randomUUID(), credentialShown: false })));
  }

  #logBug(error: unknown, method: string | undefined, path: string, traceId: string): void {
    const stack = error instanceof Error ? error.stack : undefined;
    this.#options.logger.error({ method, path, trace_id: traceId, error: messageOf(error), stack }, 'media http request failed');
  }

  async #serveUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    this.#upgraded.add(socket);
    socket.once('close', () => { this.#upgraded.delete(socket); });
    socket.on('error', () => { socket.destroy(); }); // a reset while the credential is checked must not be an uncaught error
    const target = targetOf(request.url ?? '');
    const query = new URLSearchParams(target?.search ?? '');
    const credential = credentialOf(request.headers, query, true);
    const writtenBefore = bytesWritten(socket);
    try {
      const match = target && this.#upgrades.find('GET', target.path);
      if (!match || 'allowed' in match) throw new MediaError('NOT_FOUND', 'There is no WebSocket at this path.');
      await match.value({ request, socket, head, params: match.params, query, credential });
    } catch (error) {
      const untouched = bytesWritten(socket) === writtenBefore;
      if (!untouched || !socket.writable) { socket.destroy(); return; }
      const problem = this.#problem(error, request, target?.path ?? '', credential !== null);
      socket.end(rawAnswer(problem));
    }
  }
}

/** Node hands upgrades over as `Duplex`; those of its own HTTP server are sockets, which count. */
const bytesWritten = (socket: Duplex): number => (socket as Duplex & { readonly bytesWritten?: number }).bytesWritten ?? 0;

/** Writes a JSON answer that no cache keeps. */
export const sendJson = (response: ServerResponse, body: unknown, status = 200): void => {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', 'content-length': String(Buffer.byteLength(text)) });
  response.end(text);
};

const rawAnswer = (problem: Problem): string => {
  const headers = Object.entries(problem.headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `HTTP/1.1 ${String(problem.status)} ${STATUS_CODES[problem.status] ?? 'Error'}\r\n${headers}content-length: ${String(Buffer.byteLength(problem.body))}\r\nconnection: close\r\n\r\n${problem.body}`;
};

/** What node's parser refuses never becomes a request. */
const clientError = (code: string | undefined): MediaError => {
  if (code === 'HPE_HEADER_OVERFLOW') return new MediaError('INVALID_ARGUMENT', `The header of a request may have ${String(MAX_HEADER_BYTES)} bytes.`, { reason: 'HEADERS_TOO_LARGE' });
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new MediaError('INVALID_ARGUMENT', 'The request did not arrive in time.', { reason: 'REQUEST_TIMEOUT' });
  return new MediaError('INVALID_ARGUMENT', 'This is not an HTTP/1.1 request.', { reason: 'MALFORMED_REQUEST' });
};
