import type { Frame } from 'node-av/lib';
import type { PictureFormat } from '../port.ts';
import type { PictureHeader } from '../protocol.ts';
import { PictureEncoder, layoutOf } from './picture-encoder.ts';
import type { PixelLayout } from './picture-encoder.ts';
import type { SlowLane } from './slow-lane.ts';

/** Encoded pictures larger than this are not kept for who asks next. */
const MAX_KEPT_BYTES = 2 << 20;

/** What an encoded picture is, without who gets it. */
export type EncodedPicture = Omit<PictureHeader, 'handle' | 'streams' | 'stills' | 'fresh' | 'dropped'> & { readonly index: number; readonly bytes: Buffer };

/** One kind of picture, by size, format and quality, and who waits for the next one of it. */
export class PictureOutput implements Disposable {
  readonly key: string;
  readonly width: number;
  readonly height: number;
  readonly format: PictureFormat;
  readonly #encoder: PictureEncoder;
  #streams = new Set<number>();
  #stills: number[] = [];
  #busy = false;
  #disposed = false;
  #last: EncodedPicture | null = null;
  /** Pictures its streams did not get since the last one they got. */
  dropped = 0;

  /** Throws when there is no encoder for it. */
  constructor(key: string, { format, width, height, quality, lane }: { readonly format: PictureFormat; readonly width: number; readonly height: number; readonly quality: number; readonly lane: SlowLane }) {
    this.key = key;
    this.format = format;
    this.width = width;
    this.height = height;
    this.#encoder = new PictureEncoder(format, width, height, quality, lane);
  }

  get layout(): PixelLayout { return layoutOf(this.format); }
  /** An encoding is under way: who waits gets what is newest when it is done. */
  get busy(): boolean { return this.#busy; }
  get awaited(): boolean { return this.#streams.size > 0 || this.#stills.length > 0; }
  get disposed(): boolean { return this.#disposed; }
  /** The last picture, unless it was too large to be kept. */
  get last(): EncodedPicture | null { return this.#last; }

  awaitFor(stream: number): void {
    if (this.#streams.has(stream)) this.dropped++;
    this.#streams.add(stream);
  }

  awaitStill(still: number): void {
    this.#stills.push(still);
  }

  /** Who waits, from now on for nothing. */
  take(): { readonly streams: number[]; readonly stills: number[] } {
    const taken = { streams: [...this.#streams], stills: this.#stills };
    this.#streams = new Set();
    this.#stills = [];
    return taken;
  }

  /** Encodes a scaled picture, not while it is busy. Rejects when FFmpeg fails. */
  async encode(scaled: Frame, of: Omit<EncodedPicture, 'bytes' | 'format' | 'width' | 'height'>): Promise<EncodedPicture> {
    this.#busy = true;
    try {
      const picture = { ...of, format: this.format, width: this.width, height: this.height, bytes: await this.#encoder.encode(scaled) };
      this.#last = picture.bytes.length <= MAX_KEPT_BYTES ? picture : null;
      return picture;
    } finally {
      this.#busy = false;
    }
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#last = null;
    this.#encoder[Symbol.dispose]();
  }
}
