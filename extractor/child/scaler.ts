import { AV_PIX_FMT_RGB24 } from 'node-av/constants';
import { Frame, SoftwareScaleContext } from 'node-av/lib';
import { LETTERBOX_PAD, letterbox } from '../../core/letterbox.ts';
import type { Letterbox } from '../../core/letterbox.ts';
import type { PixelLease } from '../../inference/port.ts';
import { PixelPool } from './pixel-pool.ts';

/** Decoded pictures → letterboxed RGB of one size, by libswscale's area filter, with the picture's own colour matrix and range. */
export class Scaler implements Disposable {
  readonly #inputWidth: number;
  readonly #inputHeight: number;
  readonly #context = new SoftwareScaleContext();
  #place: Letterbox | null = null;
  #scaled: Frame | null = null;
  #pool: PixelPool | null = null;

  constructor(inputWidth: number, inputHeight: number) {
    this.#inputWidth = inputWidth;
    this.#inputHeight = inputHeight;
    this.#context.allocContext();
    // The context takes sizes, formats and colours from the frames it is given, and follows their changes.
    if (this.#context.setOption('sws_flags', 'area') < 0) throw new Error('libswscale has no area filter');
  }

  /** Scales once and hands out `shares` leases on the result. Throws when libswscale refuses the picture. */
  scale(frame: Frame, shares: number): readonly PixelLease[] {
    const { scaled, place, pool } = this.#prepare(frame.width, frame.height);
    const result = this.#context.scaleFrameSync(scaled, frame);
    const pixels = scaled.data?.[0];
    if (result < 0 || !pixels) throw new Error(`scaling failed with ${result}`);
    const { buffer, leases } = pool.take(shares);
    const rowBytes = 3 * place.width;
    const stride = scaled.linesize[0] ?? rowBytes;
    const inputStride = 3 * place.inputWidth;
    const start = place.top * inputStride + 3 * place.left;
    if (rowBytes === stride && rowBytes === inputStride) pixels.copy(buffer, start, 0, rowBytes * place.height);
    else for (let row = 0; row < place.height; row++) pixels.copy(buffer, start + row * inputStride, row * stride, row * stride + rowBytes);
    return leases;
  }

  [Symbol.dispose](): void {
    this.#scaled?.free();
    this.#scaled = null;
    this.#context.freeContext();
  }

  #prepare(width: number, height: number): { readonly scaled: Frame; readonly place: Letterbox; readonly pool: PixelPool } {
    if (this.#scaled && this.#pool && this.#place?.sourceWidth === width && this.#place.sourceHeight === height) {
      return { scaled: this.#scaled, place: this.#place, pool: this.#pool };
    }
    this.#scaled?.free();
    const place = letterbox(width, height, this.#inputWidth, this.#inputHeight);
    const scaled = new Frame();
    scaled.alloc();
    scaled.width = place.width;
    scaled.height = place.height;
    scaled.format = AV_PIX_FMT_RGB24;
    if (scaled.getBuffer(1) < 0) throw new Error(`no memory for ${place.width}x${place.height} pixels`);
    this.#place = place;
    this.#scaled = scaled;
    // Another place in the input: buffers of the old one hold rows that would have to be grey now.
    this.#pool = new PixelPool(3 * this.#inputWidth * this.#inputHeight, LETTERBOX_PAD);
    return { scaled, place, pool: this.#pool };
  }
}
