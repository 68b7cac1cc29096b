import { setImmediate as othersTurn } from 'node:timers/promises';
import { MediaError } from '../../core/errors.ts';
import { Timeline } from './timeline.ts';
import type { Buckets, Lane, Seen } from './timeline.ts';
import type { TimelineFilter, TimelineStore } from './timeline-store.ts';

/** So many detections are counted picture by picture; where there are more, the sightings that sum them up are. */
export const MAX_COUNTED = 20_000;
/** SQLite answers nobody else meanwhile: so many rows take a few milliseconds. */
const ROWS_PER_READ = 5_000;
/** A week in which a camera saw four classes anew every 15 s is 160,000. */
export const MAX_SIGHTINGS = 200_000;
/** More are not listed. */
const MOST_LANES = 64;

/** What a camera saw in each part of a stretch of time. */
export interface CountedTime {
  /** Counted picture by picture; else sightings were spread over their time. */
  readonly exact: boolean;
  readonly lanes: readonly Lane[];
  /** Classes and models that are not among them. */
  readonly leftOut: number;
}

/** Throws UNPROCESSABLE where more sightings would have to be read than `MAX_SIGHTINGS`. */
export const readTimeline = async (store: TimelineStore, camera: string, className: string | undefined, buckets: Buckets): Promise<CountedTime> => {
  const filter: TimelineFilter = { camera, from: buckets.from, to: buckets.to, className };
  const timeline = new Timeline(buckets);
  const detections = await store.countDetections(filter, MAX_COUNTED + 1);
  // Sightings may outlive their detections.
  const exact = detections > 0 && detections <= MAX_COUNTED;
  if (exact) await addPictures(store, filter, timeline, detections);
  else await addSightings(store, filter, timeline);
  return { exact, ...timeline.lanes(MOST_LANES) };
};

const addPictures = async (store: TimelineStore, filter: TimelineFilter, timeline: Timeline, detections: number): Promise<void> => {
  const reads = Math.ceil(detections / ROWS_PER_READ);
  const edge = (i: number): number => filter.from + ((filter.to - filter.from) * i) / reads;
  for (let i = 0; i < reads; i++) {
    for (const seen of await store.pictures({ ...filter, from: edge(i), to: edge(i + 1) })) timeline.add(seen);
    await othersTurn();
  }
};

const addSightings = async (store: TimelineStore, filter: TimelineFilter, timeline: Timeline): Promise<void> => {
  let after: Seen | undefined;
  for (let read = 0; read < MAX_SIGHTINGS; read += ROWS_PER_READ) {
    const rows = await store.sightings(filter, after, ROWS_PER_READ);
    for (const row of rows) timeline.add(row);
    if (rows.length < ROWS_PER_READ) return;
    after = rows.at(-1);
    await othersTurn();
  }
  throw new MediaError('UNPROCESSABLE', 'Too much was seen in this time: ask for less of it, or for one class.', { reason: 'TOO_MANY_SIGHTINGS', context: { limit: MAX_SIGHTINGS } });
};
