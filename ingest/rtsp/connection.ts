import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { CameraResolver } from '../../media-control/port.ts';
import { encodeAnswer, header } from '../../transport/rtsp/message.ts';
import type { RtspAnswer, RtspRequest } from '../../transport/rtsp/message.ts';
import { RtspSocketReader } from '../../transport/rtsp/socket-reader.ts';
import type { StreamRegistry } from '../port.ts';
import type { RtspAccess } from './access.ts';
import { answerError } from './answers.ts';
import { RtspRequests, SESSION_TIMEOUT_SECONDS } from './requests.ts';

const FIRST_REQUEST_MS = 10_000;
const IDLE_MS = 30_000;
/** Requests that came before earlier ones were answered. Clients wait for answers; more is an attack. */
const MAX_WAITING_REQUESTS = 16;
const MAX_UNSENT_BYTES = 256 << 10;
const MAX_FAILED_LOGINS = 5;

export interface ConnectionOptions {
  readonly socket: Socket;
  readonly access: RtspAccess;
  readonly streams: StreamRegistry;
  readonly cameras: CameraResolver;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A client that said TEARDOWN may take so long to close its side. */
const LINGER_MS: Milliseconds = 2_000;

/**
 * One RTSP/TCP connection: bytes in, requests answered one after the other in the order they came, media handed on at once.
 * Whatever goes wrong here ends this connection and nothing else.
 */
export class RtspConnection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #requests: RtspRequests;
  readonly #reader: RtspSocketReader;
  readonly #openedAt: Milliseconds;
  #arrivedAt: Milliseconds;
  #hasAsked = false;
  #waiting: RtspRequest[] = [];
  #answering = false;
  #failedLogins = 0;
  #closed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#socket = options.socket;
    this.#openedAt = this.#arrivedAt = options.clock.monotonic();
    this.#requests = new RtspRequests({
      ...options,
      sessionId: randomBytes(8).toString('hex'),
      publisher: {
        clock: options.clock,
        logger: options.logger,
        ssrc: randomBytes(4).readUInt32BE(0),
        send: (channel, bytes) => { this.#sendInterleaved(channel, bytes); },
        close: (reason) => { this.close(reason); },
      },
    });
    this.#reader = new RtspSocketReader({
      request: (request) => { this.#enqueue(request); },
      response: () => undefined, // we ask nothing
      interleaved: (channel, bytes, start, end) => { this.#requests.publisher?.interleaved(channel, bytes, start, end, this.#arrivedAt); },
    });
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk: Buffer) => { this.#onData(chunk); });
    this.#socket.on('error', () => undefined); // 'close' follows and says all we need
    this.#socket.on('close', () => { this.#finish('connection closed'); });
  }

  /** Whether the session was let in by this principal. */
  belongsTo(principalId: string): boolean {
    return this.#requests.principalId === principalId;
  }

  /** Time passed: deadlines and receiver reports. */
  tick(now: Milliseconds): void {
    const publisher = this.#requests.publisher;
    const quiet = now - this.#arrivedAt;
    if (!this.#hasAsked) {
      if (now - this.#openedAt >= FIRST_REQUEST_MS) this.close('no request within 10 s');
    } else if (quiet >= (publisher?.isRecording === true ? SESSION_TIMEOUT_SECONDS * 1_000 : IDLE_MS)) {
      this.close('idle');
    } else publisher?.tick(now);
  }

  /** Ends the connection at once; a publisher on it counts as lost. */
  close(reason: string): void {
    this.#finish(reason);
    this.#socket.destroy();
  }

  #finish(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting = [];
    this.#requests.publisher?.lost(reason);
  }

  #onData(chunk: Buffer): void {
    if (this.#closed) return;
    this.#arrivedAt = this.#options.clock.monotonic();
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (error instanceof MediaError) this.#send(answerError(error, []), null);
      else this.#options.logger.error({ err: error }, 'rtsp connection failed');
      this.#finish(messageOf(error));
      this.#socket.destroySoon();
    }
  }

  #enqueue(request: RtspRequest): void {
    if (this.#closed) return;
    this.#hasAsked = true;
    if (this.#waiting.length >= MAX_WAITING_REQUESTS) {
      this.close('too many requests at once');
      return;
    }
    this.#waiting.push(request);
    if (!this.#answering) void this.#answerAll();
  }

  /** Never rejects. */
  async #answerAll(): Promise<void> {
    this.#answering = true;
    for (let request = this.#waiting.shift(); request !== undefined; request = this.#waiting.shift()) {
      const answer = await this.#answer(request);
      if (this.#closed) break;
      this.#send(answer, header(request, 'cseq'));
      if (answer.status === 401 && ++this.#failedLogins >= MAX_FAILED_LOGINS) {
        this.#finish('too many failed logins');
        this.#socket.destroySoon();
      }
      if (request.method === 'TEARDOWN' && answer.status === 200) {
        this.#finish('TEARDOWN');
        this.#sayGoodbye();
      }
    }
    this.#answering = false;
  }

  /**
   * The answer, then the end of our side alone: a client may still be sending, and bytes that find a closed socket reset
   * the connection, with the answer in it.
   */
  #sayGoodbye(): void {
    this.#socket.end();
    const deadline = this.#options.clock.after(LINGER_MS, () => { this.#socket.destroy(); });
    this.#socket.once('close', () => { deadline[Symbol.dispose](); });
  }

  async #answer(request: RtspRequest): Promise<RtspAnswer> {
    try {
      return await this.#requests.handle(request, () => this.#closed);
    } catch (error) {
      if (!(error instanceof MediaError)) this.#options.logger.error({ err: error, method: request.method }, 'rtsp request failed');
      return answerError(error, error instanceof MediaError ? this.#options.access.challenge(error) : []);
    }
  }

  #send(answer: RtspAnswer, cseq: string | null): void {
    this.#write(encodeAnswer(answer, cseq));
  }

  #sendInterleaved(channel: number, bytes: Buffer): void {
    const head = Buffer.from([0x24, channel, bytes.length >> 8, bytes.length & 0xff]);
    this.#write(Buffer.concat([head, bytes]));
  }

  /** A client that does not read what it is told is let go: nothing piles up for it. */
  #write(bytes: Buffer): void {
    if (this.#socket.destroyed || !this.#socket.writable) return;
    if (this.#socket.writableLength + bytes.length > MAX_UNSENT_BYTES) this.close('client does not read');
    else this.#socket.write(bytes);
  }
}
