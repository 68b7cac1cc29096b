/** Plane geometry of zones and lines. Points are pixels of the encoded picture, y downwards. Pure. */

/** x, y */
export type Pixel = readonly [number, number];

/** Even-odd rule; a point on an edge may count either way. */
export const isInside = ([x, y]: Pixel, polygon: readonly Pixel[]): boolean => {
  let inside = false;
  let before = polygon.at(-1);
  for (const corner of polygon) {
    if (before !== undefined && corner[1] > y !== before[1] > y && x < ((before[0] - corner[0]) * (y - corner[1])) / (before[1] - corner[1]) + corner[0]) inside = !inside;
    before = corner;
  }
  return inside;
};

/** Distance of a point from the straight line through `from` and `to`, in pixels: positive on the right hand of who walks from one to the other, negative on the left. */
export const offsetFrom = ([x, y]: Pixel, from: Pixel, to: Pixel): number => {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = Math.hypot(dx, dy);
  return length === 0 ? 0 : (dx * (y - from[1]) - dy * (x - from[0])) / length;
};

/** Whether the way from `a` to `b`, which lie on different sides of the line, leads between the line's ends. */
export const leadsThrough = (a: Pixel, b: Pixel, from: Pixel, to: Pixel): boolean => {
  const [before, after] = [offsetFrom(from, a, b), offsetFrom(to, a, b)];
  return before === 0 || after === 0 || before > 0 !== after > 0;
};
