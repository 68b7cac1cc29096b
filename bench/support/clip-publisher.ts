import { toAvcc } from '../../core/codec/h264/nal.ts';
import { H264Packetizer } from '../../core/rtp/h264-packetizer.ts';
import { RTP_HEADER_BYTES, isRtcp, writeRtpHeader } from '../../core/rtp/packet.ts';
import { parseRtcp } from '../../core/rtp/rtcp.ts';
import { readClip } from '../../test/integration/clip.ts';
import type { Clip } from '../../test/integration/clip.ts';
import { BarePeer } from './bare-peer.ts';
import { machineMs } from './machine-clock.ts';

const SSRC = 0x1f1f_0001;
const MAX_PAYLOAD_BYTES = 1_150;
const HISTORY = 2_048;
const FPS = 30;
const TICKS = 90_000 / FPS;

/** When one picture left: its first and its last packet. Machine clock. */
export interface SentPicture {
  readonly timestamp: number;
  readonly firstAt: number;
  readonly lastAt: number;
  readonly key: boolean;
}

/** Publishes a clip of 30 pictures per second by WHIP, in real time and round and round; answers NACKs. */
export class ClipPublisher {
  readonly sent: SentPicture[] = [];
  #packets = 0;
  readonly #clip: Clip;
  readonly #packetizer = new H264Packetizer(MAX_PAYLOAD_BYTES);
  readonly #history: Buffer[] = [];
  #peer: BarePeer | null = null;
  #sequence = 1;
  #timestamp = 100_000;
  #next = 0;
  #beganAt = 0;

  private constructor(clip: Clip) { this.#clip = clip; }

  static async start(options: { readonly file: string; readonly url: string; readonly token: string }): Promise<ClipPublisher> {
    const publisher = new ClipPublisher(await readClip(options.file));
    publisher.#peer = await BarePeer.connect({ url: options.url, token: options.token, direction: 'SendOnly', ssrc: SSRC, onMessage: (packet) => { publisher.#onMessage(packet); } });
    publisher.#beganAt = machineMs();
    publisher.#tick();
    return publisher;
  }

  get packets(): number { return this.#packets; }

  #tick(): void {
    const now = machineMs();
    while (this.#dueAt() <= now) this.#sendNext();
    setTimeout(() => { this.#tick(); }, Math.max(0, this.#dueAt() - machineMs()));
  }

  #dueAt(): number { return this.#beganAt + (this.#next * 1000) / FPS; }

  #sendNext(): void {
    const unit = this.#clip.units[this.#next++ % this.#clip.units.length];
    if (!unit) throw new Error('the clip is empty');
    this.#timestamp = (this.#timestamp + TICKS) >>> 0;
    const { sps, pps } = this.#clip.tracks.video;
    const data = unit.randomAccess ? Buffer.concat([toAvcc([sps, pps]), unit.data]) : unit.data;
    const firstAt = machineMs();
    this.#packetizer.packetize(data, this.#emit);
    this.sent.push({ timestamp: this.#timestamp, firstAt, lastAt: machineMs(), key: unit.randomAccess });
  }

  readonly #emit = (payload: readonly Buffer[], last: boolean): void => {
    const packet = Buffer.concat([Buffer.alloc(RTP_HEADER_BYTES), ...payload]);
    writeRtpHeader(packet, { marker: last, payloadType: 96, sequenceNumber: this.#sequence, timestamp: this.#timestamp, ssrc: SSRC });
    this.#history[this.#sequence % HISTORY] = packet;
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#packets++;
    this.#peer?.track.sendMessageBinary(packet);
  };

  #onMessage(packet: Buffer): void {
    if (!isRtcp(packet)) return;
    for (const report of parseRtcp(packet)) {
      if (report.type !== 'nack') continue;
      for (const lost of report.lost) {
        const again = this.#history[lost % HISTORY];
        if (again?.readUInt16BE(2) === lost) this.#peer?.track.sendMessageBinary(again);
      }
    }
  }
}
