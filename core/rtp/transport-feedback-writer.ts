/** Transport-wide congestion control feedback, written: draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1. */
import { REFERENCE_MICROS, TICK_MICROS } from './transport-feedback.ts';
import { SequenceUnwrapper } from './unwrap.ts';

/** Packets one feedback tells of at most: two bytes of delta each keep it under 1,200 bytes. */
const MAX_STATUSES = 400;
/** Gaps wider than this are not reported packet by packet: the sender restarted or jumped. */
const MAX_GAP = 1_000;
/** Arrivals kept between two feedbacks. */
const MAX_PENDING = 4_000;

/**
 * Gathers arrivals and turns them into feedback packets. A packet that is new and yet dropped must not be recorded: acknowledged here, it is
 * never retransmitted (WEBRTC-NOTES).
 */
export class TransportFeedbackBuilder {
  readonly #sender: number;
  readonly #media: number;
  readonly #unwrapper = new SequenceUnwrapper();
  /** Unwrapped transport sequence number → arrival in µs. */
  #pending = new Map<number, number>();
  #next: number | null = null;
  #feedbackCount = 0;

  constructor(senderSsrc: number, mediaSsrc: number) {
    this.#sender = senderSsrc;
    this.#media = mediaSsrc;
  }

  /** Arrivals waiting to be reported. */
  get pending(): number {
    return this.#pending.size;
  }

  /** `transportSequence`: the extension's 16 bits; `arrivalMicros`: monotonic. */
  record(transportSequence: number, arrivalMicros: number): void {
    const sequence = this.#unwrapper.unwrap(transportSequence);
    if (this.#pending.size < MAX_PENDING && !this.#pending.has(sequence)) this.#pending.set(sequence, arrivalMicros);
  }

  /** Feedback packets for everything recorded since the last call, those that did not arrive in between included. */
  build(): Buffer[] {
    if (this.#pending.size === 0) return [];
    const received = [...this.#pending.keys()].sort((a, b) => a - b);
    const packets: Buffer[] = [];
    let index = 0;
    while (index < received.length) {
      const first = received[index] ?? 0;
      // A gap at the boundary must be told, too: start where the last feedback ended. A late packet starts at itself.
      const base = this.#next !== null && this.#next < first && first - this.#next < MAX_GAP ? this.#next : first;
      const count = this.#writeOne(base, received, index, packets);
      index += count;
      const last = received[index - 1] ?? first;
      this.#next = Math.max(this.#next ?? 0, last + 1);
    }
    this.#pending = new Map();
    return packets;
  }

  /** Writes one packet from `base` on; returns how many of `received` (from `start`) it took, at least 1. */
  #writeOne(base: number, received: readonly number[], start: number, packets: Buffer[]): number {
    const firstArrival = this.#pending.get(received[start] ?? 0) ?? 0;
    const reference = Math.floor(firstArrival / REFERENCE_MICROS);
    let time = reference * REFERENCE_MICROS;
    const symbols: number[] = [];
    const deltas: number[] = [];
    let taken = 0;
    for (let i = start; i < received.length; i++) {
      const sequence = received[i] ?? 0;
      const ticks = Math.round(((this.#pending.get(sequence) ?? 0) - time) / TICK_MICROS);
      const position = sequence - base;
      if (taken > 0 && (position >= MAX_STATUSES || ticks < -32_768 || ticks > 32_767)) break;
      while (symbols.length < position) symbols.push(0);
      symbols.push(ticks >= 0 && ticks <= 255 ? 1 : 2);
      deltas.push(ticks);
      time += ticks * TICK_MICROS;
      taken++;
    }
    packets.push(this.#encode(base, reference, symbols, deltas));
    return taken;
  }

  #encode(base: number, reference: number, symbols: readonly number[], deltas: readonly number[]): Buffer {
    const chunks = encodeChunks(symbols);
    let length = 20 + chunks.length * 2;
    for (const delta of deltas) length += delta >= 0 && delta <= 255 ? 1 : 2;
    const padding = (4 - (length % 4)) % 4;
    const bytes = Buffer.alloc(length + padding);
    bytes[0] = 0x80 | (padding > 0 ? 0x20 : 0) | 15;
    bytes[1] = 205;
    bytes.writeUInt16BE(bytes.length / 4 - 1, 2);
    bytes.writeUInt32BE(this.#sender, 4);
    bytes.writeUInt32BE(this.#media, 8);
    bytes.writeUInt16BE(base & 0xffff, 12);
    bytes.writeUInt16BE(symbols.length, 14);
    bytes.writeUIntBE(reference & 0xff_ffff, 16, 3);
    bytes[19] = this.#feedbackCount++ & 0xff;
    let offset = 20;
    for (const chunk of chunks) offset = bytes.writeUInt16BE(chunk, offset);
    for (const delta of deltas) {
      offset = delta >= 0 && delta <= 255 ? bytes.writeUInt8(delta, offset) : bytes.writeInt16BE(delta, offset);
    }
    if (padding > 0) bytes[bytes.length - 1] = padding;
    return bytes;
  }
}

/** Run-length chunks for runs of 7 and more, else status vectors of seven 2-bit symbols. */
const encodeChunks = (symbols: readonly number[]): number[] => {
  const chunks: number[] = [];
  for (let i = 0; i < symbols.length; ) {
    const symbol = symbols[i] ?? 0;
    let run = 1;
    while (symbols[i + run] === symbol && run < 0x1fff) run++;
    if (run >= 7) {
      chunks.push((symbol << 13) | run);
      i += run;
      continue;
    }
    let chunk = 0xc000;
    for (let k = 0; k < 7; k++) chunk |= (symbols[i + k] ?? 0) << (12 - 2 * k);
    chunks.push(chunk);
    i += 7;
  }
  return chunks;
};
