import { encodeFrame } from './frame.ts';

/** Events of one lane that are not yet written, as encoded frames. */
export class FrameBuffer {
  #frames: { readonly bytes: Buffer; readonly seq: number; readonly weight: number }[] = [];
  #bytes = 0;

  get bytes(): number { return this.#bytes; }
  get empty(): boolean { return this.#frames.length === 0; }

  add(seq: number, weight: number, payload: Uint8Array): void {
    const bytes = encodeFrame({ seq, weight, payload });
    this.#frames.push({ bytes, seq, weight });
    this.#bytes += bytes.length;
  }

  /** All of them in one piece, and which numbers they have. */
  take(): { readonly bytes: Buffer; readonly firstSeq: number; readonly lastSeq: number } | undefined {
    const [first, last] = [this.#frames[0], this.#frames.at(-1)];
    if (!first || !last) return undefined;
    return { bytes: Buffer.concat(this.#frames.map((frame) => frame.bytes)), firstSeq: first.seq, lastSeq: last.seq };
  }

  /** Forgets them: they are written, or given up. Tells how many they were. */
  clear(): { readonly events: number; readonly weight: number } {
    const counted = { events: this.#frames.length, weight: this.#frames.reduce((sum, frame) => sum + frame.weight, 0) };
    this.#frames = [];
    this.#bytes = 0;
    return counted;
  }
}
