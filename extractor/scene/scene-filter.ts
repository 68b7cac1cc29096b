import type { Detection, DetectionResult } from '../../core/detection.ts';
import type { Scene } from '../../media-control/port.ts';
import { isInside } from './geometry.ts';
import type { Pixel } from './geometry.ts';

/** As much of a scene as says which objects are told. */
export type ShownObjects = Pick<Scene, 'classes' | 'zonesOnly' | 'anchor' | 'zones'>;

/** Where an object is. */
export const anchorOf = ({ bbox: { x, y, width, height } }: Detection, anchor: Scene['anchor']): Pixel => [x + width / 2, anchor === 'centre' ? y + height / 2 : y + height];

/** Which of the objects of a detector are told, and in which zones they are. Pure. */
export class SceneFilter {
  readonly #shown: ShownObjects;
  /** Zones in pixels of pictures of this size. */
  #size: readonly [number, number] = [0, 0];
  #zones: readonly { readonly id: string; readonly polygon: readonly Pixel[] }[] = [];

  constructor(shown: ShownObjects) {
    this.#shown = shown;
  }

  /** The result without what is left out; where there are zones each detection says those it is in. */
  apply(result: DetectionResult): DetectionResult {
    const { classes, zonesOnly, anchor } = this.#shown;
    this.#measure(result.width, result.height);
    const detections = result.detections.flatMap((detection): readonly Detection[] => {
      if (classes.length > 0 && !classes.includes(detection.className)) return [];
      if (this.#zones.length === 0) return [detection];
      const at = anchorOf(detection, anchor);
      const zones = this.#zones.flatMap(({ id, polygon }) => (isInside(at, polygon) ? id : []));
      return zonesOnly && zones.length === 0 ? [] : [{ ...detection, zones }];
    });
    return { ...result, detections };
  }

  #measure(width: number, height: number): void {
    if (this.#size[0] === width && this.#size[1] === height) return;
    this.#size = [width, height];
    this.#zones = this.#shown.zones.map(({ id, polygon }) => ({ id, polygon: polygon.map(([x, y]): Pixel => [x * width, y * height]) }));
  }
}
