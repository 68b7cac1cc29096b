import { MediaError } from '../errors.ts';

/**
 * Reads big-endian bit fields and Exp-Golomb codes (ITU-T H.264 §9.1). Reading past the end, or a code longer than 32 bits,
 * throws INVALID_ARGUMENT: the bytes came from outside.
 */
export class BitReader {
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get bitsLeft(): number {
    return this.#bytes.length * 8 - this.#position;
  }

  /** The next `count` (0..32) bits as an unsigned number. */
  bits(count: number): number {
    if (count > this.bitsLeft) throw new MediaError('INVALID_ARGUMENT', 'bit stream ends early');
    let value = 0;
    let left = count;
    while (left > 0) {
      const byte = this.#bytes[this.#position >> 3] ?? 0;
      const available = 8 - (this.#position & 7);
      const take = Math.min(available, left);
      // Multiplication, not shift: 32-bit fields must stay unsigned.
      value = value * 2 ** take + ((byte >> (available - take)) & ((1 << take) - 1));
      this.#position += take;
      left -= take;
    }
    return value;
  }

  flag(): boolean {
    return this.bits(1) === 1;
  }

  skip(count: number): void {
    if (count > this.bitsLeft) throw new MediaError('INVALID_ARGUMENT', 'bit stream ends early');
    this.#position += count;
  }

  /** ue(v): unsigned Exp-Golomb. */
  ue(): number {
    let zeros = 0;
    while (!this.flag()) {
      zeros++;
      if (zeros > 32) throw new MediaError('INVALID_ARGUMENT', 'Exp-Golomb code longer than 32 bits');
    }
    return 2 ** zeros - 1 + this.bits(zeros);
  }

  /** se(v): signed Exp-Golomb. */
  se(): number {
    const code = this.ue();
    const magnitude = Math.ceil(code / 2);
    return code % 2 === 0 ? 0 - magnitude : magnitude;
  }
}
