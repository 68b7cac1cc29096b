import { LENGTH_BYTES, MAX_MESSAGE_BYTES, refuse } from './protocol.ts';

/** Cuts a byte stream into messages. A body that lies whole in one chunk is handed on without being copied. */
export class MessageReader {
  readonly #onMessage: (type: number, body: Buffer) => void;
  readonly #head = Buffer.alloc(LENGTH_BYTES + 1);
  #headFilled = 0;
  #body: Buffer | null = null;
  #bodyFilled = 0;

  constructor(onMessage: (type: number, body: Buffer) => void) {
    this.#onMessage = onMessage;
  }

  /** Throws INVALID_ARGUMENT when the stream is no such stream; what `onMessage` throws passes through. The reader is of no use after that. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#body) {
        const copied = chunk.copy(this.#body, this.#bodyFilled, at);
        at += copied;
        this.#bodyFilled += copied;
        if (this.#bodyFilled < this.#body.length) return;
        const body = this.#body;
        this.#body = null;
        this.#headFilled = 0;
        this.#onMessage(this.#head.readUInt8(LENGTH_BYTES), body);
        continue;
      }
      const copied = chunk.copy(this.#head, this.#headFilled, at);
      at += copied;
      this.#headFilled += copied;
      if (this.#headFilled < this.#head.length) return;
      const length = this.#head.readUInt32BE(0) - 1;
      if (length < 0 || length > MAX_MESSAGE_BYTES) throw refuse(`a message of ${length} bytes`);
      if (chunk.length - at >= length) {
        this.#headFilled = 0;
        const body = chunk.subarray(at, at + length);
        at += length;
        this.#onMessage(this.#head.readUInt8(LENGTH_BYTES), body);
      } else {
        this.#body = Buffer.allocUnsafeSlow(length);
        this.#bodyFilled = 0;
      }
    }
  }
}
