import { isRtcp } from '../../core/rtp/packet.ts';
import { writeNack, writeReceiverReport } from '../../core/rtp/rtcp-writer.ts';
import { BarePeer } from './bare-peer.ts';
import { machineMs } from './machine-clock.ts';

const REPORT_MS = 1_000;
const SSRC = 7;

/** A WHEP viewer that decodes nothing: it notes when each picture was there, asks once for what is missing, and reports every second. */
export class BareViewer {
  /** RTP timestamp and machine time of the last packet (marker) of each picture that came. */
  readonly complete: { readonly timestamp: number; readonly at: number }[] = [];
  #packets = 0;
  #missing = 0;
  #expected: number | null = null;
  #media = 0;
  #peer: BarePeer | null = null;

  static async start(url: string, token: string): Promise<BareViewer> {
    const viewer = new BareViewer();
    viewer.#peer = await BarePeer.connect({ url, token, direction: 'RecvOnly', onMessage: (packet) => { viewer.#onMessage(packet); } });
    setInterval(() => { viewer.#peer?.track.sendMessageBinary(writeReceiverReport(SSRC, [])); }, REPORT_MS);
    return viewer;
  }

  get packets(): number { return this.#packets; }
  /** Packets that did not come in order at first; most of them come again. */
  get missing(): number { return this.#missing; }

  #onMessage(packet: Buffer): void {
    if (isRtcp(packet)) return;
    this.#packets++;
    const sequence = packet.readUInt16BE(2);
    this.#media = packet.readUInt32BE(8);
    if (this.#expected !== null) {
      const ahead = (sequence - this.#expected) & 0xffff;
      if (ahead >= 0x8000) return; // a late one
      if (ahead > 0) this.#ask(this.#expected, ahead);
    }
    this.#expected = (sequence + 1) & 0xffff;
    if ((packet.readUInt8(1) & 0x80) !== 0) this.complete.push({ timestamp: packet.readUInt32BE(4), at: machineMs() });
  }

  #ask(from: number, count: number): void {
    this.#missing += count;
    const lost = Array.from({ length: Math.min(count, 200) }, (_, i) => (from + i) & 0xffff);
    this.#peer?.track.sendMessageBinary(writeNack(SSRC, this.#media, lost));
  }
}
