import { AVCOL_RANGE_JPEG, AVCOL_RANGE_MPEG, AVCOL_SPC_BT470BG } from 'node-av/constants';
import { FFmpegError, Frame, SoftwareScaleContext } from 'node-av/lib';
import { pixelFormatOf } from './still-encoder.ts';

export type StillFormat = 'jpeg' | 'webp';

/** A place on the canvas, in pixels. */
export interface Place {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Planar 4:2:0 pixels, one plane behind the other without padding; black at first. Places begin and end at even pixels, but for the right and lower edge. */
export class Canvas {
  readonly width: number;
  readonly height: number;
  readonly bytes: Buffer;
  readonly #format: StillFormat;

  constructor(width: number, height: number, format: StillFormat) {
    this.width = width;
    this.height = height;
    this.#format = format;
    const luma = width * height;
    this.bytes = Buffer.alloc(luma + 2 * half(width) * half(height), 128);
    this.bytes.fill(format === 'jpeg' ? 0 : 16, 0, luma);
  }

  /** Scales a decoded picture into its place: as large as it fits with its own proportions, in the middle. Throws when libswscale refuses it. */
  draw(frame: Frame, place: Place): void {
    const scale = Math.min(place.width / frame.width, place.height / frame.height);
    const [width, height] = [Math.min(place.width, even(frame.width * scale)), Math.min(place.height, even(frame.height * scale))];
    using context = new SoftwareScaleContext();
    using scaled = new Frame();
    context.allocContext();
    // Area for smaller: every pixel counts. The context takes sizes, formats and colours from the frames.
    if (context.setOption('sws_flags', scale < 1 ? 'area' : 'bicubic') < 0) throw new Error('libswscale lacks a filter');
    scaled.alloc();
    scaled.width = width;
    scaled.height = height;
    scaled.format = pixelFormatOf(this.#format);
    scaled.colorSpace = AVCOL_SPC_BT470BG; // what JFIF and WebP are read with
    scaled.colorRange = this.#format === 'jpeg' ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    FFmpegError.throwIfError(scaled.getBuffer(1), 'memory for a picture');
    FFmpegError.throwIfError(context.scaleFrameSync(scaled, frame), 'scaling');
    const left = even((place.width - width) / 2, 0) + place.left;
    const top = even((place.height - height) / 2, 0) + place.top;
    let start = 0;
    for (let plane = 0; plane < 3; plane++) {
      const [pw, ph, px, py, stride, rows] = plane === 0 ? [width, height, left, top, this.width, this.height] : [half(width), half(height), left / 2, top / 2, half(this.width), half(this.height)];
      const pixels = scaled.data?.[plane];
      const from = scaled.linesize[plane] ?? 0;
      if (!pixels) throw new Error('a scaled picture without pixels');
      for (let row = 0; row < ph; row++) pixels.copy(this.bytes, start + (py + row) * stride + px, row * from, row * from + pw);
      start += stride * rows;
    }
  }
}

const half = (size: number): number => Math.ceil(size / 2);
const even = (size: number, least = 2): number => Math.max(least, Math.round(size / 2) * 2);
