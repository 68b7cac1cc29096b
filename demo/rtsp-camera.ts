/** A camera for the demo and for tests: pushes a clip in a loop by RTSP over TCP (RFC 2326 ANNOUNCE/RECORD), in real time, as a camera would. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import { H264Packetizer } from '../core/rtp/h264-packetizer.ts';
import { systemClock } from '../core/clock.ts';
import { socketHost } from '../core/listener-url.ts';
import type { Clip } from './mp4-clip.ts';

const MAX_PAYLOAD = 1400;
const PAYLOAD_TYPE = 96;
const ANSWER_MS = 10_000;

export interface RtspCameraOptions {
  /** `rtsp://host:port/camera` */
  readonly url: string;
  /** The camera's publish key, sent as Basic password. */
  readonly key: string;
  readonly clip: Clip;
  /** Called for each picture sent, with its RTP timestamp and its index in the clip. */
  readonly onPicture?: (rtpTimestamp: number, index: number) => void;
}

export class RtspCamera implements Disposable {
  readonly #options: RtspCameraOptions;
  readonly #socket: Socket;
  #cseq = 0;
  #session: string | null = null;
  #timer: Disposable | null = null;
  #sequence = 1;
  #index = 0;
  #loops = 0;
  readonly #rtpBase = Math.floor(Math.random() * 2 ** 32);
  readonly #ssrc = Math.floor(Math.random() * 2 ** 32);
  readonly #packetizer = new H264Packetizer(MAX_PAYLOAD);
  #started = 0;

  private constructor(options: RtspCameraOptions, socket: Socket) {
    this.#options = options;
    this.#socket = socket;
  }

  /** Resolves once the server answered RECORD with 200. Throws with the server's status otherwise. */
  static async start(options: RtspCameraOptions): Promise<RtspCamera> {
    const url = new URL(options.url);
    const socket = connect(Number(url.port), socketHost(url));
    socket.setNoDelay(true);
    await once(socket, 'connect');
    const camera = new RtspCamera(options, socket);
    const { clip } = options;
    const sdp = [
      'v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=clip', 'c=IN IP4 0.0.0.0', 't=0 0', `m=video 0 RTP/AVP ${PAYLOAD_TYPE}`, `a=rtpmap:${PAYLOAD_TYPE} H264/90000`,
      `a=fmtp:${PAYLOAD_TYPE} packetization-mode=1;sprop-parameter-sets=${clip.sps.toString('base64')},${clip.pps.toString('base64')}`, 'a=control:streamid=0', '',
    ].join('\r\n');
    await camera.#request('ANNOUNCE', options.url, ['Content-Type: application/sdp'], sdp);
    await camera.#request('SETUP', `${options.url}/streamid=0`, ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record']);
    await camera.#request('RECORD', options.url, ['Range: npt=0-']);
    socket.on('data', () => undefined); // receiver reports
    socket.on('error', () => undefined);
    camera.#started = systemClock.monotonic();
    camera.#timer = systemClock.every(5, () => camera.#send());
    return camera;
  }

  /** Resolves when the connection is gone, whoever ended it. */
  async closed(): Promise<void> {
    if (!this.#socket.closed) await once(this.#socket, 'close');
  }

  /** Ends as a camera whose power was cut: no TEARDOWN. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#socket.destroy();
  }

  async #request(method: string, url: string, headers: readonly string[], body = ''): Promise<void> {
    const basic = Buffer.from(`camera:${this.#options.key}`).toString('base64');
    const lines = [`${method} ${url} RTSP/1.0`, `CSeq: ${++this.#cseq}`, `Authorization: Basic ${basic}`, ...(this.#session ? [`Session: ${this.#session}`] : []), ...headers, ...(body ? [`Content-Length: ${Buffer.byteLength(body)}`] : []), '', body];
    this.#socket.write(lines.join('\r\n'));
    const [answer] = (await once(this.#socket, 'data', { signal: AbortSignal.timeout(ANSWER_MS) })) as [Buffer];
    const text = answer.toString('latin1');
    if (!text.startsWith('RTSP/1.0 200')) {
      this.#socket.destroy();
      throw new Error(`${method} was answered ${text.split('\r\n', 1)[0] ?? ''}`);
    }
    this.#session ??= /^session: *([^;\r]+)/im.exec(text)?.[1] ?? null;
  }

  #send(): void {
    const { clip } = this.#options;
    const due = (systemClock.monotonic() - this.#started) * 90;
    for (;;) {
      const picture = clip.pictures[this.#index];
      if (!picture || this.#loops * clip.duration + picture.pts > due) return;
      const timestamp = (this.#rtpBase + this.#loops * clip.duration + picture.pts) >>> 0;
      this.#packetizer.packetize(picture.data, (payload, last) => this.#packet(payload, last, timestamp));
      this.#options.onPicture?.(timestamp, this.#index);
      this.#index++;
      if (this.#index === clip.pictures.length) { this.#index = 0; this.#loops++; }
    }
  }

  #packet(payload: readonly Buffer[], marker: boolean, timestamp: number): void {
    let length = 12;
    for (const piece of payload) length += piece.length;
    const bytes = Buffer.allocUnsafe(4 + length);
    bytes[0] = 0x24; // interleaved, RFC 2326 §10.12
    bytes[1] = 0;
    bytes.writeUInt16BE(length, 2);
    bytes[4] = 0x80;
    bytes[5] = PAYLOAD_TYPE | (marker ? 0x80 : 0);
    bytes.writeUInt16BE(this.#sequence++ & 0xffff, 6);
    bytes.writeUInt32BE(timestamp, 8);
    bytes.writeUInt32BE(this.#ssrc, 12);
    let offset = 16;
    for (const piece of payload) offset += piece.copy(bytes, offset);
    this.#socket.write(bytes);
  }
}
