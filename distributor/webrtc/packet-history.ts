import { sequenceDelta } from '../../core/rtp/unwrap.ts';

/**
 * The latest packets of a track, by sequence number: one history for all its viewers. They hold what a new viewer is sent first (the
 * current GOP) and what any viewer may ask for again. Bounded in packets and bytes; the oldest give way.
 */
export class PacketHistory {
  readonly #slots: (Buffer | undefined)[];
  readonly #mask: number;
  readonly #maxBytes: number;
  #first: number;
  #end: number;
  #bytes = 0;

  /** `maxPackets`: a power of two, at most 2^15. `firstSequence`: 0..65535. */
  constructor(maxPackets: number, maxBytes: number, firstSequence: number) {
    this.#slots = new Array<Buffer | undefined>(maxPackets);
    this.#mask = maxPackets - 1;
    this.#maxBytes = maxBytes;
    this.#first = firstSequence;
    this.#end = firstSequence;
  }

  /** Unwrapped sequence number of the oldest packet kept. */
  get first(): number {
    return this.#first;
  }

  /** Unwrapped sequence number of the next packet. */
  get end(): number {
    return this.#end;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps `packet` under the number `end`. */
  push(packet: Buffer): void {
    if (this.#end - this.#first > this.#mask) this.#dropOldest();
    this.#slots[this.#end & this.#mask] = packet;
    this.#end++;
    this.#bytes += packet.length;
    while (this.#bytes > this.#maxBytes && this.#first < this.#end - 1) this.#dropOldest();
  }

  get(sequence: number): Buffer | undefined {
    return sequence >= this.#first && sequence < this.#end ? this.#slots[sequence & this.#mask] : undefined;
  }

  /** The unwrapped number nearest to the end that a 16-bit number can mean. */
  unwrap(sequenceNumber: number): number {
    return this.#end - 1 + sequenceDelta(sequenceNumber, (this.#end - 1) & 0xffff);
  }

  #dropOldest(): void {
    const slot = this.#first & this.#mask;
    this.#bytes -= this.#slots[slot]?.length ?? 0;
    this.#slots[slot] = undefined;
    this.#first++;
  }
}
