/** recorder/: parts → disk, and the reading side that the control process uses for playback. */
import type { ChainLink } from '../core/fmp4/segment-info-box.ts';
import type { CameraId, FrameRef } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { ExportOutcome, ExportWork } from './annotated-export.ts';
import type { UploadedUnit } from './upload/gap-filler.ts';
import type { WallRange } from './upload/ranges.ts';

export { pictureKey } from './picture-key.ts';
export type { ExportOutcome, ExportWork } from './annotated-export.ts';
export type { SegmentFile, SegmentFiles } from './segment-file.ts';
export type { UploadedUnit } from './upload/gap-filler.ts';
export type { WallRange } from './upload/ranges.ts';

export interface SegmentTrack {
  readonly kind: 'video' | 'audio';
  readonly codec: string;
  readonly width: number | null;
  readonly height: number | null;
}

/** Why nothing was recorded between two segments. */
export const GAP_CAUSES = [
  /** The camera's publisher was lost, or another took its place. */
  'publisher_lost',
  /** The session was ended on purpose: the camera said goodbye, its key was revoked, or it was removed. */
  'publisher_left',
  /** The camera was connected, but pictures are missing: the network lost them, or the camera made none. */
  'network_loss',
  /** The camera sent what is not recorded: VP8. */
  'codec_not_recorded',
  /** The disk was full, or failed. */
  'disk',
  /** The server was stopped or started in this time. */
  'restart',
  /** Recording was switched off, or the camera was removed and made again. */
  'recording_off',
  /** Nothing is missing: the clock of the server was set forward. */
  'clock_set',
] as const;
export type GapCause = (typeof GAP_CAUSES)[number];

/** Any text as a cause; undefined for none that this version knows. */
export const toGapCause = (text: unknown): GapCause | undefined => GAP_CAUSES.find((cause) => cause === text);

/** A row of the recording index. The file describes itself (its `uuid` box), so the index can always be rebuilt. */
export interface SegmentRecord {
  /** `{camera}/{start, Unix ms}-{session id's first 8}-{sequence}`; also the path below the recordings directory, without `.mp4`. */
  readonly id: string;
  readonly camera: CameraId;
  readonly sessionId: string;
  readonly epoch: number;
  /** Unix ms of the first picture, and length. */
  readonly start: Milliseconds;
  readonly duration: Milliseconds;
  readonly bytes: number;
  /** Hex; null while open. */
  readonly sha256: string | null;
  readonly open: boolean;
  readonly tracks: readonly SegmentTrack[];
  /** Milliseconds missing between the previous segment of this camera and this one; null when it continues or is the first. */
  readonly gapBefore: Milliseconds | null;
  /** Why; absent where nothing is missing, and in recordings of versions that did not say. */
  readonly gapCause?: GapCause;
  /** Its place in the camera's chain [REC-10]; absent in recordings of versions that did not chain, and where the index tells of it. */
  readonly chain?: ChainLink;
}

/** When what was written is put on the disk itself, so that a cut of power does not cost it. */
export const FSYNC_POLICIES = ['segment', 'interval', 'part'] as const;
export type FsyncPolicy = (typeof FSYNC_POLICIES)[number];

/** One recorded sample. Times: `wall` on the server's clock (from `prft`), ticks on the session's timeline. */
export interface RecordedSample {
  readonly kind: 'video' | 'audio';
  readonly frame: FrameRef;
  readonly wall: Milliseconds;
  readonly dts: number;
  readonly pts: number;
  readonly duration: number;
  readonly randomAccess: boolean;
  /** Where the bytes are. */
  readonly segmentId: string;
  readonly offset: number;
  readonly bytes: number;
}

/** The coded pictures of one segment. */
export interface CodedPictures {
  readonly codec: 'h264';
  /** NAL units without start code. */
  readonly sps: Buffer;
  readonly pps: Buffer;
  /** Ticks per second of the samples' times. */
  readonly clockRate: number;
  /** In decode order; the first is a random access picture unless the camera sends none. */
  readonly samples: readonly RecordedSample[];
  /** The bytes of each sample, in order: NAL units behind 4-byte lengths. Throws NOT_FOUND when the file has gone. */
  read(): AsyncIterable<Buffer>;
}

/** A picture of a range. */
export interface RangePicture {
  readonly frame: FrameRef;
  readonly wall: Milliseconds;
  /** From the first picture shown, as in a playback of the range; null: only others need it. */
  readonly at: Milliseconds | null;
}

/** What one segment has of a range: its pictures in decode order. */
export interface RangeRun {
  readonly segmentId: string;
  readonly sessionId: string;
  /** AVCDecoderConfigurationRecord (ISO/IEC 14496-15:2022 §5.3.3.1). */
  readonly decoderConfig: Buffer;
  readonly pictures: readonly RangePicture[];
  /** Each picture's bytes, in order: NAL units behind 4-byte lengths. Throws NOT_FOUND when the file has gone. */
  read(): AsyncIterable<Buffer>;
}

/** The pictures a playback of a range shows, and those they need. */
export interface RangePictures {
  readonly runs: readonly RangeRun[];
  /** From the first picture to the end of the last. */
  readonly length: Milliseconds;
  /** Segments whose files had gone. */
  readonly missing: number;
}

export interface PlaybackRange {
  readonly camera: CameraId;
  readonly from: Milliseconds;
  readonly to: Milliseconds;
}

/** A `video/mp4` of known length whose bytes can be had from any offset. */
export interface RecordedFile {
  readonly byteLength: number;
  /** Strong, quoted (RFC 9110 §8.8.3). */
  readonly etag: string;
  readonly contentType: 'video/mp4';
  /** Bytes [start, end) in pieces, one read ahead. Throws NOT_FOUND when a recorded file has gone meanwhile: never other bytes. */
  read(start: number, end: number, signal: AbortSignal): AsyncIterable<Buffer>;
}

/** A file made of a range. */
export interface PlaybackFile extends RecordedFile {
  /** Wall time (Unix ms) of the first and the last picture displayed; the file's time 0 is the first. */
  readonly firstWall: Milliseconds;
  readonly lastWall: Milliseconds;
}

/** Bytes of one recorded file that are a CMAF segment, and its init segment, which is the file's first bytes. */
export interface CmafSegment {
  readonly segment: SegmentRecord;
  readonly initBytes: number;
  /** Equal for equal init segments. */
  readonly initDigest: string;
  /** In the file. */
  readonly offset: number;
  readonly length: number;
  /** Wall time (Unix ms) of its first picture, and how long it is. */
  readonly start: Milliseconds;
  readonly duration: Milliseconds;
  /** Its media time or init segment does not continue the one before. */
  readonly discontinuity: boolean;
}

/** All reading of recordings goes through this, so that a remote edge fits later (D-16). */
export interface SegmentReader {
  /**
   * One progressive MP4 (`moov` first) of everything recorded in the range, bytes straight from the files, frame-exact start by edit list.
   * `segments`: the index rows that overlap the range, in order. Throws NOT_FOUND when nothing was recorded.
   */
  playback(range: PlaybackRange, segments: readonly SegmentRecord[], signal: AbortSignal): Promise<PlaybackFile>;
  /**
   * The range as one fragmented MP4 that begins at once: at the key frame before `from`, with no length. Throws, before its first byte, NOT_FOUND and
   * UNPROCESSABLE (the picture's size or the sound's codec changes); later NOT_FOUND when a file goes while it is read.
   */
  fragments(range: PlaybackRange, segments: readonly SegmentRecord[], signal: AbortSignal): AsyncIterable<Buffer>;
  /** The range as bytes of recorded files, for a playlist. Segments whose files are gone are left out. */
  cmafSegments(range: PlaybackRange, segments: readonly SegmentRecord[], signal: AbortSignal): Promise<readonly CmafSegment[]>;
  /** The coded pictures of one segment; null where it has none. Throws NOT_FOUND, UNPROCESSABLE (a codec that is not decoded here). */
  codedPictures(segment: SegmentRecord): Promise<CodedPictures | null>;
  /** The pictures of a range one by one. Throws NOT_FOUND when nothing was recorded, UNPROCESSABLE (a codec that is not decoded here), UNAVAILABLE while the archive cannot be asked. */
  pictures(range: PlaybackRange, segments: readonly SegmentRecord[], signal: AbortSignal): Promise<RangePictures>;
  /** One recorded file as it is, up to the bytes indexed. */
  file(segment: SegmentRecord): RecordedFile;
}

/** Makes one file with boxes drawn in. Rejects as `makeAnnotatedExport`. */
export type AnnotatedExporter = (work: ExportWork, signal: AbortSignal) => Promise<ExportOutcome>;

export type PictureFormat = 'jpeg' | 'webp';

/** An encoded picture that is made when its bytes are wanted. */
export interface RecordedPicture {
  readonly width: number;
  readonly height: number;
  /** Strong, quoted: known before the picture is made. */
  readonly etag: string;
  readonly contentType: 'image/jpeg' | 'image/webp';
  /** Unix ms, of the recorded picture. */
  readonly wall: Milliseconds;
  /** Throws UNPROCESSABLE when it cannot be decoded, UNAVAILABLE when too many are being made, DEADLINE_EXCEEDED, NOT_FOUND. */
  bytes(signal: AbortSignal): Promise<Buffer>;
}

/** Many pictures in one. */
export interface SpriteSheet extends Omit<RecordedPicture, 'wall'> {
  /** Where which is: milliseconds from the range's begin, pixels of the sheet. Moments at which nothing was recorded have none. */
  readonly tiles: readonly { readonly from: Milliseconds; readonly to: Milliseconds; readonly left: number; readonly top: number; readonly width: number; readonly height: number }[];
}

/** Pictures out of recordings. `segments`: the index rows around the moment or range, in order. */
export interface RecordedPictures {
  /** The very picture shown at `at`; `width` null: as large as it was recorded. Throws NOT_FOUND when nothing was recorded then. */
  picture(at: Milliseconds, segments: readonly SegmentRecord[], width: number | null, format: PictureFormat, signal: AbortSignal): Promise<RecordedPicture>;
  /** `count` key frames at equal distances, each `width` wide. Throws NOT_FOUND when nothing was recorded at any of the moments. */
  sprites(range: PlaybackRange, segments: readonly SegmentRecord[], count: number, width: number, format: PictureFormat, signal: AbortSignal): Promise<SpriteSheet>;
}

/** A file that a device recorded, known to be whole. */
export interface UploadedMedia {
  readonly camera: CameraId;
  /** Unix ms of its first picture, and its length. */
  readonly start: Milliseconds;
  readonly duration: Milliseconds;
  /** Its coded pictures and sound in decode order, of one epoch, in batches small enough for one turn of the event loop. Throws UNPROCESSABLE. */
  units(): AsyncIterable<readonly UploadedUnit[]>;
}

/** What became of an uploaded file. */
export interface UploadReport {
  readonly camera: CameraId;
  /** The session its segments belong to. */
  readonly sessionId: string;
  /** What was recorded from it; the rest was recorded already, or has no random access picture to begin with. */
  readonly taken: readonly WallRange[];
  readonly alreadyRecorded: readonly WallRange[];
  readonly segments: number;
  readonly pictures: number;
}

/** Where uploaded files go. */
export interface UploadTarget {
  /** Throws UNPROCESSABLE when a file that begins at `start` (Unix ms) could not be kept: it is of the future, or older than the camera's window and not marked. */
  admitUpload(camera: CameraId, start: Milliseconds): void;
  /**
   * Records what fills gaps, one file at a time. Throws UNPROCESSABLE (as above, or it reaches into the future; what `units` throws), UNAVAILABLE (the
   * disk, or the server stops: what is complete stays).
   */
  upload(media: UploadedMedia): Promise<UploadReport>;
}
