import { AVCOL_RANGE_JPEG, AVCOL_SPC_UNSPECIFIED, AV_PIX_FMT_GRAY8 } from 'node-av/constants';
import type { Frame } from 'node-av/lib';
import { PictureScaler } from './picture-scaler.ts';

/** A grey picture as a file: a binary PGM of 8 bits. */
export interface GreyPicture {
  readonly picture: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
}

const GREY = { format: AV_PIX_FMT_GRAY8, space: AVCOL_SPC_UNSPECIFIED, range: AVCOL_RANGE_JPEG } as const;

/** Decoded pictures → their brightness, in memory of its own; with more pixels than `maxPixels` they are made smaller. */
export class GreyScaler implements Disposable {
  readonly #maxPixels: number;
  #scaler: { readonly key: string; readonly width: number; readonly height: number; readonly scaler: PictureScaler } | null = null;
  #count = 0;

  constructor(maxPixels: number) {
    this.#maxPixels = maxPixels;
  }

  /** Throws when libswscale refuses the picture. */
  scale(frame: Frame): GreyPicture {
    const { scaler, width, height } = this.#prepare(frame.width, frame.height);
    const scaled = scaler.scale(frame, this.#count++);
    const pixels = scaled.data?.[0];
    const stride = scaled.linesize[0];
    if (!pixels || stride === undefined) throw new Error('a picture without pixels');
    const head = Buffer.from(`P5\n${String(width)} ${String(height)}\n255\n`);
    const picture = new Uint8Array(head.length + width * height);
    picture.set(head);
    if (stride === width) pixels.copy(picture, head.length, 0, width * height);
    else for (let row = 0; row < height; row++) pixels.copy(picture, head.length + row * width, row * stride, row * stride + width);
    return { picture, width, height };
  }

  [Symbol.dispose](): void {
    this.#scaler?.scaler[Symbol.dispose]();
    this.#scaler = null;
  }

  #prepare(sourceWidth: number, sourceHeight: number): { readonly scaler: PictureScaler; readonly width: number; readonly height: number } {
    const key = `${String(sourceWidth)}x${String(sourceHeight)}`;
    if (this.#scaler?.key === key) return this.#scaler;
    this.#scaler?.scaler[Symbol.dispose]();
    const by = Math.min(1, Math.sqrt(this.#maxPixels / (sourceWidth * sourceHeight)));
    const [width, height] = [Math.max(2, Math.floor(sourceWidth * by)), Math.max(2, Math.floor(sourceHeight * by))];
    this.#scaler = { key, width, height, scaler: new PictureScaler(width, height, GREY) };
    return this.#scaler;
  }
}
