import { AVCOL_RANGE_JPEG, AVCOL_SPC_BT709, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P } from 'node-av/constants';
import { FFmpegError, Frame, SoftwareScaleContext } from 'node-av/lib';
import type { Colorimetry } from '../../core/drawing/box-colour.ts';
import type { Fit } from '../../core/drawing/box-placement.ts';
import { I420Picture } from '../../core/drawing/i420-picture.ts';
import type { Rectangle, Size } from '../../core/drawing/surface.ts';
import type { PictureColours } from './mp4-encoder.ts';

/** A picture as all of a file are, and where the recorded one lies in it. */
export interface FittedPicture {
  readonly picture: I420Picture;
  /** Its planes, one behind the other. */
  readonly bytes: Buffer;
  readonly fit: Fit;
}

const BLACK = 0x000000;
const even = (size: number): number => Math.max(2, Math.round(size / 2) * 2);

/** Makes pictures of one size and pixel format, that of the first one: others are scaled as large as they fit, in the middle, on black. */
export class PictureFitter {
  readonly size: Size;
  readonly colours: PictureColours;
  readonly #colorimetry: Colorimetry;

  constructor(first: Frame) {
    this.size = { width: even(first.width), height: even(first.height) };
    const full = first.format === AV_PIX_FMT_YUVJ420P || first.colorRange === AVCOL_RANGE_JPEG;
    this.colours = { colorRange: full ? AVCOL_RANGE_JPEG : first.colorRange, colorSpace: first.colorSpace, colorPrimaries: first.colorPrimaries, colorTrc: first.colorTrc };
    this.#colorimetry = { bt709: first.colorSpace === AVCOL_SPC_BT709, full };
  }

  /** The picture is the caller's. Throws when libswscale refuses it. */
  fit(frame: Frame): FittedPicture {
    const { width, height } = this.size;
    const fitted = (bytes: Buffer, fit: Fit): FittedPicture => ({ picture: I420Picture.packed(width, height, bytes, this.#colorimetry), bytes, fit });
    if (frame.width === width && frame.height === height && (frame.format === AV_PIX_FMT_YUV420P || frame.format === AV_PIX_FMT_YUVJ420P)) return fitted(frame.toBuffer(), { left: 0, top: 0, scaleX: 1, scaleY: 1 });
    const scale = Math.min(width / frame.width, height / frame.height);
    const inner = { width: Math.min(width, even(frame.width * scale)), height: Math.min(height, even(frame.height * scale)) };
    const place = { ...inner, left: even((width - inner.width) / 2 + 1) - 2, top: even((height - inner.height) / 2 + 1) - 2 };
    const made = fitted(Buffer.alloc((width * height * 3) / 2), { left: place.left, top: place.top, scaleX: place.width / frame.width, scaleY: place.height / frame.height });
    made.picture.fill({ left: 0, top: 0, width, height }, BLACK);
    copyInto(made.bytes, this.size, this.#scaled(frame, inner), place);
    return made;
  }

  #scaled(frame: Frame, { width, height }: Size): Buffer {
    using context = new SoftwareScaleContext();
    using scaled = new Frame();
    context.allocContext();
    if (context.setOption('sws_flags', 'bicubic') < 0) throw new Error('libswscale lacks a filter');
    scaled.alloc();
    scaled.width = width;
    scaled.height = height;
    scaled.format = AV_PIX_FMT_YUV420P;
    scaled.colorSpace = this.colours.colorSpace;
    scaled.colorRange = this.colours.colorRange;
    FFmpegError.throwIfError(scaled.getBuffer(0), 'memory for a picture');
    FFmpegError.throwIfError(context.scaleFrameSync(scaled, frame), 'scaling');
    return scaled.toBuffer();
  }
}

/** Copies the planes of a smaller picture of even sides to an even place. */
const copyInto = (bytes: Buffer, size: Size, pixels: Buffer, { left, top, width, height }: Rectangle): void => {
  let from = 0;
  let start = 0;
  for (const divisor of [1, 2, 2]) {
    const stride = size.width / divisor;
    for (let row = 0; row < height / divisor; row++, from += width / divisor) {
      pixels.copy(bytes, start + (top / divisor + row) * stride + left / divisor, from, from + width / divisor);
    }
    start += stride * (size.height / divisor);
  }
};
