/** The pictures of a range, one by one, at the times a playback of it shows them: for whoever draws into them. */
import { MediaError, messageOf } from '../core/errors.ts';
import { decoderConfigOf } from '../core/fmp4/init-reader.ts';
import { frameAt } from '../core/fmp4/segment-info-box.ts';
import type { ProgressiveSource } from '../core/fmp4/progressive.ts';
import type { Logger } from '../platform/logging.ts';
import { readSamples } from './coded-pictures.ts';
import { inOrder } from './in-order.ts';
import { ptsMs, selectRange, wallOf } from './playback-selection.ts';
import type { PlaybackRange, RangePicture, RangePictures, RangeRun, SegmentRecord } from './port.ts';
import { isGone } from './segment-file.ts';
import type { SegmentFiles } from './segment-file.ts';
import type { SegmentIndex } from './segment-scan.ts';

const CONCURRENT_READS = 3;
/** Times are compared with a tick of the slowest clock's rounding in hand, milliseconds. */
const ROUNDING = 0.5;

export interface RangePicturesDeps {
  readonly files: SegmentFiles;
  readonly indexOf: (segment: SegmentRecord) => Promise<SegmentIndex>;
  readonly logger: Logger;
}

/** Throws NOT_FOUND when nothing was recorded, UNPROCESSABLE for a codec that is not decoded here, UNAVAILABLE while the archive cannot be asked. */
export const rangePictures = async ({ from, to }: PlaybackRange, segments: readonly SegmentRecord[], { files, indexOf, logger }: RangePicturesDeps, signal: AbortSignal): Promise<RangePictures> => {
  const read = await inOrder(segments, CONCURRENT_READS, async (segment) => {
    signal.throwIfAborted();
    try {
      return { segment, index: await indexOf(segment) };
    } catch (error) {
      if (!isGone(error)) throw error;
      logger.warn({ segment: segment.id, reason: messageOf(error) }, 'recording left out of an export');
      return undefined;
    }
  });
  const found = read.filter((each) => each !== undefined);
  const { segments: used, sources, window } = selectRange(found.map(({ index }) => index), from, to);
  const runs: RangeRun[] = [];
  used.forEach((at, i) => {
    const [entry, source] = [found[at], sources[i]];
    const run = entry && source && runOf(entry.segment, entry.index, source, window, files);
    if (run) runs.push(run);
  });
  if (runs.length === 0) throw new MediaError('NOT_FOUND', 'Nothing was recorded in this range.', { reason: 'NOTHING_RECORDED' });
  return { runs, length: window.end - window.start, missing: segments.length - found.length };
};

/** Undefined where a segment has sound alone. */
const runOf = (segment: SegmentRecord, index: SegmentIndex, source: ProgressiveSource, window: { readonly start: number; readonly end: number }, files: SegmentFiles): RangeRun | undefined => {
  const t = index.tracks.findIndex(({ track, samples }) => track.kind === 'video' && samples.length > 0);
  const [video, range] = [index.tracks[t], source.ranges[t]];
  if (!video || !range || range.last <= range.first) return undefined;
  const { track, samples, bases } = video;
  const decoderConfig = decoderConfigOf(track.sampleEntry);
  if (!decoderConfig) throw new MediaError('UNPROCESSABLE', `Pictures in ${track.codec} cannot be decoded here.`, { reason: 'CODEC_NOT_DECODED', context: { segment: segment.id } });
  const pictures: RangePicture[] = [];
  const places: { offset: number; bytes: number }[] = [];
  for (let i = range.first; i < range.last; i++) {
    const shown = ptsMs(video, i) + source.shift;
    const inside = shown >= window.start - ROUNDING && shown < window.end - ROUNDING;
    pictures.push({ frame: frameAt(index.info, bases, i, samples.pts[i] ?? 0, track.timescale), wall: wallOf(index, video, i), at: inside ? Math.max(0, shown - window.start) : null });
    places.push({ offset: samples.offset[i] ?? 0, bytes: samples.bytes[i] ?? 0 });
  }
  return { segmentId: segment.id, sessionId: index.info.sessionId, decoderConfig, pictures, read: () => readSamples(files, segment, places) };
};
