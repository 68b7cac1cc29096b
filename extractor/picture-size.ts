import type { PictureSpec } from './port.ts';

/** Less no encoder is tried with, however flat the picture. */
const MIN_SIDE = 2;

/** The size a picture of `width` × `height` gets: as large as it fits into what was asked for, never larger than it is, proportions kept to the pixel. */
export const pictureSize = (width: number, height: number, spec: Pick<PictureSpec, 'width' | 'height'>): { readonly width: number; readonly height: number } => {
  const scale = Math.min(1, (spec.width ?? Infinity) / width, (spec.height ?? Infinity) / height);
  if (scale === 1) return { width, height };
  const side = (pixels: number): number => Math.max(MIN_SIDE, Math.round(pixels * scale));
  return { width: side(width), height: side(height) };
};
