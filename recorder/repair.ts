/**
 * Makes the files and the index agree after a crash: cuts a part that was not written whole, closes segments that were open, and tells the
 * control plane (whose database may be older or empty) of everything there is. Nothing is ever deleted but a torn tail, and files that hold no
 * part at all; what cannot be read, or only up to a defect with more behind it, is moved aside as it is.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { MediaError, messageOf } from '../core/errors.ts';
import { CAMERA_ID } from '../core/frame-ref.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { EventJournal } from '../media-control/port.ts';
import type { Logger } from '../platform/logging.ts';
import { toGapCause } from './port.ts';
import type { SegmentRecord } from './port.ts';
import type { SegmentIndex } from './segment-index.ts';
import type { SegmentInventory } from './segment-inventory.ts';
import { readManifest, writeManifest } from './segment-manifest.ts';
import { DAMAGED_DIR, SEGMENT_FILE } from './segment-path.ts';
import { scanAfterCrash } from './torn-tail.ts';

export interface RepairDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly journal: EventJournal;
  readonly inventory: SegmentInventory;
}

export interface RepairReport {
  /** Segments there are now. */
  readonly segments: number;
  /** Of these: read again because no manifest knew them, and shortened to their last whole part. */
  readonly read: number;
  readonly cut: number;
  /** Moved to `damaged/`. */
  readonly damaged: number;
}

/** Repairs everything below `directory`, before anything records there. Throws only when the directory itself cannot be listed. */
export const repairRecordings = async (directory: string, deps: RepairDeps): Promise<RepairReport> => {
  const total = { segments: 0, read: 0, cut: 0, damaged: 0 };
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (!entry.isDirectory() || !CAMERA_ID.test(entry.name)) continue;
    try {
      await new CameraRepair(directory, entry.name, deps, total).run();
    } catch (error) {
      deps.logger.error({ camera: entry.name, err: error }, 'recordings of a camera not repaired');
    }
  }
  if (total.read + total.damaged > 0) deps.logger.info(total, 'recordings repaired');
  return total;
};

/** The record of a file that has been read: the same as its writer gave it. */
export const recordOf = (index: SegmentIndex, sha256: string): SegmentRecord => {
  const { id, camera, sessionId, epoch, start, tracks, gapBefore } = index.info;
  const gapCause = toGapCause(index.info.gapCause);
  const primary = index.tracks.find(({ track, samples }) => track.kind === 'video' && samples.length > 0) ?? index.tracks.find(({ samples }) => samples.length > 0);
  let end = 0;
  for (let i = 0; primary && i < primary.samples.length; i++) end = Math.max(end, (primary.samples.dts[i] ?? 0) + (primary.samples.duration[i] ?? 0));
  const duration = primary ? ((end - (primary.samples.dts[0] ?? 0)) * 1000) / primary.track.timescale : 0;
  return { id, camera, sessionId, epoch, start, duration, bytes: index.wholeBytes, sha256, open: false, tracks, gapBefore, ...(gapCause === undefined ? {} : { gapCause }) };
};

/** SHA-256, hex, of an open file's first `bytes` bytes. */
export const hashFile = async (file: FileHandle, bytes: number): Promise<string> => {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(1 << 20);
  for (let position = 0; position < bytes;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, bytes - position), position);
    if (bytesRead === 0) throw new MediaError('NOT_FOUND', 'the file is shorter than it was');
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  return hash.digest('hex');
};

class CameraRepair {
  readonly #camera: CameraId;
  readonly #directory: string;
  readonly #folder: string;
  readonly #deps: RepairDeps;
  readonly #total: { segments: number; read: number; cut: number; damaged: number };

  constructor(directory: string, camera: CameraId, deps: RepairDeps, total: { segments: number; read: number; cut: number; damaged: number }) {
    this.#directory = directory;
    this.#camera = camera;
    this.#folder = join(directory, camera);
    this.#deps = deps;
    this.#total = total;
  }

  async run(): Promise<void> {
    const { logger, inventory } = this.#deps;
    const names = (await readdir(this.#folder)).filter((name) => SEGMENT_FILE.test(name));
    const manifest = await readManifest(this.#directory, this.#camera, new Set(names.map((name) => this.#idOf(name))), logger);
    const records: SegmentRecord[] = [];
    for (const name of names) {
      const record = await this.#recordOf(name, manifest);
      if (record) records.push(record);
    }
    records.sort((a, b) => a.start - b.start);
    for (const record of records) inventory.put(record);
    this.#total.segments += records.length;
    await writeManifest(this.#directory, this.#camera, records).catch((error: unknown) => {
      logger.warn({ camera: this.#camera, err: error }, 'segment manifest not written; the next start reads the files again');
    });
  }

  #idOf(name: string): string {
    return `${this.#camera}/${name.slice(0, -'.mp4'.length)}`;
  }

  async #recordOf(name: string, manifest: ReadonlyMap<string, SegmentRecord>): Promise<SegmentRecord | undefined> {
    const path = join(this.#folder, name);
    const known = manifest.get(this.#idOf(name));
    try {
      if (known && (await stat(path)).size === known.bytes) return known;
      this.#total.read++;
      return await this.#read(path, name);
    } catch (error) {
      await this.#moveAside(path, name, error);
      return undefined;
    }
  }

  async #read(path: string, name: string): Promise<SegmentRecord | undefined> {
    await using file = await open(path, 'r+');
    const { size } = await file.stat();
    const scan = size === 0 ? undefined : await scanAfterCrash(file, size);
    if (scan && !scan.torn) throw new MediaError('INVALID_ARGUMENT', `${scan.index.defect ?? 'damaged'}, after ${String(scan.index.wholeBytes)} of ${String(size)} bytes`);
    const index = scan?.index;
    if (!index || index.wallAtZero.length === 0) {
      await unlink(path); // the crash came before the first part was whole: there is no picture in it
      return undefined;
    }
    if (`${index.info.id}.mp4` !== `${this.#camera}/${name}`) throw new MediaError('INVALID_ARGUMENT', `the file says it is ${index.info.id}`);
    if (index.wholeBytes < size) {
      this.#total.cut++;
      this.#deps.logger.warn({ segment: index.info.id, bytes: size, kept: index.wholeBytes, defect: index.defect }, 'recording cut to its last whole part');
      await file.truncate(index.wholeBytes);
    }
    const record = recordOf(index, await hashFile(file, index.wholeBytes));
    await file.datasync();
    return record;
  }

  async #moveAside(path: string, name: string, error: unknown): Promise<void> {
    const { logger, journal, clock } = this.#deps;
    this.#total.damaged++;
    logger.error({ path, err: error }, 'recording cannot be read; moved aside');
    const folder = join(this.#folder, DAMAGED_DIR);
    try {
      await mkdir(folder, { recursive: true });
      await rename(path, join(folder, name));
    } catch (cause) {
      logger.error({ path, err: cause }, 'damaged recording could not be moved');
    }
    journal.append({
      type: 'alarm',
      alarm: {
        id: `recording-damaged/${this.#camera}/${name}`, camera: this.#camera, code: 'recording_damaged', raised: true, at: clock.now(),
        message: `A recording of camera ${this.#camera} could not be read (${messageOf(error)}). It was moved to the folder "${DAMAGED_DIR}".`,
      },
    });
  }
}
