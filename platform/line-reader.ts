import { StringDecoder } from 'node:string_decoder';

/** Cuts a byte stream into lines. A line over `maxBytes` is handed on cut off, and what follows of it is dropped. */
export class LineReader {
  readonly #onLine: (line: string) => void;
  readonly #maxBytes: number;
  readonly #decoder = new StringDecoder('utf8');
  #pending = '';
  #skipping = false;

  constructor(onLine: (line: string) => void, maxBytes = 64 * 1024) {
    this.#onLine = onLine;
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    const lines = this.#decoder.write(chunk).split('\n');
    for (const [index, piece] of lines.entries()) {
      const ended = index < lines.length - 1;
      if (!this.#skipping) this.#pending += piece;
      if (!this.#skipping && (ended || this.#pending.length > this.#maxBytes)) {
        const line = this.#pending.slice(0, this.#maxBytes);
        this.#pending = '';
        if (line !== '') this.#onLine(line);
        this.#skipping = !ended;
      } else if (ended) {
        this.#skipping = false;
      }
    }
  }

  /** The stream is over: what is left without a line end is a line, too. */
  end(): void {
    if (this.#pending !== '') this.#onLine(this.#pending);
    this.#pending = '';
  }
}
