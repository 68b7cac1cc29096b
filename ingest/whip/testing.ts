/** Stand-ins for the transport and the camera's stream, for tests of the publisher. */
import type { AccessUnit } from '../../core/access-unit.ts';
import { Hub } from '../../core/hub.ts';
import { RTP_HEADER_BYTES, writeRtpHeader } from '../../core/rtp/packet.ts';
import type { RtpHeader } from '../../core/rtp/packet.ts';
import { parseRtcp } from '../../core/rtp/rtcp.ts';
import type { RtcpPacket } from '../../core/rtp/rtcp.ts';
import type { DataLane, PeerState, TransportParameters, WebRtcPeer } from '../../transport/webrtc/port.ts';
import type { CameraStream, Publication, PublisherDriver, SessionInfo } from '../port.ts';

export class FakePeer implements WebRtcPeer {
  readonly transport: TransportParameters = { iceUfrag: 'abcd', icePwd: 'a'.repeat(22), fingerprint: { algorithm: 'sha-256', value: 'AA' }, setup: 'passive', candidates: [] };
  readonly tracks = [];
  state: PeerState = 'connecting';
  isDisposed = false;
  readonly sent: RtcpPacket[] = [];
  readonly candidates: string[] = [];
  #state: ((state: PeerState) => void) | undefined;
  #packet: ((packet: Buffer) => void) | undefined;

  onState(listener: (state: PeerState) => void): void { this.#state = listener; }
  onPacket(listener: (packet: Buffer) => void): void { this.#packet = listener; }
  onDataLane(): void { /* nobody opens one here */ }
  createDataLane(): DataLane { throw new Error('a publisher is opened no channel'); }
  addRemoteCandidate(candidate: string): void { this.candidates.push(candidate); }
  sendRtcp(packet: Buffer): boolean {
    this.sent.push(...parseRtcp(packet));
    return true;
  }
  [Symbol.dispose](): void { this.isDisposed = true; }

  become(state: PeerState): void {
    this.state = state;
    this.#state?.(state);
  }
  receive(packet: Buffer): void { this.#packet?.(packet); }
  /** What was sent since the last call, of one type. */
  take<T extends RtcpPacket['type']>(type: T): Extract<RtcpPacket, { type: T }>[] {
    const found = this.sent.filter((packet): packet is Extract<RtcpPacket, { type: T }> => packet.type === type);
    this.sent.length = 0;
    return found;
  }
}

/** A stream that keeps what is published. */
export class FakeStream implements CameraStream {
  readonly camera = 'line-1';
  readonly hub = new Hub<AccessUnit>();
  readonly session: SessionInfo | null = null;
  readonly tracks = null;
  readonly units: AccessUnit[] = [];
  readonly ended: string[] = [];
  #seq = 0;

  stats(): null { return null; }
  requestKeyframe(): void { /* the driver is asked directly */ }
  onSession(): Disposable { return { [Symbol.dispose]: () => undefined }; }
  beginPublication(_driver: PublisherDriver): Publication {
    return {
      stream: this,
      epoch: 1_750_000_000_000,
      publish: (unit) => { this.units.push(unit); },
      nextSeq: () => this.#seq++,
      end: (how, reason) => { this.ended.push(`${how}: ${reason}`); },
    };
  }
}

/** An RTP packet with one-byte header extensions (RFC 8285 §4.2). */
export const packetWith = (payload: Uint8Array, header: Partial<RtpHeader>, extensions: readonly { readonly id: number; readonly data: Uint8Array }[] = []): Buffer => {
  const elements = Buffer.concat(extensions.flatMap(({ id, data }) => [Buffer.from([(id << 4) | (data.length - 1)]), data]));
  const words = Math.ceil(elements.length / 4);
  const block = Buffer.alloc(extensions.length === 0 ? 0 : 4 + 4 * words);
  if (extensions.length > 0) {
    block.writeUInt16BE(0xbede, 0);
    block.writeUInt16BE(words, 2);
    elements.copy(block, 4);
  }
  const bytes = Buffer.concat([Buffer.alloc(RTP_HEADER_BYTES), block, payload]);
  writeRtpHeader(bytes, { marker: false, payloadType: 96, sequenceNumber: 0, timestamp: 0, ssrc: 1, ...header });
  if (extensions.length > 0) bytes[0] = 0x90;
  return bytes;
};
