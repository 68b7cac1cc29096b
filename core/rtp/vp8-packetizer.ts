/** VP8 into RTP payloads, RFC 7741, with the one-byte descriptor: no picture ids, receivers order frames by sequence number. */
import type { Packetizer } from './port.ts';

export class Vp8Packetizer implements Packetizer {
  readonly #maxPayload: number;
  readonly #descriptor = Buffer.alloc(1);
  readonly #payload: Buffer[] = [this.#descriptor, this.#descriptor];

  /** `maxPayload`: bytes after the RTP header, ≥ 2. */
  constructor(maxPayload: number) {
    this.#maxPayload = maxPayload;
  }

  /** The payload given to `emit` is valid only during the call. */
  packetize(data: Buffer, emit: (payload: readonly Buffer[], last: boolean) => void): void {
    if (data.length === 0) return;
    const count = Math.ceil(data.length / (this.#maxPayload - 1));
    const size = Math.ceil(data.length / count);
    for (let offset = 0; offset < data.length; offset += size) {
      const end = Math.min(data.length, offset + size);
      this.#descriptor[0] = offset === 0 ? 0x10 : 0; // S: start of partition 0
      this.#payload[1] = data.subarray(offset, end);
      emit(this.#payload, end === data.length);
    }
  }
}
