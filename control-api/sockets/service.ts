/** WebSocket `/v1/ws` (spec 2.2): one socket for all that a client watches. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { acceptedProtocol, credentialOf } from '../../platform/bearer-credential.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { EventService } from '../events/service.ts';
import { CallBudget } from '../call-budget.ts';
import type { Guard } from '../guard.ts';
import { CloseCode, SocketClient } from './socket-client.ts';

export type { ServerMessage } from './messages.ts';

export interface SocketServiceOptions {
  readonly guard: Guard;
  readonly events: EventService;
  /** Each tells when access tokens may have been revoked: here, or by another process. */
  readonly revocations: readonly { onChange(listener: () => void): Disposable }[];
  /** `limits.websocket_messages_per_minute`. */
  readonly messagesPerMinute: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'sockets'>;
}

const PING_MS: Milliseconds = 20_000;
const MAX_SOCKETS = 1_024;
/** Of them without a credential yet. */
const MAX_STRANGERS = 256;
const MAX_PER_USER = 64;
const MAX_PAYLOAD_BYTES = 16 << 10;
const PATH = /^(?:\/api)?\/v1\/ws(?:\?|$)/;

/** Whether a request's target is this socket's. */
export const isSocketPath = (url: string): boolean => PATH.test(url);

/** Serves the sockets. Disposing closes them (1001). */
export class SocketService implements Disposable {
  readonly #options: SocketServiceOptions;
  readonly #clients = new Set<SocketClient>();
  readonly #budget: CallBudget;
  readonly #resources = new DisposableStack();
  #nextClient = 0;
  readonly #server = new WebSocketServer({
    noServer: true, clientTracking: false, maxPayload: MAX_PAYLOAD_BYTES, perMessageDeflate: false, handleProtocols: acceptedProtocol,
  });

  constructor(options: SocketServiceOptions) {
    this.#options = options;
    this.#resources.use(options.clock.every(PING_MS, () => { for (const client of this.#clients) client.ping(); }));
    for (const revocation of options.revocations) this.#resources.use(revocation.onChange(() => { for (const client of this.#clients) client.authenticateAgain(); }));
    this.#budget = new CallBudget(options.messagesPerMinute, options.clock);
  }

  /** Takes a connection over. Throws UNAVAILABLE when there are too many. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const query = new URLSearchParams((request.url ?? '').split('?')[1] ?? '');
    const credential = credentialOf(request.headers, query, true);
    const strangers = credential === null ? [...this.#clients].filter(({ userId }) => userId === null).length : 0;
    if (this.#clients.size >= MAX_SOCKETS || strangers >= MAX_STRANGERS) throw new MediaError('UNAVAILABLE', 'Too many sockets.', { reason: 'TOO_MANY_SOCKETS', retryAfterSeconds: 2 });
    this.#server.handleUpgrade(request, socket, head, (accepted) => { this.#accept(accepted, request, credential); });
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
    for (const client of this.#clients) client.end(CloseCode.goingAway, 'server stops');
    this.#server.close();
  }

  #accept(socket: WebSocket, request: IncomingMessage, credential: string | null): void {
    const { guard, events, clock, logger } = this.#options;
    const name = String(this.#nextClient++);
    const client = new SocketClient({
      socket, address: request.socket.remoteAddress ?? 'unknown', credential, guard, events, clock, logger,
      spend: () => { this.#budget.spend(name); },
      join: (userId) => { if ([...this.#clients].filter((other) => other.userId === userId).length >= MAX_PER_USER) throw new MediaError('RESOURCE_EXHAUSTED', `A user has at most ${String(MAX_PER_USER)} sockets.`); },
    });
    this.#clients.add(client);
    this.#count();
    socket.once('close', () => {
      this.#clients.delete(client);
      this.#count();
    });
  }

  #count(): void {
    this.#options.metrics.sockets.set(this.#clients.size);
  }
}
