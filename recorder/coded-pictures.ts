/** The coded pictures of one recorded segment, for whoever decodes them again. */
import { parameterSetsOf } from '../core/fmp4/init-reader.ts';
import { MediaError } from '../core/errors.ts';
import type { CodedPictures, RecordedSample, SegmentRecord } from './port.ts';
import { readExactly } from './segment-file.ts';
import type { SegmentFiles } from './segment-file.ts';
import { recordedSamples } from './segment-index.ts';
import type { SegmentIndex } from './segment-index.ts';

/** Pictures that lie close to each other are read together, so much at a time. */
const PIECE = 512 << 10;

/** Null where the segment has no picture. Throws UNPROCESSABLE for a codec that is not decoded here. */
export const codedPictures = (files: SegmentFiles, segment: SegmentRecord, index: SegmentIndex): CodedPictures | null => {
  const track = index.tracks.find(({ track: { kind }, samples }) => kind === 'video' && samples.length > 0)?.track;
  if (track === undefined) return null;
  const parameterSets = parameterSetsOf(track.sampleEntry);
  if (parameterSets.length === 0) throw new MediaError('UNPROCESSABLE', `pictures in ${track.codec} cannot be decoded here`, { reason: 'CODEC_NOT_DECODED', context: { segment: segment.id } });
  const [sps, pps] = [Buffer.from(nalOf(parameterSets, 7)), Buffer.from(nalOf(parameterSets, 8))];
  const samples = [...recordedSamples(index)].filter(({ kind }) => kind === 'video');
  return { codec: 'h264', sps, pps, clockRate: track.timescale, samples, read: () => readSamples(files, segment, samples) };
};

/** The first NAL unit of a type among those behind 4-byte lengths; empty when there is none. */
const nalOf = (units: Buffer, type: number): Buffer => {
  for (let at = 0; at + 5 <= units.length; at += 4 + units.readUInt32BE(at)) {
    if (((units[at + 4] ?? 0) & 0x1f) === type) return units.subarray(at + 4, at + 4 + units.readUInt32BE(at));
  }
  return Buffer.alloc(0);
};

type Place = Pick<RecordedSample, 'offset' | 'bytes'>;

/** Each sample's bytes, in order; the buffers are the reader's own. Throws NOT_FOUND when the file has gone. */
export const readSamples = async function* (files: SegmentFiles, segment: SegmentRecord, samples: readonly Place[]): AsyncGenerator<Buffer> {
  await using file = await files.open(segment);
  for (let next = 0; next < samples.length;) {
    const start = samples[next]?.offset ?? 0;
    let last = next;
    for (let i = next + 1; i < samples.length && endOf(samples[i]) - start <= PIECE && (samples[i]?.offset ?? 0) >= start; i++) last = i;
    const piece = await readExactly(file, start, endOf(samples[last]) - start);
    // Copied: each picture goes its own way, and the piece would live as long as the last of them.
    for (; next <= last; next++) yield Buffer.from(piece.subarray((samples[next]?.offset ?? 0) - start, endOf(samples[next]) - start));
  }
};

const endOf = (sample: Place | undefined): number => (sample ? sample.offset + sample.bytes : 0);
