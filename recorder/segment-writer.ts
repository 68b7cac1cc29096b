/** Writes one segment file: init segment, what the file says about itself, then parts exactly as the muxer made them. */
import { createHash } from 'node:crypto';
import { mkdir, open, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SampleColumns } from '../core/fmp4/sample-columns.ts';
import { encodeSampleIndex } from '../core/fmp4/sample-index-box.ts';
import { encodeFrameBases, encodeSegmentInfo, follows } from '../core/fmp4/segment-info-box.ts';
import type { ChainLink, FrameBase, SegmentInfo } from '../core/fmp4/segment-info-box.ts';
import { encodeSignatureBox, segmentStatement } from '../core/fmp4/signature-box.ts';
import type { Tracks } from '../core/track.ts';
import type { Milliseconds } from '../core/units.ts';
import type { InitSegment, Part } from '../muxer/port.ts';
import type { SigningKey } from '../platform/signing-key.ts';
import type { GapCause, SegmentRecord, SegmentTrack } from './port.ts';
import { segmentId, segmentPath } from './segment-path.ts';

type Kind = 'video' | 'audio';

type OwnInfo = Omit<SegmentInfo, 'frames' | 'gapCause'> & { readonly gapCause?: GapCause };

/** What has been written of one track. */
interface TrackState {
  readonly clockRate: number;
  readonly firstDts: number;
  count: number;
  endDts: number;
  base: FrameBase;
}

/** What is missing before a segment. */
export interface SegmentGap {
  readonly length: Milliseconds;
  readonly cause: GapCause;
}

/** What a writer needs of its file. */
export type WritableSegment = Pick<FileHandle, 'writev' | 'write' | 'truncate' | 'datasync' | 'close'>;

export interface SegmentWriterOptions {
  /** Gives the segment its place in the camera's chain; asked once the file is there. */
  readonly link?: (id: string) => ChainLink;
  /** Signs the file when it is closed. */
  readonly key?: SigningKey;
  /** Makes a file that is not there yet, and puts a folder's list of files on the disk. */
  readonly disk?: SegmentDisk;
}

export interface SegmentDisk {
  create(path: string): Promise<WritableSegment>;
  syncFolder(path: string): Promise<void>;
}

const realDisk: SegmentDisk = {
  create: (path) => open(path, 'wx'),
  syncFolder: async (path) => {
    await using folder = await open(path, 'r');
    await folder.sync();
  },
};

/** Thrown when the file system took less than it was given without saying why: on a regular file that is a full disk. */
export class ShortWriteError extends Error {
  readonly code = 'ENOSPC';
}

export class SegmentWriter {
  readonly #path: string;
  readonly #file: WritableSegment;
  readonly #disk: SegmentDisk;
  readonly #key: SigningKey | undefined;
  readonly #info: OwnInfo;
  readonly init: InitSegment;
  readonly #hash = createHash('sha256');
  readonly #tracks = new Map<Kind, TrackState>();
  readonly #samples = { video: new SampleColumns(), audio: new SampleColumns() };
  readonly #wallAtZero: Milliseconds[] = [];
  readonly #bases: FrameBase[] = [];
  #bytes = 0;
  #duration: Milliseconds = 0;
  #closed = false;
  #writing: Promise<unknown> | undefined;
  readonly #newFolder: boolean;
  #folderSynced = false;

  private constructor(path: string, file: WritableSegment, info: OwnInfo, init: InitSegment, disk: SegmentDisk, key: SigningKey | undefined, newFolder: boolean) {
    this.#path = path;
    this.#file = file;
    this.#disk = disk;
    this.#key = key;
    this.#newFolder = newFolder;
    this.#info = info;
    this.init = init;
  }

  /** Creates the file that begins with `part`; nothing is in it before the first `write`. Throws what the file system throws. */
  static async open(directory: string, part: Part, sequence: number, gap: SegmentGap | null, options: SegmentWriterOptions = {}): Promise<SegmentWriter> {
    const { disk = realDisk, key, link } = options;
    const id = segmentId(part.camera, part.wall, part.sessionId, sequence);
    const path = segmentPath(directory, id);
    const made = await mkdir(dirname(path), { recursive: true });
    const file = await disk.create(path);
    const { camera, sessionId, sessionStart, epoch, wall: start, init } = part;
    const info = { version: 1 as const, id, camera, sessionId, sessionStart, epoch, sequence, start, gapBefore: gap?.length ?? null, ...(gap ? { gapCause: gap.cause } : {}), ...(link ? { chain: link(id) } : {}), tracks: segmentTracks(init.tracks) };
    return new SegmentWriter(path, file, info, init, disk, key, made !== undefined);
  }

  get id(): string { return this.#info.id; }
  get chain(): ChainLink | undefined { return this.#info.chain; }
  get start(): Milliseconds { return this.#info.start; }
  get sessionId(): string { return this.#info.sessionId; }
  get epoch(): number { return this.#info.epoch; }
  get bytes(): number { return this.#bytes; }
  /** Length so far: of the pictures, or of the sound where there are none. Ticks only, so that the same comes out when the file is read. */
  get duration(): Milliseconds { return this.#duration; }

  /** True when `part` can be appended: the same session, epoch and init. */
  accepts(part: Part): boolean {
    return part.init === this.init && part.epoch === this.#info.epoch && part.sessionId === this.#info.sessionId;
  }

  /** Where decode time goes on if nothing is missing, in ticks of `kind`'s clock. */
  endDts(kind: Kind): number | undefined {
    return this.#tracks.get(kind)?.endDts;
  }

  /**
   * Appends parts with one `writev`. Returns the bytes written. When it throws, nothing counts as written: the file is as before
   * after `close`.
   */
  async write(parts: readonly Part[]): Promise<number> {
    const chunks: Buffer[] = [];
    let length = 0;
    const add = (chunk: Buffer): void => {
      chunks.push(chunk);
      length += chunk.length;
    };
    for (const part of parts) {
      const bases = this.#follow(part);
      if (this.#bytes === 0 && length === 0) {
        add(this.init.bytes);
        add(encodeSegmentInfo({ ...this.#info, frames: bases }));
      } else if (bases.length > 0) add(encodeFrameBases(bases));
      this.#remember(part, bases, this.#bytes + length);
      for (const chunk of part.chunks) add(chunk);
    }
    const writing = this.#file.writev(chunks, this.#bytes);
    this.#writing = writing;
    const { bytesWritten } = await writing;
    if (bytesWritten !== length) throw new ShortWriteError('the file system took only a part of the data');
    for (const chunk of chunks) this.#hash.update(chunk);
    this.#bytes += length;
    const track = this.#tracks.get('video') ?? this.#tracks.get('audio');
    this.#duration = track ? ((track.endDts - track.firstDts) * 1000) / track.clockRate : 0;
    return length;
  }

  /** Puts on the disk what has been written, and the first time that there is such a file. Throws what the file system throws. */
  async sync(): Promise<void> {
    await this.#file.datasync();
    if (this.#folderSynced) return;
    const folder = dirname(this.#path);
    await this.#disk.syncFolder(folder);
    if (this.#newFolder) await this.#disk.syncFolder(dirname(folder));
    this.#folderSynced = true;
  }

  /** As the index knows it while it grows. */
  record(): SegmentRecord {
    return this.#record(null);
  }

  /**
   * Waits for a write under way (which may have been given up), cuts off what a failed one may have left, makes the file durable and closes it.
   * `record` is final, and undefined when nothing was written: the file is then removed. `problem`: what went wrong; the next start will repair
   * the file. Never throws; idempotent.
   */
  async close(failed: boolean): Promise<{ readonly record?: SegmentRecord; readonly problem?: unknown }> {
    if (this.#closed) return {};
    this.#closed = true;
    let problem: unknown;
    try {
      try {
        await this.#writing?.catch(() => undefined); // `write` has thrown it
        if (failed) await this.#file.truncate(this.#bytes);
        else if (this.#bytes > 0) await this.#appendIndex();
        if (this.#bytes > 0) {
          await this.#appendSignature();
          await this.sync();
        } else await unlink(this.#path);
      } finally {
        await this.#file.close();
      }
    } catch (error) {
      problem = error;
    }
    const record = this.#bytes > 0 ? { record: this.#record(this.#hash.digest('hex')) } : {};
    return problem === undefined ? record : { ...record, problem };
  }

  /** The sample index is a convenience: without room for it the segment is as good. */
  async #appendIndex(): Promise<void> {
    const box = encodeSampleIndex({ ...this.#samples, wallAtZero: this.#wallAtZero, bases: this.#bases });
    if (box) await this.#append(box);
  }

  /** Without room for it the segment is vouched for by the one behind it alone. */
  async #appendSignature(): Promise<void> {
    if (!this.#key) return;
    const statement = segmentStatement(this.#hash.copy().digest('hex'));
    await this.#append(encodeSignatureBox({ kid: this.#key.public.kid, signature: this.#key.sign(statement) }));
  }

  async #append(box: Buffer): Promise<void> {
    const written = await this.#file.write(box, 0, box.length, this.#bytes).then(({ bytesWritten }) => bytesWritten, () => 0);
    if (written === box.length) {
      this.#hash.update(box);
      this.#bytes += box.length;
    } else await this.#file.truncate(this.#bytes).catch(() => undefined); // `close` reports a disk that refuses this, too
  }

  #record(sha256: string | null): SegmentRecord {
    const { id, camera, sessionId, epoch, start, tracks, gapBefore, gapCause, chain } = this.#info;
    return { id, camera, sessionId, epoch, start, duration: this.#duration, bytes: this.#bytes, sha256, open: sha256 === null, tracks, gapBefore, ...(gapCause === undefined ? {} : { gapCause }), ...(chain ? { chain } : {}) };
  }

  /** Counts the part's samples; returns the bases its `FrameRef`s need beyond those written. */
  #follow(part: Part): FrameBase[] {
    const bases: FrameBase[] = [];
    for (const { kind, frame, pts, dts, duration } of part.samples) {
      let track = this.#tracks.get(kind);
      const index = track?.count ?? 0;
      const clockRate = track?.clockRate ?? part.init.tracks[kind]?.clockRate ?? 90_000;
      if (!track || !follows(track.base, index, pts, clockRate, frame)) {
        const base = { kind, index, pts, rtpTs: frame.rtpTs, seq: frame.seq, captureNtp: frame.captureNtp };
        bases.push(base);
        if (track) track.base = base;
        else this.#tracks.set(kind, track = { clockRate, firstDts: dts, count: 0, endDts: dts, base });
      }
      track.count++;
      track.endDts = Math.max(track.endDts, dts + duration);
    }
    return bases;
  }

  /** Notes for the sample index what lies where; `position`: where the part begins. A part's samples are in the order of its chunks. */
  #remember(part: Part, bases: readonly FrameBase[], position: number): void {
    this.#bases.push(...bases);
    const [first] = part.samples;
    const at = this.#wallAtZero.length;
    this.#wallAtZero.push(part.wall - ((first?.pts ?? 0) * 1000) / (part.init.tracks[first?.kind ?? 'video']?.clockRate ?? 90_000));
    let offset = position + (part.chunks[0]?.length ?? 0) + (part.chunks[1]?.length ?? 0);
    for (const { kind, dts, pts, duration, bytes, randomAccess } of part.samples) {
      this.#samples[kind].push(dts, pts, duration, offset, bytes, randomAccess, at);
      offset += bytes;
    }
  }
}

/** The tracks as the index lists them. */
const segmentTracks = ({ video, audio }: Tracks): SegmentTrack[] => [
  ...(video ? [{ kind: video.kind, codec: video.codecString, width: video.width, height: video.height }] : []),
  ...(audio ? [{ kind: audio.kind, codec: audio.codecString, width: null, height: null }] : []),
];
