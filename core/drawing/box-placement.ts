import type { DrawnBox } from './drawn-box.ts';
import { GLYPH_ADVANCE, GLYPH_HEIGHT, writable } from './glyphs.ts';
import type { Rectangle, Size } from './surface.ts';

/** Where the picture that boxes refer to lies in another: its pixel (x, y) is at (left + x * scaleX, top + y * scaleY). */
export interface Fit {
  readonly left: number;
  readonly top: number;
  readonly scaleX: number;
  readonly scaleY: number;
}

const WHOLE: Fit = { left: 0, top: 0, scaleX: 1, scaleY: 1 };

/** Where a box and its label go. */
export interface PlacedBox {
  /** Four, or fewer where the box is flat. */
  readonly edges: readonly Rectangle[];
  readonly label: Rectangle & {
    readonly text: string;
    /** Of the first dot of the text, and the side of a dot. */
    readonly textLeft: number;
    readonly textTop: number;
    readonly dot: number;
  };
}

/** A picture so high has dots of one pixel. */
const PIXELS_PER_DOT = 360;
const LONGEST_LABEL = 48;

const even = (value: number): number => Math.round(value / 2) * 2;
const clamp = (value: number, most: number): number => Math.max(0, Math.min(most, value));

/** The width of a box's lines in a picture so high: 2 pixels up to 720 lines, 4 beyond. */
export const lineWidth = (height: number): number => (height > 720 ? 4 : 2);

/** `scratch #12 87 %`, as on the page. */
const wordsOf = ({ className, trackId, confidence }: DrawnBox): string => `${className}${trackId === null ? '' : ` #${trackId}`} ${String(Math.round(confidence * 100))} %`;

/**
 * A box of a picture in one of `size`, whose sides are even. Undefined where nothing of it is in the picture.
 * The label stands on the box, or in it where there is no room above, and always whole in the picture if it fits.
 */
export const placeBox = (box: DrawnBox, size: Size, { left: x0, top: y0, scaleX, scaleY }: Fit = WHOLE): PlacedBox | undefined => {
  const across = (value: number): number => even(clamp(x0 + value * scaleX, size.width));
  const down = (value: number): number => even(clamp(y0 + value * scaleY, size.height));
  const [left, right, top, bottom] = [across(box.x), across(box.x + box.width), down(box.y), down(box.y + box.height)];
  if (right <= left || bottom <= top) return undefined;
  const line = lineWidth(size.height);
  const [thickX, thickY] = [Math.min(line, right - left), Math.min(line, bottom - top)];
  const edges = [
    { left, top, width: right - left, height: thickY },
    { left, top: bottom - thickY, width: right - left, height: thickY },
    { left, top, width: thickX, height: bottom - top },
    { left: right - thickX, top, width: thickX, height: bottom - top },
  ];
  const dot = Math.max(1, Math.round(size.height / PIXELS_PER_DOT));
  const text = writable(wordsOf(box)).slice(-LONGEST_LABEL);
  const width = Math.min(size.width, even((text.length * GLYPH_ADVANCE + 3) * dot));
  const height = Math.min(size.height, even((GLYPH_HEIGHT + 3) * dot));
  const label = { left: Math.min(left, size.width - width), top: top >= height ? top - height : Math.min(top, size.height - height), width, height };
  return { edges, label: { ...label, text, textLeft: label.left + 2 * dot, textTop: label.top + 2 * dot, dot } };
};
