import type { RawData, WebSocket } from 'ws';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Topic } from '../../core/topics.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import { TOPICS } from '../events/service.ts';
import type { EventService } from '../events/service.ts';
import type { Guard } from '../guard.ts';
import { timestamp } from '../schemas.ts';
import { parseClientMessage } from './messages.ts';
import type { ClientMessage, ServerMessage } from './messages.ts';
import { TopicWatch } from './topic-watch.ts';

/** Close codes a client can act upon (RFC 6455 §7.4.1; 4000–4999 are for applications, §7.4.2). */
export const CloseCode = { goingAway: 1001, failed: 1011, unauthenticated: 4401, tooMany: 4429 } as const;

export interface SocketClientOptions {
  readonly socket: WebSocket;
  /** Of the peer. */
  readonly address: string;
  /** Shown with the request; null: it comes as the first message. */
  readonly credential: string | null;
  readonly guard: Guard;
  readonly events: EventService;
  /** Counts a message. Throws RESOURCE_EXHAUSTED when there are too many. */
  readonly spend: () => void;
  /** Throws RESOURCE_EXHAUSTED when this user has too many sockets already. */
  readonly join: (userId: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

const AUTH_DEADLINE_MS: Milliseconds = 5_000;
const MAX_WATCHES = 32;
/** Messages that wait for those before to be done with: more than a client needs for all it may watch. */
const MAX_WAITING = 64;
/** A client that is told to go may take so long to answer. */
const LINGER_MS: Milliseconds = 2_000;
const TARGET = '/v1/ws';

/** One client of `/v1/ws`: who it is, and what it watches. */
export class SocketClient {
  readonly #options: SocketClientOptions;
  readonly #watches = new Map<string, TopicWatch>();
  readonly #deadline: Disposable;
  #credential: string | null = null;
  #userId: string | null = null;
  #alive = true;
  /** One message after the other: what `auth` allows is allowed to the next. */
  #work: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(options: SocketClientOptions) {
    const { socket, clock, credential } = options;
    this.#options = options;
    this.#deadline = clock.after(AUTH_DEADLINE_MS, () => { if (this.#userId === null) this.end(CloseCode.unauthenticated, 'no credential in time'); });
    socket.on('error', () => { socket.terminate(); }); // a broken frame or a reset: `close` follows
    socket.on('close', () => { this.#forget(); });
    socket.on('pong', () => { this.#alive = true; });
    socket.on('message', (data: RawData, binary: boolean) => { this.#onMessage(data, binary); });
    if (credential !== null) this.#enqueue(() => this.#authenticate(credential));
  }

  /** Whose it is; null until it has shown a credential. */
  get userId(): string | null {
    return this.#userId;
  }

  /** Ends a client that has not answered the last one, and one whose token has expired. */
  ping(): void {
    const { socket } = this.#options;
    if (!this.#alive) {
      socket.terminate();
      return;
    }
    this.#alive = false;
    if (socket.readyState === socket.OPEN) socket.ping();
    this.authenticateAgain();
  }

  /** Ends it when its token is not good any more. */
  authenticateAgain(): void {
    const credential = this.#credential;
    if (credential !== null) this.#enqueue(async () => { await this.#admit(credential); });
  }

  /** Nothing more is sent from here on, even if the client never answers the close. */
  end(code: number, reason: string): void {
    const { socket, clock } = this.#options;
    socket.close(code, reason);
    this.#forget();
    const late = clock.after(LINGER_MS, () => { socket.terminate(); });
    socket.once('close', () => { late[Symbol.dispose](); });
  }

  #forget(): void {
    this.#deadline[Symbol.dispose]();
    for (const watch of this.#watches.values()) watch[Symbol.dispose]();
    this.#watches.clear();
  }

  #onMessage(data: RawData, binary: boolean): void {
    try {
      this.#options.spend();
    } catch {
      this.end(CloseCode.tooMany, 'too many messages in a minute');
      return;
    }
    if (this.#waiting >= MAX_WAITING) {
      this.end(CloseCode.tooMany, 'too many messages at once');
      return;
    }
    this.#waiting++;
    this.#enqueue(async () => {
      this.#waiting--;
      try {
        if (binary) throw new MediaError('INVALID_ARGUMENT', 'A message must be text.', { reason: 'NOT_TEXT' });
        await this.#handle(parseClientMessage(textOf(data)));
      } catch (error) {
        if (!(error instanceof MediaError) || error.code === 'UNAUTHENTICATED') throw error;
        await this.#send({ type: 'error', code: error.reason ?? error.code, message: error.message });
      }
    });
  }

  #enqueue(step: () => Promise<void>): void {
    this.#work = this.#work.then(() => (this.#open ? step() : undefined)).catch((error: unknown) => { this.#fail(error); });
  }

  get #open(): boolean {
    const { socket } = this.#options;
    return socket.readyState === socket.OPEN;
  }

  async #handle(message: ClientMessage): Promise<void> {
    if (message.type === 'auth') {
      await this.#authenticate(message.token);
      return;
    }
    const credential = this.#credential;
    if (credential === null) throw new MediaError('UNAUTHENTICATED', 'the first message must be {"type":"auth","token":"…"}');
    const { topic, camera = null } = message;
    const key = `${topic} ${camera ?? ''}`;
    if (message.type === 'watch') {
      await this.#watch(credential, key, topic, camera, message.after);
      return;
    }
    this.#watches.get(key)?.[Symbol.dispose]();
    this.#watches.delete(key);
    await this.#send({ type: 'unwatched', topic, camera });
  }

  async #watch(credential: string, key: string, topic: Topic, camera: string | null, after: string | undefined): Promise<void> {
    const { events, guard, address } = this.#options;
    await guard.admit({ credential: () => credential, permission: TOPICS[topic].permission, address, target: TARGET });
    if (!this.#watches.has(key) && this.#watches.size >= MAX_WATCHES) throw new MediaError('RESOURCE_EXHAUSTED', `One socket watches at most ${String(MAX_WATCHES)} things.`, { reason: 'TOO_MANY_WATCHES' });
    const position = after === undefined ? await events.newest(topic) : await events.positionOf(topic, after);
    this.#watches.get(key)?.[Symbol.dispose](); // asked again, it begins anew
    this.#watches.delete(key);
    await this.#send({ type: 'watching', topic, camera, cursor: String(position) });
    if (!this.#open) return;
    this.#watches.set(key, new TopicWatch({ events, topic, camera, after: position, send: (message) => this.#send(message), onFailure: (error) => { this.#fail(error); } }));
  }

  async #authenticate(credential: string): Promise<void> {
    const { expiresAt, id } = await this.#admit(credential);
    if (this.#userId !== null && id !== this.#userId) throw new MediaError('UNAUTHENTICATED', 'another user’s token');
    if (this.#userId === null) this.#options.join(id);
    this.#userId = id;
    this.#credential = credential;
    this.#deadline[Symbol.dispose]();
    await this.#send({ type: 'authenticated', expires_at: timestamp(expiresAt) });
  }

  #admit(credential: string): ReturnType<Guard['admit']> {
    return this.#options.guard.admit({ credential: () => credential, permission: null, address: this.#options.address, target: TARGET });
  }

  /** What cannot be answered ends the connection. */
  #fail(error: unknown): void {
    if (!this.#open) return;
    if (error instanceof MediaError && error.code === 'UNAUTHENTICATED') {
      this.end(CloseCode.unauthenticated, error.message.slice(0, 100));
      return;
    }
    if (error instanceof MediaError && error.code === 'RESOURCE_EXHAUSTED') {
      this.end(CloseCode.tooMany, error.message.slice(0, 100));
      return;
    }
    this.#options.logger.error({ error: messageOf(error) }, 'socket failed');
    this.end(CloseCode.failed, 'internal error; come back with the last cursor');
  }

  /** Resolves when it has left this process, so that nobody sends faster than the client takes it. */
  #send(message: ServerMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#options.socket.send(JSON.stringify(message), (error) => { if (error) reject(error); else resolve(); });
    });
  }
}

const textOf = (data: RawData): string => (Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer)).toString('utf8');
