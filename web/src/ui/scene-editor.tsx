import { useRef } from 'preact/hooks';
import { insertCorner, moveCorner, moveEnd, removeCorner } from '../scene/draft.ts';
import type { Point, Scene } from '../scene/draft.ts';
import { SceneShapes } from './scene-shapes.tsx';
import type { Size } from './scene-shapes.tsx';
import { usePicturePixel } from './use-picture-pixel.ts';

/** A step by arrow key, as a share of the picture. */
const STEP = 0.01;
const ARROWS: Readonly<Record<string, Point>> = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

const between = ([ax, ay]: Point, [bx, by]: Point): Point => [(ax + bx) / 2, (ay + by) / 2];

/** The picture with its zones and lines: corners and ends are dragged, or moved by arrow keys; a dot between two corners becomes one; Delete takes a corner away. */
export const SceneEditor = (props: { picture: string | null; size: Size; scene: Scene; onScene: (scene: Scene) => void }) => {
  const { picture, size, scene, onScene } = props;
  const surface = useRef<SVGSVGElement>(null);
  const pixel = usePicturePixel(surface, size);
  const now = useRef(scene);
  /** What a pointer that is down moves. */
  const dragged = useRef<((to: Point) => Scene) | null>(null);
  now.current = scene;
  const change = (next: Scene): void => {
    now.current = next; // a finger moves on before the page is drawn anew
    onScene(next);
  };

  const drop = (): void => { dragged.current = null; };
  const placeOf = (event: PointerEvent): Point => {
    const box = surface.current?.getBoundingClientRect();
    return box ? [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height] : [0, 0];
  };
  const handle = (key: string, label: string, at: Point, move: (to: Point) => Scene, more: { readonly small?: boolean; readonly onPress?: () => void; readonly onDelete?: () => Scene; readonly onInsert?: () => Scene } = {}) => (
    <circle
      key={key} class={more.small ? 'handle between' : 'handle'} tabindex={more.small ? -1 : 0} role="button" aria-label={`${label}, at ${Math.round(at[0] * 100)} %, ${Math.round(at[1] * 100)} %`}
      cx={at[0] * size.width} cy={at[1] * size.height} r={(more.small ? 7 : 11) * pixel}
      onPointerDown={(event) => { event.preventDefault(); event.currentTarget.focus(); surface.current?.setPointerCapture(event.pointerId); more.onPress?.(); dragged.current = move; }}
      onKeyDown={(event) => {
        const by = ARROWS[event.key];
        if (by) change(move([at[0] + by[0], at[1] + by[1]]));
        else if (event.key === 'Insert' && more.onInsert) change(more.onInsert());
        else if ((event.key === 'Delete' || event.key === 'Backspace') && more.onDelete) change(more.onDelete());
        else return;
        event.preventDefault();
      }}
    />
  );

  return (
    <div class="scene-editor" style={{ aspectRatio: `${String(size.width)} / ${String(size.height)}` }}>
      {picture !== null && <img src={picture} alt="" />}
      <svg
        ref={surface} role="group" aria-label="Zones and lines" viewBox={`0 0 ${String(size.width)} ${String(size.height)}`} onPointerUp={drop} onPointerCancel={drop}
        onPointerMove={(event) => { if (dragged.current) change(dragged.current(placeOf(event))); }}
      >
        <SceneShapes size={size} pixel={pixel} zones={scene.zones} lines={scene.lines} />
        {scene.zones.flatMap(({ id, polygon }) => [
          ...polygon.map((corner, i) => {
            const middle = between(corner, polygon[(i + 1) % polygon.length] ?? corner);
            return handle(`${id} between ${String(i)}`, `New corner of ${id}`, middle, (to) => moveCorner(now.current, id, i + 1, to), { small: true, onPress: () => { change(insertCorner(now.current, id, i, middle)); } });
          }),
          ...polygon.map((corner, i) => handle(`${id} ${String(i)}`, `Corner ${String(i + 1)} of ${id}`, corner, (to) => moveCorner(now.current, id, i, to), { onDelete: () => removeCorner(now.current, id, i), onInsert: () => insertCorner(now.current, id, i, between(corner, polygon[(i + 1) % polygon.length] ?? corner)) })),
        ])}
        {scene.lines.flatMap(({ id, from, to }) => [
          handle(`${id} from`, `Begin of ${id}`, from, (at) => moveEnd(now.current, id, 'from', at)),
          handle(`${id} to`, `End of ${id}`, to, (at) => moveEnd(now.current, id, 'to', at)),
        ])}
      </svg>
    </div>
  );
};
