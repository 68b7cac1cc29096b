import { INK, toYuv } from './box-colour.ts';
import type { Colorimetry } from './box-colour.ts';
import type { Plane, Rectangle, Surface } from './surface.ts';

/** Planar 4:2:0 pixels of 8 bits; of an odd side the last chroma sample covers one pixel. */
export class I420Picture implements Surface {
  readonly width: number;
  readonly height: number;
  readonly #planes: readonly [Plane, Plane, Plane];
  readonly #colorimetry: Colorimetry;
  /** The luma of the words on a label; they keep its chroma. */
  readonly #ink: number;

  /** The planes have room for the picture. */
  constructor(width: number, height: number, planes: readonly [Plane, Plane, Plane], colorimetry: Colorimetry) {
    this.width = width;
    this.height = height;
    this.#planes = planes;
    this.#colorimetry = colorimetry;
    this.#ink = toYuv(INK, colorimetry).y;
  }

  /** One plane behind the other without padding; both sides are even. Throws when `bytes` is not as long as the picture. */
  static packed(width: number, height: number, bytes: Uint8Array, colorimetry: Colorimetry): I420Picture {
    const luma = width * height;
    if (bytes.length !== (luma * 3) / 2) throw new Error(`${String(bytes.length)} bytes are no picture of ${String(width)}x${String(height)}`);
    const chroma = (from: number): Plane => ({ bytes: bytes.subarray(from, from + luma / 4), stride: width / 2 });
    return new I420Picture(width, height, [{ bytes: bytes.subarray(0, luma), stride: width }, chroma(luma), chroma(luma + luma / 4)], colorimetry);
  }

  fill(rectangle: Rectangle, colour: number): void {
    const { y, u, v } = toYuv(colour, this.#colorimetry);
    const half: Rectangle = { left: rectangle.left / 2, top: rectangle.top / 2, width: rectangle.width / 2, height: rectangle.height / 2 };
    fillPlane(this.#planes[0], rectangle, y);
    fillPlane(this.#planes[1], half, u);
    fillPlane(this.#planes[2], half, v);
  }

  dot(left: number, top: number, side: number): void {
    fillPlane(this.#planes[0], { left, top, width: Math.max(0, Math.min(side, this.width - left)), height: Math.min(side, this.height - top) }, this.#ink);
  }
}

const fillPlane = ({ bytes, stride }: Plane, { left, top, width, height }: Rectangle, value: number): void => {
  for (let row = top; row < top + height; row++) bytes.fill(value, row * stride + left, row * stride + left + width);
};
