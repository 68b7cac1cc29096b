/** The sending side of RTSP over TCP (RFC 2326 ANNOUNCE/RECORD), for the demo's cameras and those of tests: packets go out as they are given. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import { socketHost } from '../core/listener-url.ts';
import { RTP_HEADER_BYTES, writeRtpHeader } from '../core/rtp/packet.ts';

const ANSWER_MS = 10_000;

export interface PublicationTarget {
  /** `rtsp://host:port/camera` */
  readonly url: string;
  /** The camera's publish key, sent as Basic password. */
  readonly key: string;
}

export interface PublishedMedia {
  readonly payloadType: number;
  /** Lines of its SDP section from `m=` on, without `a=control`. */
  readonly sdp: readonly string[];
}

export class RtspPublication implements Disposable {
  readonly #target: PublicationTarget;
  readonly #media: readonly { readonly payloadType: number; readonly ssrc: number; sequence: number }[];
  readonly #socket: Socket;
  #cseq = 0;
  #session: string | null = null;

  private constructor(target: PublicationTarget, media: readonly PublishedMedia[], socket: Socket) {
    this.#target = target;
    this.#media = media.map(({ payloadType }) => ({ payloadType, ssrc: Math.floor(Math.random() * 2 ** 32), sequence: 1 }));
    this.#socket = socket;
  }

  /** Resolves once the server answered RECORD with 200. Throws with the server's status otherwise. */
  static async start(target: PublicationTarget, media: readonly PublishedMedia[]): Promise<RtspPublication> {
    const url = new URL(target.url);
    const socket = connect(Number(url.port), socketHost(url));
    socket.setNoDelay(true);
    await once(socket, 'connect');
    const publication = new RtspPublication(target, media, socket);
    const sdp = ['v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=clip', 'c=IN IP4 0.0.0.0', 't=0 0', ...media.flatMap((each, i) => [...each.sdp, `a=control:streamid=${i}`]), ''].join('\r\n');
    await publication.#request('ANNOUNCE', target.url, ['Content-Type: application/sdp'], sdp);
    for (const i of media.keys()) await publication.#request('SETUP', `${target.url}/streamid=${i}`, [`Transport: RTP/AVP/TCP;unicast;interleaved=${2 * i}-${2 * i + 1};mode=record`]);
    await publication.#request('RECORD', target.url, ['Range: npt=0-']);
    socket.on('data', () => undefined); // receiver reports
    socket.on('error', () => undefined);
    return publication;
  }

  /** Sends one packet of medium number `index`. `timestamp` is taken modulo 2³². */
  send(index: number, payload: readonly Buffer[], marker: boolean, timestamp: number): void {
    const medium = this.#media[index];
    if (!medium) throw new RangeError(`there is no medium ${index}`);
    let length = RTP_HEADER_BYTES;
    for (const piece of payload) length += piece.length;
    const bytes = Buffer.allocUnsafe(4 + length);
    bytes[0] = 0x24; // interleaved, RFC 2326 §10.12
    bytes[1] = 2 * index;
    bytes.writeUInt16BE(length, 2);
    writeRtpHeader(bytes.subarray(4), { marker, payloadType: medium.payloadType, sequenceNumber: medium.sequence++, timestamp, ssrc: medium.ssrc });
    let offset = 4 + RTP_HEADER_BYTES;
    for (const piece of payload) offset += piece.copy(bytes, offset);
    this.#socket.write(bytes);
  }

  /** Says goodbye and resolves when the connection is gone. Throws when the server does not let go of it. */
  async teardown(): Promise<void> {
    this.#write('TEARDOWN', this.#target.url, [], '');
    this.#socket.end();
    if (!this.#socket.closed) await once(this.#socket, 'close', { signal: AbortSignal.timeout(ANSWER_MS) });
  }

  /** Resolves when the connection is gone, whoever ended it. */
  async closed(): Promise<void> {
    if (!this.#socket.closed) await once(this.#socket, 'close');
  }

  /** Ends as a camera whose power was cut: no TEARDOWN. */
  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #request(method: string, url: string, headers: readonly string[], body = ''): Promise<void> {
    this.#write(method, url, headers, body);
    const [answer] = (await once(this.#socket, 'data', { signal: AbortSignal.timeout(ANSWER_MS) })) as [Buffer];
    const text = answer.toString('latin1');
    if (!text.startsWith('RTSP/1.0 200')) {
      this.#socket.destroy();
      throw new Error(`${method} was answered ${text.split('\r\n', 1)[0] ?? ''}`);
    }
    this.#session ??= /^session: *([^;\r]+)/im.exec(text)?.[1] ?? null;
  }

  #write(method: string, url: string, headers: readonly string[], body: string): void {
    const basic = Buffer.from(`camera:${this.#target.key}`).toString('base64');
    const lines = [`${method} ${url} RTSP/1.0`, `CSeq: ${++this.#cseq}`, `Authorization: Basic ${basic}`, ...(this.#session ? [`Session: ${this.#session}`] : []), ...headers, ...(body ? [`Content-Length: ${Buffer.byteLength(body)}`] : []), '', body];
    this.#socket.write(lines.join('\r\n'));
  }
}
