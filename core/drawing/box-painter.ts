import { colourOf } from './box-colour.ts';
import { placeBox } from './box-placement.ts';
import type { Fit } from './box-placement.ts';
import type { DrawnBox } from './drawn-box.ts';
import { eachDot } from './glyphs.ts';
import type { Surface } from './surface.ts';

const evenBelow = (side: number): number => side - (side % 2);

/** Draws boxes and their labels into a picture; labels lie over all boxes. Of an odd side the last row or column is left as it is. */
export const paintBoxes = (picture: Surface, boxes: readonly DrawnBox[], fit?: Fit): void => {
  const size = { width: evenBelow(picture.width), height: evenBelow(picture.height) };
  const placed = boxes.flatMap((box) => {
    const place = placeBox(box, size, fit);
    return place === undefined ? [] : [{ ...place, colour: colourOf(box) }];
  });
  for (const { edges, colour } of placed) for (const edge of edges) picture.fill(edge, colour);
  for (const { label, colour } of placed) {
    picture.fill(label, colour);
    eachDot(label.text, (x, y) => { picture.dot(label.textLeft + x * label.dot, label.textTop + y * label.dot, label.dot); });
  }
};
