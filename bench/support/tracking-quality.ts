/**
 * How well tracks agree with the truth: MOTA (K. Bernardin, R. Stiefelhagen, "Evaluating multiple object tracking performance: the CLEAR MOT metrics",
 * EURASIP Journal on Image and Video Processing 2008) and IDF1 (E. Ristani et al., "Performance measures and a data set for multi-target,
 * multi-camera tracking", ECCV Workshops 2016).
 */
import { iou } from '../../core/detection.ts';
import type { Box } from '../../core/detection.ts';
import { assign } from '../../extractor/tracking/assignment.ts';

export interface TrueObject {
  readonly id: number;
  readonly classId: number;
  readonly bbox: Box;
  /** It need not be found; a box on it counts neither for nor against. */
  readonly optional: boolean;
}

export interface TrackedObject {
  readonly id: number;
  readonly classId: number;
  readonly bbox: Box;
}

/** One picture: what is in it, and what the tracker says. */
export interface TrackedPicture {
  readonly truth: readonly TrueObject[];
  readonly tracked: readonly TrackedObject[];
}

export interface TrackingQuality {
  /** 1 less misses, false positives and switches as a share of the objects; may be negative. */
  readonly mota: number;
  /** Of the boxes, those that bear the identity of their object when every object is given the one track that fits best. */
  readonly idf1: number;
  /** Of the pictures in which an object is found, the share in which it bears the id it bears most often; of all objects together. NaN when none is found. */
  readonly kept: number;
  /** Objects, counted in each picture. */
  readonly objects: number;
  readonly misses: number;
  readonly falsePositives: number;
  /** How often an object was given another id than the one before, also over a pause. */
  readonly switches: number;
}

/** More than any overlap: a correspondence of the picture before is kept while it holds. */
const CONTINUED = 2;

/** A box is an object's if its class is the same and they overlap by `minIou`, 0..1, at least. Pictures in order. */
export const trackingQuality = (pictures: readonly TrackedPicture[], minIou: number): TrackingQuality => {
  let objects = 0;
  let told = 0;
  let misses = 0;
  let falsePositives = 0;
  let switches = 0;
  let found = 0;
  /** The id an object had last, and those of the picture before. */
  const lastIds = new Map<number, number>();
  let previous: ReadonlyMap<number, number> = new Map();
  const together = new Map<number, Map<number, number>>();
  for (const { truth: all, tracked: everything } of pictures) {
    const { truth, tracked } = required(all, everything, minIou);
    const similarity = (object: TrueObject, box: TrackedObject): number => similar(object, box, minIou);
    const pairs = bestPairs(truth, tracked, (object, box) => {
      const overlap = similarity(object, box);
      return overlap > 0 && previous.get(object.id) === box.id ? overlap + CONTINUED : overlap;
    });
    previous = new Map(pairs.map(([object, box]) => [object.id, box.id]));
    for (const [id, given] of previous) {
      if ((lastIds.get(id) ?? given) !== given) switches++;
      lastIds.set(id, given);
    }
    objects += truth.length;
    told += tracked.length;
    misses += truth.length - pairs.length;
    falsePositives += tracked.length - pairs.length;
    for (const object of truth) {
      const counts = together.get(object.id) ?? new Map<number, number>();
      together.set(object.id, counts);
      const itsIds = new Set(tracked.filter((box) => similarity(object, box) > 0).map(({ id }) => id));
      for (const id of itsIds) counts.set(id, (counts.get(id) ?? 0) + 1);
      if (itsIds.size > 0) found++;
    }
  }
  const ids = [...new Set([...together.values()].flatMap((counts) => [...counts.keys()]))];
  const identified = bestPairs([...together.values()], ids, (counts, id) => counts.get(id) ?? 0).reduce((sum, [counts, id]) => sum + (counts.get(id) ?? 0), 0);
  const mostOften = [...together.values()].reduce((sum, counts) => sum + Math.max(0, ...counts.values()), 0);
  return { mota: 1 - (misses + falsePositives + switches) / objects, idf1: (2 * identified) / (objects + told), kept: mostOften / found, objects, misses, falsePositives, switches };
};

/** Without the objects that need not be found, and without the boxes on them. */
const required = (truth: readonly TrueObject[], tracked: readonly TrackedObject[], minIou: number): TrackedPicture => {
  const pairs = bestPairs(truth, tracked, (object, box) => similar(object, box, minIou));
  const onOptional = new Set(pairs.filter(([object]) => object.optional).map(([, box]) => box));
  return { truth: truth.filter(({ optional }) => !optional), tracked: tracked.filter((box) => !onOptional.has(box)) };
};

/** Their overlap; 0 where the box is not the object's. */
const similar = (object: TrueObject, box: TrackedObject, minIou: number): number => {
  const overlap = object.classId === box.classId ? iou(object.bbox, box.bbox) : 0;
  return overlap >= minIou ? overlap : 0;
};

/** Pairs that make the sum of their worth the greatest; those worth nothing are none. */
const bestPairs = <A, B>(left: readonly A[], right: readonly B[], worth: (a: A, b: B) => number): (readonly [A, B])[] => {
  const costs = Float64Array.from(left.flatMap((a) => right.map((b) => -worth(a, b))));
  return [...assign({ rows: left.length, columns: right.length, costs })].flatMap((column, row) => {
    const a = left[row];
    const b = right[column];
    return a === undefined || b === undefined || worth(a, b) <= 0 ? [] : [[a, b] as const];
  });
};
