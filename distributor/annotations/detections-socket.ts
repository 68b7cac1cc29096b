/** WebSocket `/v1/cameras/{camera}/detections/live`: one message per inferred picture (contract 0.4). */
import { WebSocketServer } from 'ws';
import type { RawData, WebSocket } from 'ws';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { DetectionSource } from '../../extractor/port.ts';
import type { StreamRegistry } from '../../ingest/port.ts';
import type { Authorizer, Distribution } from '../../media-control/port.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { MediaRouter, UpgradeRequest } from '../../transport/http/port.ts';
import { DISTRIBUTION_OFF, distributionOff } from '../distribution-off.ts';
import { DetectionsFanout } from './detections-fanout.ts';

export interface DetectionsSocketOptions {
  readonly router: MediaRouter;
  readonly authorizer: Authorizer;
  readonly streams: StreamRegistry;
  readonly detections: DetectionSource;
  readonly distribution: Distribution;
  /** `limits.viewers_per_camera`. */
  readonly socketsPerCamera: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'viewers' | 'branchDropped'>;
}

const AUTH_DEADLINE_MS = 5_000;
const PING_INTERVAL_MS = 20_000;
/** Sockets that have not shown a credential yet, over all cameras: they take no viewer's place. */
const MAX_STRANGERS = 256;
const MAX_BUFFERED_BYTES = 1 << 20;
/** A client sends its credential and pongs, nothing else. */
const MAX_PAYLOAD_BYTES = 16 << 10;

/** Close codes a client can act upon (4000–4999 are for applications, RFC 6455 §7.4.2). */
export const CloseCode = { unauthenticated: 4401, forbidden: 4403, notFound: 4404, distributionOff: 4409, tooMany: 4429, unavailable: 4503 } as const;

interface Connection {
  readonly socket: WebSocket;
  readonly camera: CameraId;
  alive: boolean;
  principalId: string | null;
  readonly resources: DisposableStack;
}

/** Serves the sockets. Disposing closes them (1001). */
export class DetectionsSocket implements Disposable {
  readonly #options: DetectionsSocketOptions;
  readonly #fanout: DetectionsFanout;
  readonly #server: WebSocketServer;
  readonly #connections = new Set<Connection>();
  readonly #resources = new DisposableStack();

  constructor(options: DetectionsSocketOptions) {
    this.#options = options;
    this.#fanout = new DetectionsFanout(options.detections);
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: MAX_PAYLOAD_BYTES,
      perMessageDeflate: false,
      // A browser that offers sub-protocols refuses an answer without one; better not to echo a token where a plain name was offered, too.
      handleProtocols: (protocols) => [...protocols].find((p) => !p.startsWith('bearer.')) ?? [...protocols][0] ?? false,
    });
    options.router.upgrade('/v1/cameras/:camera/detections/live', (request) => { this.#upgrade(request); });
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
      options.metrics.viewers.remove({ camera, protocol: 'websocket' });
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
    const { request, socket, head, params, credential } = upgrade;
    this.#server.handleUpgrade(request, socket, head, (accepted) => { this.#accept(accepted, params['camera'] ?? '', credential); });
  }

  #accept(socket: WebSocket, camera: CameraId, credential: string | null): void {
    const connection: Connection = { socket, camera, alive: true, principalId: null, resources: new DisposableStack() };
    socket.on('error', () => { socket.terminate(); }); // a broken frame or a reset: `close` follows
    socket.on('close', () => { this.#forget(connection); });
    socket.on('pong', () => { connection.alive = true; });
    let strangers = 0;
    for (const other of this.#connections) if (other.principalId === null) strangers++;
    this.#connections.add(connection);
    if (strangers >= MAX_STRANGERS) {
      this.#end(connection, CloseCode.tooMany, 'too many sockets without a credential');
      return;
    }
    if (credential !== null) {
      void this.#admit(connection, credential);
      return;
    }
    connection.resources.use(this.#options.clock.after(AUTH_DEADLINE_MS, () => { if (connection.principalId === null) socket.close(CloseCode.unauthenticated, 'no credential in time'); }));
    socket.once('message', (data: RawData) => {
      const token = tokenOf(data);
      if (token === null) socket.close(CloseCode.unauthenticated, 'the first message must be {"type":"auth","token":"…"}');
      else void this.#admit(connection, token);
    });
  }

  /** Never rejects: every failure becomes a close code. */
  async #admit(connection: Connection, credential: string): Promise<void> {
    const { authorizer, distribution, streams, metrics, logger } = this.#options;
    const { socket, camera } = connection;
    try {
      const principal = await authorizer.authorize(credential, 'play', camera);
      if (!streams.get(camera)) throw new MediaError('NOT_FOUND', 'There is no such camera.');
      if (distribution.isOff(camera)) throw distributionOff(camera);
      if (!this.#connections.has(connection)) return; // it left meanwhile
      if (this.viewers(camera) >= this.#options.socketsPerCamera) throw new MediaError('RESOURCE_EXHAUSTED', 'too many sockets on this camera');
      connection.principalId = principal.id;
      connection.resources.use(this.#fanout.subscribe(camera, (message) => {
        if (socket.readyState !== socket.OPEN) return;
        if (socket.bufferedAmount > MAX_BUFFERED_BYTES) metrics.branchDropped.inc({ camera, branch: 'detections-live', reason: 'slow_socket' });
        else socket.send(message);
      }));
      this.#countViewers(camera);
    } catch (error) {
      if (!(error instanceof MediaError)) logger.error({ camera, error }, 'detections socket failed');
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
  #end(connection: Connection, code: number, reason: string): void {
    connection.socket.close(code, reason);
    this.#forget(connection);
  }

  #forget(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    connection.resources.dispose();
    this.#countViewers(connection.camera);
  }

  #countViewers(camera: CameraId): void {
    if (this.#options.streams.get(camera)) this.#options.metrics.viewers.set({ camera, protocol: 'websocket' }, this.viewers(camera));
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
