/** Which access units a picture of a moment needs. Pure: indexes in, sample ranges out. */
import type { Milliseconds } from '../core/units.ts';
import { decodeStart, firstPicture, frameOf, place } from './playback-selection.ts';
import type { SegmentIndex } from './segment-scan.ts';

/** Samples of the video track, in decode order: the first is a random access one, the last the picture wanted. */
export interface SelectedPicture {
  readonly parts: readonly { /** Into the given indexes. */ readonly index: number; readonly first: number; readonly last: number }[];
  /** Unix ms. */
  readonly wall: Milliseconds;
}

/** How far behind `at` a first picture may begin: times of the API are whole milliseconds, frames are not. */
const ROUNDING: Milliseconds = 1;

/** The picture shown at `at`, the same a playback from there begins with. Undefined when nothing was recorded then. */
export const pictureAt = (indexes: readonly SegmentIndex[], at: Milliseconds): SelectedPicture | undefined => {
  const placed = place(indexes).filter(({ primary }) => primary.track.kind === 'video');
  const picture = firstPicture(placed, at);
  if (!picture || picture.wall > at + frameOf(placed, picture) / 2 + ROUNDING) return undefined;
  const begin = decodeStart(placed, picture);
  const parts = placed.flatMap(({ index, primary }, segment) => {
    if (segment < begin.segment || segment > picture.segment) return [];
    return [{ index: indexes.indexOf(index), first: segment === begin.segment ? begin.sample : 0, last: segment === picture.segment ? picture.sample + 1 : primary.samples.length }];
  });
  return { parts, wall: picture.wall };
};

/** The last random access picture at or before `at`, else the first of the file. Undefined without one. */
export const keyPictureAt = (index: SegmentIndex, at: Milliseconds): SelectedPicture | undefined => {
  const video = index.tracks.find(({ track, samples }) => track.kind === 'video' && samples.length > 0);
  if (!video) return undefined;
  const { samples, track } = video;
  const wallOf = (i: number): Milliseconds => (index.wallAtZero[samples.part[i] ?? 0] ?? 0) + ((samples.pts[i] ?? 0) * 1000) / track.timescale;
  let found = -1;
  for (let i = 0; i < samples.length; i++) if (samples.sync[i] === 1 && (found < 0 || wallOf(i) <= at)) found = i;
  return found < 0 ? undefined : { parts: [{ index: 0, first: found, last: found + 1 }], wall: wallOf(found) };
};
