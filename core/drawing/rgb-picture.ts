import { INK } from './box-colour.ts';
import type { Plane, Rectangle, Surface } from './surface.ts';

/** Pixels of three bytes, red, green, blue. */
export class RgbPicture implements Surface {
  readonly width: number;
  readonly height: number;
  readonly #plane: Plane;

  /** The plane has room for the picture. */
  constructor(width: number, height: number, plane: Plane) {
    this.width = width;
    this.height = height;
    this.#plane = plane;
  }

  fill({ left, top, width, height }: Rectangle, colour: number): void {
    const { bytes, stride } = this.#plane;
    for (let row = top; row < top + height; row++) {
      for (let at = row * stride + 3 * left, end = at + 3 * width; at < end; at += 3) {
        bytes[at] = (colour >> 16) & 0xff;
        bytes[at + 1] = (colour >> 8) & 0xff;
        bytes[at + 2] = colour & 0xff;
      }
    }
  }

  dot(left: number, top: number, side: number): void {
    this.fill({ left, top, width: Math.max(0, Math.min(side, this.width - left)), height: Math.min(side, this.height - top) }, INK);
  }
}
