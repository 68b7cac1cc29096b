/**
 * A range as one fragmented MP4, written while it is read: the first file's init segment, then parts whose times count from 0 through gaps and
 * new publications. It looks at no file before its turn, so it begins at once however long the range is, and has no length.
 */
import { MediaError, messageOf } from '../core/errors.ts';
import { parameterSetsOf } from '../core/fmp4/init-reader.ts';
import type { InitTrack } from '../core/fmp4/init-reader.ts';
import { writePart } from '../core/fmp4/part-writer.ts';
import type { PartTrackInput, SampleInput } from '../core/fmp4/part-writer.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import { beginsWithSps } from './parameter-sets.ts';
import { Placer, ptsMs, wallOf } from './playback-selection.ts';
import type { Placed } from './playback-selection.ts';
import type { PlaybackRange, SegmentRecord } from './port.ts';
import { isGone, readExactly } from './segment-file.ts';
import type { SegmentBytes, SegmentFiles } from './segment-file.ts';
import type { SegmentIndexCache } from './segment-index.ts';

export interface FragmentedStreamOptions {
  readonly range: PlaybackRange;
  /** Those that overlap the range, in order. */
  readonly segments: readonly SegmentRecord[];
  readonly files: SegmentFiles;
  readonly indexes: SegmentIndexCache;
  readonly logger: Logger;
}

/**
 * The stream, part by part. It begins at the key frame at or before `from`, and ends with the part of the last picture before `to`. Files that have
 * gone before the first that is there are left out. Throws UNPROCESSABLE before the first byte when the picture's size or the sound's codec changes within the range, which one init
 * segment cannot say; NOT_FOUND when nothing is there, or when a file goes while it is read.
 */
export async function* fragmentedStream({ range, segments, files, indexes, logger }: FragmentedStreamOptions, signal: AbortSignal): AsyncGenerator<Buffer> {
  refuseChanges(segments);
  const placer = new Placer();
  let writer: PartStreamWriter | undefined;
  for (const segment of segments) {
    signal.throwIfAborted();
    try {
      const placed = placer.place(await indexes.get(segment));
      if (!placed) continue;
      await using file = await files.open(segment);
      if (!writer) {
        const init = await readExactly(file, 0, placed.index.initBytes);
        writer = new PartStreamWriter(placed, range);
        yield init;
      }
      for await (const part of writer.parts(placed, file)) {
        signal.throwIfAborted();
        yield part;
      }
    } catch (error) {
      if (signal.aborted || !isGone(error)) throw error;
      logger.error({ segment: segment.id, reason: messageOf(error) }, writer ? 'playback ended early: a recorded file is gone or short' : 'recording left out of a playback');
      if (writer) throw error;
    }
  }
  if (!writer) throw new MediaError('NOT_FOUND', 'Nothing was recorded in this range.', { reason: 'NOTHING_RECORDED' });
}

const refuseChanges = (segments: readonly SegmentRecord[]): void => {
  const known = new Map<string, string>();
  for (const { tracks, start } of segments) {
    for (const { kind, codec, width, height } of tracks) {
      const now = kind === 'video' ? `${codec.slice(0, 4)} ${String(width)}x${String(height)}` : codec;
      const before = known.get(kind) ?? now;
      known.set(kind, before);
      if (before === now) continue;
      throw new MediaError('UNPROCESSABLE', `The ${kind} changes from ${before} to ${now} within the range; ask for the parts before and after, or for another format.`, { reason: 'TRACKS_CHANGE', context: { at: new Date(start).toISOString() } });
    }
  }
};

/** Keeps the one timeline of the output. */
class PartStreamWriter {
  readonly #tracks: readonly InitTrack[];
  readonly #range: PlaybackRange;
  /** On the shared timeline: what is 0 in the output. */
  readonly #origin: Milliseconds;
  /** Where decode time goes on, by track, in its ticks. */
  readonly #ends = new Map<number, number>();
  #firstSample: number;
  #entry: Buffer | undefined;
  #sequence = 0;

  constructor(placed: Placed, range: PlaybackRange) {
    const { index, primary, shift } = placed;
    this.#tracks = index.tracks.map(({ track }) => track);
    this.#range = range;
    this.#firstSample = keySample(placed, range.from);
    this.#origin = ((primary.samples.dts[this.#firstSample] ?? 0) * 1000) / primary.track.timescale + shift;
    this.#entry = primary.track.sampleEntry;
  }

  async *parts(placed: Placed, file: SegmentBytes): AsyncGenerator<Buffer> {
    const { index, primary, shift } = placed;
    const begin = this.#firstSample;
    this.#firstSample = 0;
    // Sound from before the first picture is of no use.
    const start = begin === 0 ? -Infinity : ptsMs(primary, begin);
    const cursors = index.tracks.map((indexed, t) => (t === placed.primaryAt ? begin : indexed.samples.pts.findIndex((_, i) => i >= indexed.samples.length || ptsMs(indexed, i) >= start)));
    const entry = primary.track.sampleEntry;
    let prefix = this.#entry?.equals(entry) === true ? undefined : parameterSetsOf(entry);
    this.#entry = entry;
    for (let part = primary.samples.part[begin] ?? 0; part < index.wallAtZero.length; part++) {
      const runs = index.tracks.map(({ samples }, t) => {
        let first = Math.max(0, cursors[t] ?? 0);
        while (first < samples.length && (samples.part[first] ?? 0) < part) first++;
        let last = first;
        while (last < samples.length && samples.part[last] === part) last++;
        cursors[t] = last;
        return { first, last };
      });
      const own = runs[placed.primaryAt];
      if (own && own.last > own.first && wallOf(index, primary, own.first) >= this.#range.to) return;
      const offset = Math.min(...runs.map(({ first, last }, t) => (last > first ? index.tracks[t]?.samples.offset[first] ?? Infinity : Infinity)));
      const end = Math.max(...runs.map(({ first, last }, t) => (last > first ? (index.tracks[t]?.samples.offset[last - 1] ?? 0) + (index.tracks[t]?.samples.bytes[last - 1] ?? 0) : 0)));
      if (end <= offset) continue;
      const bytes = await readExactly(file, offset, end - offset);
      const tracks = runs.flatMap(({ first, last }, t): PartTrackInput[] => {
        const indexed = index.tracks[t];
        const track = indexed && this.#tracks.find(({ kind }) => kind === indexed.track.kind);
        if (!indexed || !track || last <= first) return []; // sound that only joined later is not in the init segment
        const { samples } = indexed;
        const list = Array.from({ length: last - first }, (_, k): SampleInput => {
          const i = first + k;
          const at = (samples.offset[i] ?? 0) - offset;
          const data = bytes.subarray(at, at + (samples.bytes[i] ?? 0));
          return { data, duration: samples.duration[i] ?? 0, compositionOffset: (samples.pts[i] ?? 0) - (samples.dts[i] ?? 0), randomAccess: samples.sync[i] === 1 };
        });
        const [head] = list;
        if (prefix && head && indexed === primary) {
          if (!beginsWithSps(head.data)) list[0] = { ...head, data: Buffer.concat([prefix, head.data]) };
          prefix = undefined;
        }
        const moved = (samples.dts[first] ?? 0) + Math.round(((shift - this.#origin) * track.timescale) / 1000);
        const baseDecodeTime = Math.max(moved, this.#ends.get(track.id) ?? 0);
        this.#ends.set(track.id, baseDecodeTime + list.reduce((sum, { duration }) => sum + duration, 0));
        return [{ trackId: track.id, baseDecodeTime, samples: list }];
      });
      const [first] = tracks;
      const reference = runs.findIndex((run) => run.last > run.first);
      const indexed = index.tracks[reference];
      if (!first?.samples[0] || !indexed) continue;
      const wall = wallOf(index, indexed, runs[reference]?.first ?? 0);
      yield Buffer.concat(writePart({ sequence: ++this.#sequence, reference: { trackId: first.trackId, wall, mediaTime: Math.max(0, first.baseDecodeTime + first.samples[0].compositionOffset) }, tracks }));
    }
  }
}

/** The last random access sample at or before `from`, else the first one, else the first sample. */
const keySample = ({ index, primary }: Placed, from: Milliseconds): number => {
  let found = -1;
  for (let i = 0; i < primary.samples.length; i++) if (primary.samples.sync[i] === 1 && (found < 0 || wallOf(index, primary, i) <= from)) found = i;
  return Math.max(0, found);
};
