import type { DrawnBox } from '../export-protocol.ts';
import { placeBox } from './box-placement.ts';
import type { Fit } from './box-placement.ts';
import { colourOf, inkOf, toYuv } from './class-colour.ts';
import type { Colorimetry } from './class-colour.ts';
import { eachDot } from './glyphs.ts';
import type { I420Picture } from './i420-picture.ts';

/** Draws boxes and their labels into a picture; labels lie over all boxes. */
export const paintBoxes = (picture: I420Picture, boxes: readonly DrawnBox[], colorimetry: Colorimetry, fit?: Fit): void => {
  const placed = boxes.flatMap((box) => {
    const place = placeBox(box, picture, fit);
    return place === undefined ? [] : [{ ...place, colour: toYuv(colourOf(box.classId), colorimetry) }];
  });
  for (const { edges, colour } of placed) for (const edge of edges) picture.fill(edge, colour);
  const ink = inkOf(colorimetry);
  for (const { label, colour } of placed) {
    picture.fill(label, colour);
    eachDot(label.text, (x, y) => { picture.dot(label.textLeft + x * label.dot, label.textTop + y * label.dot, label.dot, ink); });
  }
};
