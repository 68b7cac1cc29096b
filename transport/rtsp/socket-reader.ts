/** What comes on an RTSP/TCP socket: messages and interleaved frames, mixed (RFC 2326 §10.12). */
import { MediaError } from '../../core/errors.ts';
import { isStatusLine, MAX_HEADER_BYTES, parseHead, toRequest, toResponse } from './message.ts';
import type { RtspHead, RtspRequest, RtspResponse } from './message.ts';

const DOLLAR = 0x24;
const CR = 0x0d;
const LF = 0x0a;
const NOTHING = Buffer.alloc(0);
const END_OF_HEAD = Buffer.from('\r\n\r\n');

export interface SocketEvents {
  request(request: RtspRequest): void;
  response(response: RtspResponse): void;
  /** From `start` to `end` of the socket's chunk: whoever keeps it keeps the chunk. No view is made: there are hundreds a second. */
  interleaved(channel: number, chunk: Buffer, start: number, end: number): void;
}

/**
 * Takes whole socket chunks and calls back for everything complete in them. Payloads are not copied; only what a chunk's end cut in two is
 * copied. At most one header block, body or frame (64 KiB) is ever held.
 */
export class RtspSocketReader {
  readonly #events: SocketEvents;
  #rest: Buffer = NOTHING;
  #head: RtspHead | null = null;

  constructor(events: SocketEvents) {
    this.#events = events;
  }

  /**
   * Throws MediaError (INVALID_ARGUMENT, PAYLOAD_TOO_LARGE) when the bytes are not RTSP: there is no way to find the next message, so
   * the caller answers and closes.
   */
  push(chunk: Buffer): void {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = NOTHING;
    let at = 0;
    while (at < data.length) {
      const next = this.#head !== null ? this.#body(data, at, this.#head) : data[at] === DOLLAR ? this.#frame(data, at) : this.#message(data, at);
      if (next === at) break; // incomplete
      at = next;
    }
    if (at < data.length) this.#rest = data.subarray(at);
  }

  #frame(data: Buffer, at: number): number {
    if (at + 4 > data.length) return at;
    const end = at + 4 + data.readUInt16BE(at + 2);
    if (end > data.length) return at;
    this.#events.interleaved(data[at + 1] ?? 0, data, at + 4, end);
    return end;
  }

  #message(data: Buffer, at: number): number {
    const first = data[at];
    if (first === CR || first === LF) return at + 1; // empty lines before a message are ignored (RFC 2326 §4.1)
    if (first === undefined || first < 0x41 || first > 0x5a) throw new MediaError('INVALID_ARGUMENT', 'not an RTSP message');
    const end = data.indexOf(END_OF_HEAD, at);
    if ((end < 0 ? data.length : end) - at > MAX_HEADER_BYTES) throw new MediaError('PAYLOAD_TOO_LARGE', 'RTSP header too large');
    if (end < 0) return at;
    const head = parseHead(data.toString('latin1', at, end));
    const start = end + END_OF_HEAD.length;
    if (head.bodyBytes === 0) this.#emit(head, NOTHING);
    else this.#head = head;
    return start;
  }

  #body(data: Buffer, at: number, head: RtspHead): number {
    const end = at + head.bodyBytes;
    if (end > data.length) return at;
    this.#head = null;
    this.#emit(head, Buffer.from(data.subarray(at, end)));
    return end;
  }

  #emit(head: RtspHead, body: Buffer): void {
    if (isStatusLine(head.startLine)) this.#events.response(toResponse(head, body));
    else this.#events.request(toRequest(head, body));
  }
}
