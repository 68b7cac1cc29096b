/** From a range and the segments that overlap it to the plan of one MP4. The same in control and in its planner thread. */
import { MediaError, messageOf } from '../core/errors.ts';
import { buildProgressive } from '../core/fmp4/progressive.ts';
import type { ProgressivePlan } from '../core/fmp4/progressive.ts';
import type { Milliseconds } from '../core/units.ts';
import { inOrder } from './in-order.ts';
import { withParameterSets } from './parameter-sets.ts';
import { selectRange } from './playback-selection.ts';
import type { PlaybackRange, SegmentRecord } from './port.ts';
import { isGone } from './segment-file.ts';
import type { SegmentFiles } from './segment-file.ts';
import type { SegmentIndex } from './segment-scan.ts';

/** Twelve hours of 30 pictures and 50 pieces of sound a second are 3.5 million, 140 MB while the tables are made. */
const MAX_SAMPLES = 4_000_000;
/** Indexes are read by so many at a time; the thread pool has four threads and others need one. */
const CONCURRENT_READS = 3;

export interface PlannedPlayback {
  readonly plan: ProgressivePlan;
  /** Numbers of the given segments: by source of the plan, and all whose files were there. */
  readonly sources: readonly number[];
  readonly found: readonly number[];
  /** Those whose files were not, and why. */
  readonly missing: readonly { readonly segment: number; readonly reason: string }[];
  readonly firstWall: Milliseconds;
  readonly lastWall: Milliseconds;
}

export interface PlanningDeps {
  readonly files: SegmentFiles;
  readonly indexOf: (segment: SegmentRecord) => Promise<SegmentIndex>;
}

/** Throws NOT_FOUND when nothing was recorded, INVALID_ARGUMENT for too many samples, UNAVAILABLE while the archive cannot be asked. A file that has gone since the list was made is left out. */
export const planPlayback = async ({ from, to }: PlaybackRange, segments: readonly SegmentRecord[], { files, indexOf }: PlanningDeps, signal: AbortSignal): Promise<PlannedPlayback> => {
  const missing: { segment: number; reason: string }[] = [];
  const read = await inOrder([...segments.entries()], CONCURRENT_READS, async ([i, segment]) => {
    signal.throwIfAborted();
    try {
      return { i, index: await indexOf(segment) };
    } catch (error) {
      if (!isGone(error)) throw error;
      missing.push({ segment: i, reason: messageOf(error) });
      return undefined;
    }
  });
  const found = read.filter((each) => each !== undefined);
  const samples = found.reduce((sum, { index: { tracks } }) => sum + tracks.reduce((all, track) => all + track.samples.length, 0), 0);
  if (samples > MAX_SAMPLES) throw new MediaError('INVALID_ARGUMENT', 'too many pictures for one playback; ask for a shorter range', { reason: 'RANGE_TOO_LONG' });
  const selection = selectRange(found.map(({ index }) => index), from, to);
  const sources = selection.segments.flatMap((at) => found[at]?.i ?? []);
  const used = sources.flatMap((i) => segments[i] ?? []);
  const plan = buildProgressive(await withParameterSets(files, used, selection.sources), selection.window);
  return { plan, sources, found: found.map(({ i }) => i), missing, firstWall: selection.firstWall, lastWall: selection.lastWall };
};
