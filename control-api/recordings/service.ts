import { hash } from 'node:crypto';
import type { Kysely } from 'kysely';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { CmafSegment, CodedPictures, PictureFormat, PlaybackFile, PlaybackRange, RangePictures, RecordedFile, RecordedPicture, RecordedPictures, SegmentReader, SegmentRecord, SegmentTrack, SpriteSheet } from '../../recorder/port.ts';
import { deadline } from '../deadline.ts';
import type { MarkService } from '../marks/service.ts';
import type { EvidenceSource } from './evidence.ts';
import { RecordingSearch } from './search.ts';
import { RecordingStore } from './store.ts';
import type { RecordingRow, SegmentRow, TimeRange } from './store.ts';

const PREPARE_MS: Milliseconds = 30_000;
/** A file may begin within a GOP, whose key frame is then in the one before. */
const BEFORE_PICTURE: Milliseconds = 20_000;
const AFTER_PICTURE: Milliseconds = 100;
const MAX_PICTURE_SEGMENTS = 16;
const KEEP_MS: Milliseconds = 60_000;
/** 10 s segments of a week of one camera. */
const MAX_SEGMENTS = 60_480;

export type { SegmentRow } from './store.ts';

export const toRecord = (row: SegmentRow): SegmentRecord => ({
  id: row.id, camera: row.camera_id, sessionId: row.session_id, epoch: row.epoch, start: row.start_ms, duration: row.end_ms - row.start_ms, bytes: row.bytes,
  sha256: row.sha256, open: row.open === 1, tracks: JSON.parse(row.tracks) as SegmentTrack[], gapBefore: row.gap_before,
});

/** A segment, and whether a mark keeps it on the edge's disk. */
export interface ListedSegment extends SegmentRow {
  readonly pinned: boolean;
}

const nothingRecorded = (camera: string): MediaError => new MediaError('NOT_FOUND', 'Nothing was recorded in this range.', { reason: 'NOTHING_RECORDED', context: { camera } });

/** The recording index, and playback of a range of it. Recordings outlive their cameras. */
export class RecordingService {
  readonly #store: RecordingStore;
  readonly #reader: SegmentReader;
  readonly #pictures: RecordedPictures;
  readonly #marks: MarkService;
  readonly #clock: Clock;
  readonly search: RecordingSearch;
  /** A player asks for many ranges of one file; its `moov` is made once. */
  readonly #prepared = new LRUCache<string, { readonly until: Milliseconds; readonly file: Promise<PlaybackFile> }>({ max: 8 });

  constructor(options: { readonly db: Kysely<Database>; readonly reader: SegmentReader; readonly pictures: RecordedPictures; readonly marks: MarkService; readonly clock: Clock }) {
    this.#store = new RecordingStore(options.db);
    this.#reader = options.reader;
    this.#pictures = options.pictures;
    this.#marks = options.marks;
    this.#clock = options.clock;
    this.search = new RecordingSearch(options.db, options.marks);
  }

  /** What was recorded, newest first. */
  recordings(filter: TimeRange & { readonly cameras: readonly string[] | undefined }, before: readonly [number, string] | undefined, limit: number): Promise<RecordingRow[]> {
    return this.#store.recordings(filter, before, limit);
  }

  /** Throws NOT_FOUND for a camera that neither exists nor has left anything. */
  async segments(camera: string, range: TimeRange, after: readonly [number, string] | undefined, limit: number): Promise<ListedSegment[]> {
    const rows = await this.#store.segments(camera, range, after, limit);
    const [first] = rows;
    if (first === undefined) { await this.#check(camera); return []; }
    const kept = await this.#marks.keeper(camera, { from: first.start_ms, to: rows.reduce((end, row) => Math.max(end, row.end_ms), first.end_ms) });
    return rows.map((row) => ({ ...row, pinned: kept({ from: row.start_ms, to: row.end_ms, archived: row.archived_at !== null }) }));
  }

  /** Throws as `segments`. */
  async gaps(camera: string, range: TimeRange, after: readonly [number, string] | undefined, limit: number): Promise<SegmentRow[]> {
    const rows = await this.#store.gaps(camera, range, after, limit);
    if (rows.length === 0) await this.#check(camera);
    return rows;
  }

  /** One MP4 of a range. Throws NOT_FOUND when nothing was recorded in it. */
  async playback(camera: string, from: Milliseconds, to: Milliseconds): Promise<PlaybackFile> {
    const segments = await this.#recorded(camera, from, to);
    const key = hash('sha256', JSON.stringify([camera, from, to, segments.map((segment) => [segment.id, segment.bytes])]), 'base64');
    const now = this.#clock.monotonic();
    const known = this.#prepared.get(key);
    if (known !== undefined && known.until > now) return known.file;
    const file = this.#prepare({ camera, from, to }, segments);
    this.#prepared.set(key, { until: now + KEEP_MS, file });
    file.catch(() => { this.#prepared.delete(key); });
    return file;
  }

  /** The range as a fragmented MP4, from its first byte on. Throws as `SegmentReader.fragments`. */
  async fragments(range: PlaybackRange): Promise<(signal: AbortSignal) => AsyncIterable<Buffer>> {
    const segments = await this.#recorded(range.camera, range.from, range.to);
    return (signal) => this.#reader.fragments(range, segments, signal);
  }

  /** The coded pictures of a segment; null where it has none. Throws NOT_FOUND when its file has gone, UNPROCESSABLE. */
  codedPictures(segment: SegmentRow): Promise<CodedPictures | null> {
    return this.#reader.codedPictures(toRecord(segment));
  }

  /** The pictures of a range one by one, at the times its playback shows them. Throws as `SegmentReader.pictures`. */
  async rangePictures(range: PlaybackRange, signal: AbortSignal): Promise<RangePictures> {
    return this.#reader.pictures(range, await this.#recorded(range.camera, range.from, range.to), signal);
  }

  /** The range as pieces of recorded files. Throws NOT_FOUND when nothing was recorded in it. */
  async cmafSegments(range: PlaybackRange): Promise<readonly CmafSegment[]> {
    const listed = await this.#recorded(range.camera, range.from, range.to);
    using limit = deadline(this.#clock, PREPARE_MS);
    const segments = await this.#reader.cmafSegments(range, listed, limit.signal);
    if (segments.length === 0) throw nothingRecorded(range.camera);
    return segments;
  }

  /** One recorded file, also one that has just left the lists: who plays it may finish. Throws NOT_FOUND. */
  async file(camera: string, name: string): Promise<RecordedFile> {
    const row = await this.#store.segment(`${camera}/${name}`);
    if (row === undefined) throw new MediaError('NOT_FOUND', 'There is no such recorded segment.', { reason: 'SEGMENT_NOT_FOUND', context: { camera } });
    return this.#reader.file(toRecord(row));
  }

  /** The very picture shown at `at`. Throws NOT_FOUND when nothing was recorded then. */
  async picture(camera: string, at: Milliseconds, width: number | null, format: PictureFormat): Promise<RecordedPicture> {
    const rows = await this.#store.segments(camera, { from: at - BEFORE_PICTURE, to: at + AFTER_PICTURE }, undefined, MAX_PICTURE_SEGMENTS);
    if (rows.length === 0) await this.#check(camera);
    using limit = deadline(this.#clock, PREPARE_MS);
    return await this.#pictures.picture(at, rows.map(toRecord), width, format, limit.signal);
  }

  /** `count` key frames of a range in one picture. Throws NOT_FOUND when nothing was recorded in it. */
  async sprites(range: PlaybackRange, count: number, width: number, format: PictureFormat): Promise<SpriteSheet> {
    const segments = await this.#recorded(range.camera, range.from, range.to);
    using limit = deadline(this.#clock, PREPARE_MS);
    return await this.#pictures.sprites(range, segments, count, width, format, limit.signal);
  }

  /** What an export of the range is made of. Throws NOT_FOUND when nothing was recorded in it. */
  async evidence(camera: string, from: Milliseconds, to: Milliseconds): Promise<Pick<EvidenceSource, 'playback' | 'segments'>> {
    const playback = await this.playback(camera, from, to);
    const rows = await this.#store.segments(camera, { from, to }, undefined, MAX_SEGMENTS);
    return { playback, segments: rows.map((row) => ({ record: toRecord(row), prevSha256: row.prev_sha256, file: this.#reader.file(toRecord(row)) })) };
  }

  /** Forgets at most `limit` segments given up before `cutoff`, whose files are long gone; how many. */
  deleteExpired(cutoff: Milliseconds, limit: number): Promise<number> {
    return this.#store.deleteExpired(cutoff, limit);
  }

  async #recorded(camera: string, from: Milliseconds, to: Milliseconds): Promise<SegmentRecord[]> {
    const rows = await this.#store.segments(camera, { from, to }, undefined, MAX_SEGMENTS + 1);
    if (rows.length > MAX_SEGMENTS) throw new MediaError('UNPROCESSABLE', 'The range is too long for one playback.', { reason: 'RANGE_TOO_LONG' });
    if (rows.length === 0) {
      await this.#check(camera);
      throw nothingRecorded(camera);
    }
    return rows.map(toRecord);
  }

  /** Not bound to one client: others may wait for the same file. */
  async #prepare(range: { readonly camera: string; readonly from: Milliseconds; readonly to: Milliseconds }, segments: readonly SegmentRecord[]): Promise<PlaybackFile> {
    using limit = deadline(this.#clock, PREPARE_MS);
    return await this.#reader.playback(range, segments, limit.signal);
  }

  async #check(camera: string): Promise<void> {
    if (!(await this.#store.known(camera))) throw new MediaError('NOT_FOUND', `There is no camera ${camera}, nor a recording of one.`, { reason: 'CAMERA_NOT_FOUND', context: { camera } });
  }
}
