/** The colours of boxes, those of the page's own overlay, and what they are in a video's pixels. */
import type { DrawnBox } from './drawn-box.ts';

/** 0..255 each. */
export interface Yuv {
  readonly y: number;
  readonly u: number;
  readonly v: number;
}

/** How a video's pixels are to be read. */
export interface Colorimetry {
  /** ITU-R BT.709 instead of BT.601. */
  readonly bt709: boolean;
  /** Full range (0..255) instead of 16..235. */
  readonly full: boolean;
}

/** The same as `web/src/live/box-label.ts` has. */
const COLOURS = [0xf59e0b, 0x38bdf8, 0xa3e635, 0xf472b6, 0xc084fc, 0xfb7185, 0x2dd4bf, 0xfacc15] as const;
/** Of the words on a label, `0xrrggbb`. */
export const INK = 0x0b0f14;

/** The colour of a box as `0xrrggbb`: one for each track, so that it is seen to be the same object; without tracks one for each class. */
export const colourOf = ({ classId, trackId }: Pick<DrawnBox, 'classId' | 'trackId'>): number => {
  const track = trackId === null ? Number.NaN : Number(trackId);
  return COLOURS[Math.abs(Number.isSafeInteger(track) ? track : Math.trunc(classId)) % COLOURS.length] ?? COLOURS[0];
};

/** `0xrrggbb` in a video's pixels (ITU-R BT.601-7 §2.5, BT.709-6 §3). */
export const toYuv = (rgb: number, { bt709, full }: Colorimetry): Yuv => {
  const [r, g, b] = [(rgb >> 16) & 0xff, (rgb >> 8) & 0xff, rgb & 0xff];
  const [kr, kb] = bt709 ? [0.2126, 0.0722] : [0.299, 0.114];
  const luma = kr * r + (1 - kr - kb) * g + kb * b;
  const [scale, offset, chroma] = full ? [1, 0, 1] : [219 / 255, 16, 224 / 255];
  const sample = (value: number): number => Math.max(0, Math.min(255, Math.round(value)));
  return { y: sample(luma * scale + offset), u: sample(128 + ((b - luma) / (2 * (1 - kb))) * chroma), v: sample(128 + ((r - luma) / (2 * (1 - kr))) * chroma) };
};
