/** Makes a change of H.264 parameters visible inside the stream: many players read only the first sample description of a file. */
import { parameterSetsOf } from '../core/fmp4/init-reader.ts';
import type { ProgressiveSource } from '../core/fmp4/progressive.ts';
import type { SegmentRecord } from './port.ts';
import type { SegmentFiles } from './segment-file.ts';

/** Enough for whatever an encoder puts before the SPS (access unit delimiter, SEI) and the SPS's own header. */
const PEEK = 4096;
const SPS = 7;

/**
 * Gives a `videoPrefix` to each source whose video parameters differ from those of the source before and whose first picture does not carry them
 * itself. `segments`: the one of each source.
 */
export const withParameterSets = async (files: SegmentFiles, segments: readonly SegmentRecord[], sources: readonly ProgressiveSource[]): Promise<ProgressiveSource[]> => {
  const result: ProgressiveSource[] = [];
  let current: Buffer | undefined;
  for (const [i, source] of sources.entries()) {
    const t = source.tracks.findIndex(({ kind }) => kind === 'video');
    const entry = source.tracks[t]?.sampleEntry;
    const first = source.ranges[t];
    const changed = entry !== undefined && current !== undefined && !entry.equals(current);
    current = entry ?? current;
    if (!changed || !first || first.first >= first.last) {
      result.push(source);
      continue;
    }
    const samples = source.samples[t];
    const segment = segments[i];
    const inBand = segment !== undefined && await carriesSps(files, segment, samples?.offset[first.first] ?? 0, samples?.bytes[first.first] ?? 0);
    result.push(inBand ? source : { ...source, videoPrefix: parameterSetsOf(entry) });
  }
  return result;
};

const carriesSps = async (files: SegmentFiles, segment: SegmentRecord, offset: number, bytes: number): Promise<boolean> => {
  await using file = await files.open(segment);
  return beginsWithSps(await file.read(offset, Math.min(PEEK, bytes)));
};

/** Whether there is a sequence parameter set among the first NAL units, each behind its length. */
export const beginsWithSps = (unit: Buffer): boolean => {
  for (let at = 0; at + 5 <= Math.min(PEEK, unit.length); at += 4 + unit.readUInt32BE(at)) {
    if (((unit[at + 4] ?? 0) & 0x1f) === SPS) return true;
  }
  return false;
};
