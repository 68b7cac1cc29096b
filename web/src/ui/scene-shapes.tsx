import type { Line, Point, Zone } from '../scene/draft.ts';

export interface Size {
  readonly width: number;
  readonly height: number;
}

const COLOURS = ['#38bdf8', '#f472b6', '#a3e635', '#c084fc', '#fb7185', '#2dd4bf'] as const;
const colour = (i: number): string => COLOURS[i % COLOURS.length] ?? COLOURS[0];

/** Which side of a line is its left, told by an arrow from the middle to the right side. */
const arrowOf = ({ from, to }: Line, { width, height }: Size): readonly [Point, Point] => {
  const [fx, fy, tx, ty] = [from[0] * width, from[1] * height, to[0] * width, to[1] * height];
  const length = Math.hypot(tx - fx, ty - fy) || 1;
  const middle: Point = [(fx + tx) / 2, (fy + ty) / 2];
  const reach = Math.min(width, height) * 0.06;
  return [middle, [middle[0] - ((ty - fy) / length) * reach, middle[1] + ((tx - fx) / length) * reach]];
};

/** Zones and lines with their names over a picture of this size, of which a pixel of the page covers so many; to be put into an `svg` whose view box is the picture. */
export const SceneShapes = (props: { size: Size; pixel: number; zones: readonly Zone[]; lines: readonly Line[] }) => {
  const { size, pixel, zones, lines } = props;
  const fontSize = 13 * pixel;
  const place = ([x, y]: Point): string => `${String(x * size.width)},${String(y * size.height)}`;
  /** At a point, within the picture. */
  const name = (text: string, [x, y]: Point, fill: string) => {
    const right = x > 0.8 * size.width;
    return (
      <text x={x + (right ? -8 : 8) * pixel} y={Math.min(size.height - 4 * pixel, y + 16 * pixel)} text-anchor={right ? 'end' : 'start'} font-size={fontSize} fill={fill} stroke="#0b0f14" stroke-width={3 * pixel} paint-order="stroke">{text}</text>
    );
  };
  return (
    <>
      {zones.map(({ id, polygon }, i) => (
        <g key={`zone ${id}`} data-zone={id}>
          <polygon points={polygon.map(place).join(' ')} fill={`${colour(i)}26`} stroke={colour(i)} stroke-width="2" vector-effect="non-scaling-stroke" />
          {polygon[0] && name(id, [polygon[0][0] * size.width, polygon[0][1] * size.height], colour(i))}
        </g>
      ))}
      {lines.map((line, i) => {
        const [middle, tip] = arrowOf(line, size);
        return (
          <g key={`line ${line.id}`} data-line={line.id} stroke={colour(zones.length + i)} stroke-width="3">
            <line x1={line.from[0] * size.width} y1={line.from[1] * size.height} x2={line.to[0] * size.width} y2={line.to[1] * size.height} vector-effect="non-scaling-stroke" />
            <line x1={middle[0]} y1={middle[1]} x2={tip[0]} y2={tip[1]} stroke-width="1.5" vector-effect="non-scaling-stroke" />
            <circle cx={tip[0]} cy={tip[1]} r={4 * pixel} fill={colour(zones.length + i)} stroke="none" />
            {name(`right of ${line.id}`, tip, colour(zones.length + i))}
          </g>
        );
      })}
    </>
  );
};
