/** WebSockets that show a camera to viewers: who may have one, how many, and what ends them (contract 0.4). What they are sent is their owner's. */
import { WebSocketServer } from 'ws';
import type { RawData, WebSocket } from 'ws';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { StreamRegistry } from '../../ingest/port.ts';
import type { Authorizer, Distribution } from '../../media-control/port.ts';
import { acceptedProtocol } from '../../platform/bearer-credential.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { MediaRouter, UpgradeRequest } from '../../transport/http/port.ts';
import { DISTRIBUTION_OFF, distributionOff } from '../distribution-off.ts';

/** What serving viewers takes, whatever they see. */
export interface ViewerSocketDeps {
  readonly router: MediaRouter;
  readonly authorizer: Authorizer;
  readonly streams: StreamRegistry;
  readonly distribution: Distribution;
  /** `limits.viewers_per_camera`. */
  readonly socketsPerCamera: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'viewers' | 'branchDropped'>;
}

export interface ViewerSocketOptions<Wish> {
  /** Pattern of the path; its `:camera` is the camera. */
  readonly path: string;
  /** `imageflow_viewers{protocol}`. */
  readonly protocol: string;
  /** What the query asks for. Throws INVALID_ARGUMENT, which is answered instead of an upgrade. */
  readonly wish: (query: URLSearchParams) => Wish;
  /** Begins to serve a viewer that may watch; disposed of when the socket closes. May throw MediaError, which becomes a close code. */
  readonly serve: (socket: WebSocket, camera: CameraId, wish: Wish) => ServedViewer;
}

export interface ServedViewer extends Disposable {
  /** Takes what the client says, its credential excepted. Absent: nobody listens. */
  hear?(message: RawData): void;
}

const AUTH_DEADLINE_MS = 5_000;
const PING_INTERVAL_MS = 20_000;
/** Sockets of the path that have not shown a credential yet, over all cameras: they take no viewer's place. */
const MAX_STRANGERS = 256;
/** A client sends its credential, pongs and short words, nothing else. */
const MAX_PAYLOAD_BYTES = 16 << 10;
/** More than so many messages within a minute end a connection (spec 2.6). */
const MAX_MESSAGES = 100;
const MESSAGES_WINDOW_MS = 60_000;
/** Messages kept until it is known whether their sender may watch. */
const MAX_EARLY = 8;

/** Close codes a client can act upon (4000–4999 are for applications, RFC 6455 §7.4.2). */
const CloseCode = { unauthenticated: 4401, forbidden: 4403, notFound: 4404, distributionOff: 4409, tooMany: 4429, unavailable: 4503 } as const;

interface Connection<Wish> {
  readonly socket: WebSocket;
  readonly camera: CameraId;
  readonly wish: Wish;
  alive: boolean;
  principalId: string | null;
  /** A credential was shown, with the request or by the first message. */
  shown: boolean;
  served: ServedViewer | null;
  /** What it said before it was served. */
  early: RawData[];
  messages: { readonly since: Milliseconds; count: number };
  readonly resources: DisposableStack;
}

/** Serves the sockets of one path. Disposing closes them (1001). */
export class ViewerSockets<Wish> implements Disposable {
  readonly #options: ViewerSocketDeps & ViewerSocketOptions<Wish>;
  readonly #server: WebSocketServer;
  readonly #connections = new Set<Connection<Wish>>();
  readonly #resources = new DisposableStack();

  constructor(options: ViewerSocketDeps & ViewerSocketOptions<Wish>) {
    this.#options = options;
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: MAX_PAYLOAD_BYTES,
      perMessageDeflate: false,
      handleProtocols: acceptedProtocol,
    });
    options.router.upgrade(options.path, (request) => { this.#upgrade(request); });
    this.#resources.use(options.clock.every(PING_INTERVAL_MS, () => { this.#ping(); }));
    this.#resources.use(options.authorizer.onRevoked((id) => {
      for (const connection of this.#connections) if (connection.principalId === id) this.#end(connection, CloseCode.unauthenticated, 'credential revoked');
    }));
    this.#resources.use(options.distribution.onSwitched((camera) => {
      if (!options.distribution.isOff(camera)) return;
      for (const connection of this.#connections) if (connection.camera === camera && connection.principalId !== null) this.#end(connection, CloseCode.distributionOff, DISTRIBUTION_OFF);
    }));
    this.#resources.use(options.streams.onRemoved((camera) => {
      for (const connection of this.#connections) if (connection.camera === camera) this.#end(connection, CloseCode.notFound, 'camera removed');
      options.metrics.viewers.remove({ camera, protocol: options.protocol });
    }));
  }

  /** Sockets of a camera that are receiving. */
  viewers(camera: CameraId): number {
    let count = 0;
    for (const connection of this.#connections) if (connection.camera === camera && connection.principalId !== null) count++;
    return count;
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
    for (const connection of this.#connections) this.#end(connection, 1001, 'server stops');
    this.#server.close();
  }

  #upgrade(upgrade: UpgradeRequest): void {
    const { request, socket, head, params, query, credential } = upgrade;
    const wish = this.#options.wish(query);
    this.#server.handleUpgrade(request, socket, head, (accepted) => { this.#accept(accepted, params['camera'] ?? '', wish, credential); });
  }

  #accept(socket: WebSocket, camera: CameraId, wish: Wish, credential: string | null): void {
    const connection: Connection<Wish> = {
      socket, camera, wish, alive: true, principalId: null, shown: credential !== null, served: null, early: [], messages: { since: this.#options.clock.monotonic(), count: 0 },
      resources: new DisposableStack(),
    };
    socket.on('error', () => { socket.terminate(); }); // a broken frame or a reset: `close` follows
    socket.on('close', () => { this.#forget(connection); });
    socket.on('pong', () => { connection.alive = true; });
    let strangers = 0;
    for (const other of this.#connections) if (other.principalId === null) strangers++;
    this.#connections.add(connection);
    socket.on('message', (data: RawData) => { if (this.#connections.has(connection)) this.#hear(connection, data); });
    if (strangers >= MAX_STRANGERS) {
      this.#end(connection, CloseCode.tooMany, 'too many sockets without a credential');
      return;
    }
    if (credential !== null) {
      void this.#admit(connection, credential);
      return;
    }
    connection.resources.use(this.#options.clock.after(AUTH_DEADLINE_MS, () => { if (connection.principalId === null) socket.close(CloseCode.unauthenticated, 'no credential in time'); }));
  }

  #hear(connection: Connection<Wish>, data: RawData): void {
    const now = this.#options.clock.monotonic();
    if (now - connection.messages.since >= MESSAGES_WINDOW_MS) connection.messages = { since: now, count: 0 };
    if (++connection.messages.count > MAX_MESSAGES) this.#end(connection, CloseCode.tooMany, 'too many messages');
    else if (!connection.shown) this.#hearToken(connection, data);
    else if (connection.served) connection.served.hear?.(data);
    else if (connection.early.length < MAX_EARLY) connection.early.push(data);
  }

  #hearToken(connection: Connection<Wish>, data: RawData): void {
    connection.shown = true;
    const token = tokenOf(data);
    if (token === null) connection.socket.close(CloseCode.unauthenticated, 'the first message must be {"type":"auth","token":"…"}');
    else void this.#admit(connection, token);
  }

  /** Never rejects: every failure becomes a close code. */
  async #admit(connection: Connection<Wish>, credential: string): Promise<void> {
    const { authorizer, distribution, streams, logger, serve } = this.#options;
    const { socket, camera, wish } = connection;
    try {
      const principal = await authorizer.authorize(credential, 'play', camera);
      if (!streams.get(camera)) throw new MediaError('NOT_FOUND', 'There is no such camera.');
      if (distribution.isOff(camera)) throw distributionOff(camera);
      if (!this.#connections.has(connection)) return; // it left meanwhile
      if (this.viewers(camera) >= this.#options.socketsPerCamera) throw new MediaError('RESOURCE_EXHAUSTED', 'too many sockets on this camera');
      connection.principalId = principal.id;
      const served = (connection.served = connection.resources.use(serve(socket, camera, wish)));
      this.#countViewers(camera);
      for (const message of connection.early) served.hear?.(message);
      connection.early = [];
    } catch (error) {
      if (!(error instanceof MediaError)) logger.error({ camera, path: this.#options.path, error }, 'viewer socket failed');
      socket.close(closeCodeOf(error), error instanceof MediaError ? error.message.slice(0, 100) : 'internal error');
    }
  }

  #ping(): void {
    for (const connection of this.#connections) {
      if (!connection.alive) {
        connection.socket.terminate();
        continue;
      }
      connection.alive = false;
      if (connection.socket.readyState === connection.socket.OPEN) connection.socket.ping();
    }
  }

  /** Nothing more is sent from here on, even if the client never answers the close. */
  #end(connection: Connection<Wish>, code: number, reason: string): void {
    connection.socket.close(code, reason);
    this.#forget(connection);
  }

  #forget(connection: Connection<Wish>): void {
    if (!this.#connections.delete(connection)) return;
    connection.resources.dispose();
    this.#countViewers(connection.camera);
  }

  #countViewers(camera: CameraId): void {
    if (this.#options.streams.get(camera)) this.#options.metrics.viewers.set({ camera, protocol: this.#options.protocol }, this.viewers(camera));
  }
}

const tokenOf = (data: RawData): string | null => {
  try {
    const text = Array.isArray(data) ? Buffer.concat(data).toString('utf8') : Buffer.from(data as Buffer).toString('utf8');
    const message: unknown = JSON.parse(text);
    if (typeof message !== 'object' || message === null || !('type' in message) || message.type !== 'auth' || !('token' in message)) return null;
    return typeof message.token === 'string' && message.token !== '' ? message.token : null;
  } catch {
    return null; // not JSON
  }
};

const closeCodeOf = (error: unknown): number => {
  if (!(error instanceof MediaError)) return 1011;
  switch (error.code) {
    case 'UNAUTHENTICATED': return CloseCode.unauthenticated;
    case 'PERMISSION_DENIED': return CloseCode.forbidden;
    case 'NOT_FOUND': return CloseCode.notFound;
    case 'FAILED_PRECONDITION': return CloseCode.distributionOff;
    case 'RESOURCE_EXHAUSTED': return CloseCode.tooMany;
    case 'UNAVAILABLE': return CloseCode.unavailable;
    default: return 1011;
  }
};
