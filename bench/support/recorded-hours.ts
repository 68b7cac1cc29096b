/** Recordings that nobody had to wait for: files as the recorder writes them, of pictures that are only bytes. */
import { writeInitSegment } from '../../core/fmp4/init-segment.ts';
import { writePart } from '../../core/fmp4/part-writer.ts';
import type { Tracks } from '../../core/track.ts';
import type { InitSegment, Part } from '../../muxer/port.ts';
import { SegmentWriter } from '../../recorder/segment-writer.ts';

export interface RecordedHours {
  readonly camera: string;
  readonly tracks: Tracks;
  /** Unix ms of the first picture. */
  readonly start: number;
  readonly segments: number;
  /** Of one picture. */
  readonly bytes: number;
}

const FPS = 30;
const PART_PICTURES = 6;
const SEGMENT_PICTURES = 300;
const GOP = 60;
const TICKS = 90_000 / FPS;

/** Writes segments of 10 s at 30 pictures a second, one session long, into the recordings folder `directory`. */
export const recordHours = async (directory: string, { camera, tracks, start, segments, bytes }: RecordedHours): Promise<void> => {
  const init: InitSegment = { bytes: writeInitSegment(tracks), tracks, codecs: tracks.video?.codecString ?? '' };
  const data = Buffer.alloc(bytes, 0x41);
  data.writeUInt32BE(bytes - 4, 0); // one NAL unit
  for (let segment = 0; segment < segments; segment++) {
    const parts = Array.from({ length: SEGMENT_PICTURES / PART_PICTURES }, (_, p) => partOf(segment * SEGMENT_PICTURES + p * PART_PICTURES, camera, start, init, data));
    const [first] = parts;
    if (!first) return;
    const writer = await SegmentWriter.open(directory, first, segment, null);
    await writer.write(parts);
    await writer.close(false);
  }
};

const partOf = (from: number, camera: string, start: number, init: InitSegment, data: Buffer): Part => {
  const wall = start + (from * 1000) / FPS;
  const samples = Array.from({ length: PART_PICTURES }, (_, i) => {
    const pts = (from + i) * TICKS;
    return {
      kind: 'video' as const, frame: { stream: camera, epoch: start, rtpTs: pts >>> 0, captureNtp: null, seq: from + i }, wall: wall + (i * 1000) / FPS, dts: pts, pts, duration: TICKS,
      bytes: data.length, randomAccess: (from + i) % GOP === 0, data, compositionOffset: 0,
    };
  });
  const chunks = writePart({ sequence: from / PART_PICTURES + 1, reference: { trackId: 1, wall, mediaTime: from * TICKS }, tracks: [{ trackId: 1, baseDecodeTime: from * TICKS, samples }] });
  return {
    camera, init, sessionId: 'recorded', sessionStart: start, epoch: start, sequence: from / PART_PICTURES + 1, discontinuity: false, beforeRandomAccess: (from + PART_PICTURES) % GOP === 0, chunks,
    byteLength: chunks.reduce((sum, { length }) => sum + length, 0), randomAccess: from % GOP === 0, wall, duration: 200, targetMs: 205, samples,
  };
};
