import type { Milliseconds } from '../units.ts';
import { InterarrivalJitter } from './interarrival-jitter.ts';
import type { RtpPacket } from './port.ts';
import { sequenceDelta } from './unwrap.ts';

export interface JitterBufferOptions {
  /** How long a missing packet is waited for before it is given up. */
  readonly delayMs: Milliseconds;
  /** Of the RTP timestamps, for the jitter. */
  readonly clockRate: number;
  /** Packets held at most; also the widest jump of sequence numbers that still counts as the same flow. Default 2,048. */
  readonly maxPackets?: number;
  /** A packet merely out of order gets this long before it is asked for. Default 5 ms. */
  readonly reorderMs?: Milliseconds;
  /** Between two requests of the same packet; best a round trip. Default 60 ms; see `setRetryMs`. */
  readonly retryMs?: Milliseconds;
}

export interface JitterBufferStats {
  readonly received: number;
  /** Given up: never came, or came too late. */
  readonly lost: number;
  /** Came after they had been asked for. */
  readonly recovered: number;
  readonly late: number;
  readonly duplicate: number;
  /** RFC 3550 A.8, in ms. */
  readonly jitterMs: Milliseconds;
}

/** What comes out, in order. */
export interface JitterBufferSink {
  packet(packet: RtpPacket): void;
  /** `count` packets before the next one are given up. */
  lost(count: number): void;
}

interface Missing {
  readonly since: Milliseconds;
  nextRequest: Milliseconds;
  requests: number;
}

/**
 * Puts the packets of one SSRC in order. A packet in order comes out at once; one behind a hole waits until the hole is filled or
 * `delayMs` is over. Pure: the caller brings the monotonic time. Drive it so: `push` each packet, then `pop`; and on a timer
 * (every ~10 ms) `pop` and `requests`.
 */
export class JitterBuffer {
  readonly #options: JitterBufferOptions;
  readonly #size: number;
  readonly #slots: (RtpPacket | undefined)[];
  readonly #missing = new Map<number, Missing>();
  readonly #jitter: InterarrivalJitter;
  /** Unwrapped: the next to come out, and one above the highest that came. */
  #next: number | null = null;
  #end = 0;
  #retryMs: Milliseconds;
  /** The sequence number that would confirm a jump (RFC 3550 A.1). */
  #jumpTo: number | null = null;
  #pendingLoss = 0;
  #received = 0;
  #lost = 0;
  #recovered = 0;
  #late = 0;
  #duplicate = 0;

  constructor(options: JitterBufferOptions) {
    this.#options = options;
    this.#size = 2 ** Math.ceil(Math.log2(options.maxPackets ?? 2_048));
    this.#slots = new Array<RtpPacket | undefined>(this.#size);
    this.#retryMs = options.retryMs ?? 60;
    this.#jitter = new InterarrivalJitter(options.clockRate);
  }

  /** Takes a measured round trip into the retry schedule; kept within 20–200 ms. */
  setRetryMs(ms: Milliseconds): void {
    this.#retryMs = Math.min(200, Math.max(20, ms));
  }

  get stats(): JitterBufferStats {
    return { received: this.#received, lost: this.#lost, recovered: this.#recovered, late: this.#late, duplicate: this.#duplicate, jitterMs: this.#jitter.milliseconds };
  }

  /** Extended highest sequence number received, for receiver reports (RFC 3550 §6.4.1). */
  get highestSequence(): number {
    return this.#next === null ? 0 : (this.#end - 1) >>> 0;
  }

  /**
   * Whether the packet may be acknowledged. A late one and a duplicate may: the network did deliver them, and Chromium probes for bandwidth by sending
   * old packets again as RTX; unacknowledged they look lost, and its estimate stays at 0.3 Mbit/s. A lone jump may not: it is dropped though it is new.
   */
  push(packet: RtpPacket, now: Milliseconds): boolean {
    if (this.#next === null) this.#start(packet.sequenceNumber);
    const delta = sequenceDelta(packet.sequenceNumber, (this.#end - 1) & 0xffff);
    if (Math.abs(delta) >= this.#size) return this.#jump(packet, now);
    this.#jumpTo = null;
    const sequence = this.#end - 1 + delta;
    const next = this.#next ?? sequence;
    if (sequence < next) {
      this.#late++;
      return true;
    }
    const slot = sequence & (this.#size - 1);
    if (sequence < this.#end && this.#slots[slot]) {
      this.#duplicate++;
      return true;
    }
    if (sequence >= next + this.#size) this.#giveUp(sequence - this.#size + 1);
    for (let s = Math.max(this.#end, this.#next ?? 0); s < sequence; s++) {
      this.#missing.set(s, { since: now, nextRequest: now + (this.#options.reorderMs ?? 5), requests: 0 });
    }
    const missed = this.#missing.get(sequence);
    if (missed) {
      this.#missing.delete(sequence);
      if (missed.requests > 0) this.#recovered++;
    }
    this.#slots[slot] = packet;
    if (sequence >= this.#end) this.#end = sequence + 1;
    this.#received++;
    // A retransmission says nothing about the network's jitter.
    if (!missed) this.#jitter.update(packet.timestamp, now);
    return true;
  }

  /** Hands out everything that is due, in order. */
  pop(now: Milliseconds, sink: JitterBufferSink): void {
    while (this.#next !== null && this.#next < this.#end) {
      const slot = this.#next & (this.#size - 1);
      const packet = this.#slots[slot];
      if (!packet) {
        const missed = this.#missing.get(this.#next);
        if (missed && now - missed.since < this.#options.delayMs) return;
        this.#giveUp(this.#next + 1);
        continue;
      }
      this.#slots[slot] = undefined;
      this.#next++;
      if (this.#pendingLoss > 0) sink.lost(this.#pendingLoss);
      this.#pendingLoss = 0;
      sink.packet(packet);
    }
  }

  /** Sequence numbers to ask for now (NACK), ascending; each is scheduled again. At most 200. */
  requests(now: Milliseconds): number[] {
    const due: number[] = [];
    for (const [sequence, missing] of this.#missing) {
      if (missing.nextRequest > now) continue;
      missing.requests++;
      missing.nextRequest = now + this.#retryMs;
      due.push(sequence & 0xffff);
      if (due.length === 200) break;
    }
    return due;
  }

  /** When `pop` or `requests` will next have something to do; null when nothing is missing. */
  nextDeadline(): Milliseconds | null {
    let deadline: Milliseconds | null = null;
    for (const missing of this.#missing.values()) {
      const due = Math.min(missing.nextRequest, missing.since + this.#options.delayMs);
      if (deadline === null || due < deadline) deadline = due;
    }
    return deadline;
  }

  #start(sequenceNumber: number): void {
    // One cycle up, so that a packet sent before the first one received is never negative.
    this.#next = sequenceNumber + 0x1_0000;
    this.#end = this.#next;
  }

  /** Skips to `to`: what is missing or still held before it is lost. */
  #giveUp(to: number): void {
    if (this.#next === null) return;
    const limit = Math.min(to, this.#next + this.#size);
    for (let s = this.#next; s < limit; s++) {
      this.#missing.delete(s);
      this.#slots[s & (this.#size - 1)] = undefined;
    }
    const count = to - this.#next;
    this.#lost += count;
    this.#pendingLoss += count;
    this.#next = to;
    if (this.#end < to) this.#end = to;
  }

  /** A jump counts when two packets in a row agree on it (RFC 3550 A.1); a lone one is dropped. */
  #jump(packet: RtpPacket, now: Milliseconds): boolean {
    if (packet.sequenceNumber !== this.#jumpTo) {
      this.#jumpTo = (packet.sequenceNumber + 1) & 0xffff;
      this.#late++;
      return false;
    }
    this.#jumpTo = null;
    this.#missing.clear();
    this.#slots.fill(undefined);
    this.#lost++; // how many is unknown
    this.#pendingLoss++;
    const cycles = this.#end - (this.#end & 0xffff) + 0x1_0000;
    this.#next = cycles + packet.sequenceNumber;
    this.#end = this.#next;
    return this.push(packet, now);
  }
}
