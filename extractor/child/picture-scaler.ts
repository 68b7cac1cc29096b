import { FFmpegError, Frame, SoftwareScaleContext } from 'node-av/lib';
import { paintBoxes } from '../../core/drawing/box-painter.ts';
import type { DrawnBox } from '../../core/drawing/drawn-box.ts';
import { surfaceOf } from './frame-surface.ts';
import type { PixelLayout } from './picture-encoder.ts';

/** Decoded pictures → pictures of one size and layout, by libswscale's area filter, with their own colour matrix and range, and boxes drawn in; each once. */
export class PictureScaler implements Disposable {
  readonly #width: number;
  readonly #height: number;
  readonly #layout: PixelLayout;
  readonly #context = new SoftwareScaleContext();
  readonly #scaled = new Frame();
  #index = -1;

  constructor(width: number, height: number, layout: PixelLayout) {
    this.#width = width;
    this.#height = height;
    this.#layout = layout;
    this.#context.allocContext();
    // Every pixel counts. The context takes sizes, formats and colours from the frames it is given, and follows their changes.
    if (this.#context.setOption('sws_flags', 'area') < 0) throw new Error('libswscale has no area filter');
    this.#scaled.alloc();
  }

  /**
   * `index` names the picture; `boxes` are in its pixels. What is returned is to be referenced at once: the next picture takes its place. Throws when libswscale
   * refuses it.
   */
  scale(picture: Frame, index: number, boxes: readonly DrawnBox[] = []): Frame {
    if (index === this.#index) return this.#scaled;
    this.#index = -1;
    const scaled = this.#scaled;
    scaled.unref(); // encoders may still hold the one before: each has memory of its own
    scaled.width = this.#width;
    scaled.height = this.#height;
    scaled.format = this.#layout.format;
    scaled.colorSpace = this.#layout.space;
    scaled.colorRange = this.#layout.range;
    FFmpegError.throwIfError(scaled.getBuffer(0), 'memory for a picture');
    FFmpegError.throwIfError(this.#context.scaleFrameSync(scaled, picture), 'scaling');
    if (boxes.length > 0) paintBoxes(surfaceOf(scaled), boxes, { left: 0, top: 0, scaleX: this.#width / picture.width, scaleY: this.#height / picture.height });
    this.#index = index;
    return scaled;
  }

  [Symbol.dispose](): void {
    this.#scaled.free();
    this.#context.freeContext();
  }
}
