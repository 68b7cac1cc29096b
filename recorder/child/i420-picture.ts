import type { Rectangle } from './box-placement.ts';
import type { Yuv } from './class-colour.ts';

/** Planar 4:2:0 pixels of 8 bits, one plane behind the other without padding; both sides are even. */
export class I420Picture {
  readonly width: number;
  readonly height: number;
  readonly bytes: Buffer;

  /** Throws when `bytes` is not as long as the picture. */
  constructor(width: number, height: number, bytes: Buffer) {
    if (bytes.length !== (width * height * 3) / 2) throw new Error(`${String(bytes.length)} bytes are no picture of ${String(width)}x${String(height)}`);
    this.width = width;
    this.height = height;
    this.bytes = bytes;
  }

  /** Fills a rectangle of even sides within the picture. */
  fill({ left, top, width, height }: Rectangle, { y, u, v }: Yuv): void {
    const luma = this.width * this.height;
    this.#fillPlane(0, this.width, left, top, width, height, y);
    this.#fillPlane(luma, this.width / 2, left / 2, top / 2, width / 2, height / 2, u);
    this.#fillPlane(luma + luma / 4, this.width / 2, left / 2, top / 2, width / 2, height / 2, v);
  }

  /** Sets the luma of a square; what lies beside the picture is left out. */
  dot(left: number, top: number, side: number, y: number): void {
    const right = Math.min(this.width, left + side);
    const bottom = Math.min(this.height, top + side);
    for (let row = top; row < bottom; row++) this.bytes.fill(y, row * this.width + left, row * this.width + Math.max(left, right));
  }

  #fillPlane(start: number, stride: number, left: number, top: number, width: number, height: number, value: number): void {
    for (let row = top; row < top + height; row++) this.bytes.fill(value, start + row * stride + left, start + row * stride + left + width);
  }
}
