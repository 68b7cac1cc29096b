/** The front door's listener: what belongs to the edge is forwarded before Hono sees it, everything else is the API or a page. */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import type { HttpBindings } from '@hono/node-server';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Clock } from '../core/clock.ts';
import { MediaError, messageOf } from '../core/errors.ts';
import type { Logger } from '../platform/logging.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { ApiEnv, RequestBindings } from './api-env.ts';
import type { Cors } from './cors.ts';
import { lateBody, watchBody } from '../platform/body-deadline.ts';
import { edgeRouteOf } from './front-door/front-door.ts';
import type { EdgeRoute, FrontDoor } from './front-door/front-door.ts';
import { ownBodyOf } from './own-bodies.ts';
import { logFailure, problemOf } from './problem.ts';
import type { Problem } from './problem.ts';
import { isSocketPath } from './sockets/service.ts';
import type { SocketService } from './sockets/service.ts';

export interface ApiServerOptions {
  readonly app: OpenAPIHono<ApiEnv>;
  readonly frontDoor: FrontDoor;
  readonly sockets: SocketService;
  readonly cors: Cors;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const MAX_HEADER_BYTES = 32 * 1024;
/** A correlation id as clients may give it (SD-80). */
const REQUEST_ID = /^[\w.:@/+=-]{1,128}$/;
const one = (header: string | string[] | undefined): string | undefined => (typeof header === 'string' && REQUEST_ID.test(header) ? header : undefined);

/** More are refused by closing them, as on the media port. */
const MAX_CONNECTIONS = 8192;
/** But for uploads, which the edge watches, and models, which may be large. */
const BODY_TIMEOUT_MS = 120_000;
const MODEL_TIMEOUT_MS = 3_600_000;

export class ApiServer implements AsyncDisposable {
  readonly #options: ApiServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();

  constructor(options: ApiServerOptions) {
    this.#options = options;
    const api = getRequestListener((request, env) => options.app.fetch(request, bindings(env as HttpBindings)), {
      // Thrown before the application: a Host or a target no URL can be made of.
      errorHandler: (error) => {
        const context = { requestId: randomUUID(), instance: '/', now: options.clock.now() };
        options.logger.debug({ reason: messageOf(error) }, 'request refused');
        const { status, headers, body } = problemOf(new MediaError('INVALID_ARGUMENT', 'The request has no valid target or Host.', { reason: 'BAD_REQUEST' }), context);
        return new Response(JSON.stringify(body), { status, headers });
      },
    });
    this.#server = createServer({ requestTimeout: 0, headersTimeout: 20_000, keepAliveTimeout: 65_000, maxHeaderSize: MAX_HEADER_BYTES, noDelay: true });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on('request', (request, response) => { this.#onRequest(request, response, api); });
    this.#server.on('upgrade', (request, socket, head) => { this.#onUpgrade(request, socket, head); });
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
      else socket.end(rawAnswer(problemOf(clientError(error.code), { requestId: randomUUID(), instance: '/', now: options.clock.now() })));
    });
  }

  /** Resolves to the port. Rejects when it is taken. */
  listen(port: number, host: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        // No descriptor left for a connection, for one: an 'error' that nobody hears would end the process.
        this.#server.on('error', (error) => { this.#options.logger.error({ error: error.message }, 'http server failed'); });
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => { this.#server.close(() => { resolve(); }); });
    // Endless answers would keep it open: their clients reconnect.
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #onRequest(request: IncomingMessage, response: ServerResponse, api: ReturnType<typeof getRequestListener>): void {
    const requestId = one(request.headers['x-request-id']) ?? one(request.headers['x-correlation-id']) ?? randomUUID();
    response.setHeader('x-request-id', requestId);
    if (request.headers['x-correlation-id'] !== undefined) response.setHeader('x-correlation-id', requestId);
    const clientId = one(request.headers['x-client-id']);
    if (clientId !== undefined) response.setHeader('x-client-id', clientId);
    response.setHeader('x-content-type-options', 'nosniff');
    const preflight = this.#options.cors(request, response);
    const route = edgeRouteOf(request.url ?? '/');
    const bodyMs = route === undefined && ownBodyOf(request.method ?? '', request.url ?? '/') === 'model' ? MODEL_TIMEOUT_MS : BODY_TIMEOUT_MS;
    if (route?.longBody !== true) watchBody(request, this.#options.clock, bodyMs, () => { this.#server.emit('clientError', lateBody(), request.socket); });
    if (route !== undefined) {
      void this.#forward(route, request, response, requestId);
    } else if (preflight || request.method === 'OPTIONS') {
      response.writeHead(204, preflight ? {} : { allow: 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS' }).end();
    } else {
      void api(request, response);
    }
  }

  async #forward(route: EdgeRoute | null, request: IncomingMessage, response: ServerResponse, requestId: string): Promise<void> {
    const { clock, metrics } = this.#options;
    const start = clock.monotonic();
    try {
      if (route === null) throw noCamera();
      await this.#options.frontDoor.handle(route, request, response, requestId);
    } catch (error) {
      if (response.headersSent || response.destroyed) { response.destroy(); return; }
      const context = { requestId, instance: (request.url ?? '/').split('?', 1)[0] ?? '/', now: clock.now() };
      logFailure(this.#options.logger, error, context);
      const problem = problemOf(error, context);
      response.writeHead(problem.status, { ...problem.headers, ...(request.complete ? {} : { connection: 'close' }) }).end(JSON.stringify(problem.body));
    } finally {
      metrics.httpRequestSeconds.labels(route?.label ?? 'front-door', String(response.statusCode)).observe((clock.monotonic() - start) / 1000);
    }
  }

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const requestId = one(request.headers['x-request-id']) ?? randomUUID();
    socket.on('error', () => { socket.destroy(); });
    const route = edgeRouteOf(request.url ?? '/');
    const refuse = (error: unknown): void => {
      const context = { requestId, instance: (request.url ?? '/').split('?', 1)[0] ?? '/', now: this.#options.clock.now() };
      logFailure(this.#options.logger, error, context);
      socket.end(rawAnswer(problemOf(error, context)));
    };
    if (isSocketPath(request.url ?? '/')) {
      try {
        this.#options.sockets.upgrade(request, socket, head);
      } catch (error) {
        refuse(error);
      }
    } else if (route === undefined) refuse(new MediaError('NOT_FOUND', 'There is no WebSocket here.'));
    else if (route === null) refuse(noCamera());
    else this.#options.frontDoor.upgrade(route, request, socket, head, requestId).catch(refuse);
  }
}

/** An answer where node has no `ServerResponse` for us; the connection ends with it. */
const rawAnswer = ({ status, headers, body }: Problem): string => {
  const text = JSON.stringify(body);
  const lines = Object.entries({ ...headers, 'content-length': String(Buffer.byteLength(text)), connection: 'close' }).map(([name, value]) => `${name}: ${value}`);
  return [`HTTP/1.1 ${String(status)} ${String(body['title'])}`, ...lines, '', text].join('\r\n');
};

/** What node's parser refuses never becomes a request. */
const clientError = (code: string | undefined): MediaError => {
  if (code === 'HPE_HEADER_OVERFLOW') return new MediaError('INVALID_ARGUMENT', `The header of a request may have ${String(MAX_HEADER_BYTES)} bytes.`, { reason: 'HEADERS_TOO_LARGE' });
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new MediaError('INVALID_ARGUMENT', 'The request did not arrive in time.', { reason: 'REQUEST_TIMEOUT' });
  return new MediaError('INVALID_ARGUMENT', 'This is not an HTTP/1.1 request.', { reason: 'MALFORMED_REQUEST' });
};

const noCamera = (): MediaError => new MediaError('NOT_FOUND', 'There is no such camera.', { reason: 'CAMERA_NOT_FOUND' });

/** The id was put on the answer before: the listener makes the bindings itself. */
const bindings = ({ incoming, outgoing }: HttpBindings): RequestBindings => ({ incoming, outgoing, requestId: String(outgoing.getHeader('x-request-id')) });
