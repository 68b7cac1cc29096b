import { InterarrivalJitter } from '../../core/rtp/interarrival-jitter.ts';
import type { RtpPacket } from '../../core/rtp/port.ts';
import type { ReportBlock } from '../../core/rtp/rtcp.ts';
import { sequenceDelta } from '../../core/rtp/unwrap.ts';
import type { Milliseconds } from '../../core/units.ts';

/** What a receiver knows of one RTP source on an ordered transport, and tells it in receiver reports (RFC 3550 §6.4.1, A.3). */
export class Reception {
  readonly #jitter: InterarrivalJitter;
  #ssrc: number | null = null;
  #highest = 0;
  #cycles = 0;
  #base = 0;
  #received = 0;
  #formerLost = 0;
  #reportedExpected = 0;
  #reportedReceived = 0;
  #lastSr = 0;
  #lastSrAt: Milliseconds = 0;
  #packets = 0;
  #bytes = 0;

  constructor(clockRate: number) {
    this.#jitter = new InterarrivalJitter(clockRate);
  }

  get packets(): number {
    return this.#packets;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get jitterMs(): Milliseconds {
    return this.#jitter.milliseconds;
  }

  /** Packets that never came, over all sources. */
  get lost(): number {
    return this.#formerLost + Math.max(0, this.#expected - this.#received);
  }

  /** Counts a packet; true when it does not follow the one before (packets are missing or the source changed). */
  receive(packet: RtpPacket, arrivedAt: Milliseconds): boolean {
    this.#packets++;
    this.#bytes += packet.byteLength;
    const { sequenceNumber } = packet;
    if (packet.ssrc !== this.#ssrc) {
      const changed = this.#ssrc !== null;
      this.#formerLost = this.lost;
      this.#ssrc = packet.ssrc;
      this.#base = this.#highest = sequenceNumber;
      this.#cycles = 0;
      this.#received = 1;
      this.#reportedExpected = this.#reportedReceived = 0;
      if (changed) this.#lastSr = 0; // a report that came before the first packet stays
      return changed;
    }
    this.#received++;
    if (packet.marker) this.#jitter.update(packet.timestamp, arrivedAt); // once per picture: its packets share a timestamp
    const delta = sequenceDelta(sequenceNumber, this.#highest);
    if (delta > 0) {
      if (sequenceNumber < this.#highest) this.#cycles += 0x1_0000;
      this.#highest = sequenceNumber;
    }
    return delta !== 1;
  }

  /** Takes note of a sender report, for its round trip. `ntpMiddle`: the middle 32 bits of its NTP time. */
  senderReport(ntpMiddle: number, arrivedAt: Milliseconds): void {
    this.#lastSr = ntpMiddle;
    this.#lastSrAt = arrivedAt;
  }

  /** A report block since the last one, or null before the first packet. */
  report(now: Milliseconds): ReportBlock | null {
    if (this.#ssrc === null) return null;
    const expected = this.#expected - this.#reportedExpected;
    const lost = expected - (this.#received - this.#reportedReceived);
    this.#reportedExpected = this.#expected;
    this.#reportedReceived = this.#received;
    return {
      ssrc: this.#ssrc,
      fractionLost: expected > 0 && lost > 0 ? Math.min(255, Math.floor((lost * 256) / expected)) : 0,
      cumulativeLost: this.#expected - this.#received,
      highestSequence: this.#cycles + this.#highest,
      jitter: this.#jitter.ticks,
      lastSr: this.#lastSr,
      delaySinceLastSr: this.#lastSr === 0 ? 0 : Math.round(((now - this.#lastSrAt) * 65_536) / 1000),
    };
  }

  get #expected(): number {
    return this.#ssrc === null ? 0 : this.#cycles + this.#highest - this.#base + 1;
  }
}
