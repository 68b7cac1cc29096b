/** What is really to be seen in `inspection-720p30.mp4`, and how well detections agree with it. */
import { readFileSync } from 'node:fs';
import { iou } from '../../core/detection.ts';
import type { Box } from '../../core/detection.ts';
import { clip } from './media.ts';

export interface Found {
  readonly classId: number;
  readonly bbox: Box;
}
interface Defect extends Box {
  /** One per physical defect, whatever frame it is seen in. */
  readonly id: number;
  readonly classId: number;
  /** Share of it inside the picture. */
  readonly visible: number;
}

/** A box that overlaps a defect by so much is one of it. */
export const MIN_IOU = 0.4;
/** A defect that is in the picture less than this need not be found; found, it is right. */
const MIN_VISIBLE = 0.7;

/** Counts over the frames it is told. */
export class InspectionTruth {
  readonly #frames: readonly { readonly objects: readonly Defect[] }[];
  readonly #toBeSeen = new Set<number>();
  /** Defects that were to be found, and how many of them were. */
  wanted = 0;
  hits = 0;
  /** Detections, and how many of them are a defect of that class. */
  said = 0;
  right = 0;

  constructor() {
    const { perFrame } = JSON.parse(readFileSync(clip('inspection-720p30.gt.json'), 'utf8')) as { perFrame: readonly { readonly frame: number; readonly objects: readonly Defect[] }[] };
    this.#frames = perFrame.toSorted((a, b) => a.frame - b.frame);
  }

  get recall(): number { return this.hits / this.wanted; }
  get precision(): number { return this.right / this.said; }
  /** How many different defects were to be found in the frames told. */
  get defects(): number { return this.#toBeSeen.size; }
  /** How many there are in the whole clip. */
  get allDefects(): number { return new Set(this.#frames.flatMap(({ objects }) => objects.filter(toBeFound).map(({ id }) => id))).size; }

  /** The defects in frame `frame` of the clip; none in a frame the clip has not. `optional`: it need not be found. */
  objects(frame: number): { readonly id: number; readonly classId: number; readonly bbox: Box; readonly optional: boolean }[] {
    return (this.#frames[frame]?.objects ?? []).map((defect) => ({ id: defect.id, classId: defect.classId, bbox: defect, optional: !toBeFound(defect) }));
  }

  /** What a detector said about frame `frame` of the clip, everything it is to be believed in. Throws for a frame the clip has not. */
  compare(frame: number, found: readonly Found[]): void {
    const objects = this.#frames[frame]?.objects;
    if (!objects) throw new Error(`the clip has no frame ${frame}`);
    for (const defect of objects.filter(toBeFound)) {
      this.#toBeSeen.add(defect.id);
      this.wanted++;
      if (found.some((each) => same(each, defect))) this.hits++;
    }
    this.said += found.length;
    this.right += found.filter((each) => objects.some((defect) => same(each, defect))).length;
  }
}

const toBeFound = ({ visible }: Defect): boolean => visible >= MIN_VISIBLE;
const same = (found: Found, defect: Defect): boolean => found.classId === defect.classId && iou(found.bbox, defect) >= MIN_IOU;
