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
import { SIGNATURE_BOX_BYTES, decodeSignatureBox, encodeSignatureBox, segmentStatement } from '../core/fmp4/signature-box.ts';
import { CAMERA_ID } from '../core/frame-ref.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { EventJournal } from '../media-control/port.ts';
import type { Logger } from '../platform/logging.ts';
import type { SegmentChains } from './integrity/segment-chains.ts';
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
  /** Absent: what is there is neither signed nor missed. */
  readonly chains?: SegmentChains | undefined;
}

export interface RepairReport {
  /** Segments there are now. */
  readonly segments: number;
  /** Of these: read again because no manifest knew them, and shortened to their last whole part. */
  readonly read: number;
  readonly cut: number;
  /** Moved to `damaged/`. */
  readonly damaged: number;
  /** Pinned in the signed manifest, and not there. */
  readonly missing: number;
}

/** A segment found on disk. `sound`: not to be doubted more than what is pinned already. */
interface Found {
  readonly record: SegmentRecord;
  readonly sound: boolean;
}

/** Repairs everything below `directory`, before anything records there. Throws only when the directory itself cannot be listed. */
export const repairRecordings = async (directory: string, deps: RepairDeps): Promise<RepairReport> => {
  const total = { segments: 0, read: 0, cut: 0, damaged: 0, missing: 0 };
  const folders = (await readdir(directory, { withFileTypes: true })).filter((entry) => entry.isDirectory() && CAMERA_ID.test(entry.name)).map(({ name }) => name);
  for (const camera of folders) {
    try {
      await new CameraRepair(directory, camera, deps, total).run();
    } catch (error) {
      deps.logger.error({ camera, err: error }, 'recordings of a camera not repaired');
    }
  }
  const there = new Set(folders);
  for (const camera of deps.chains?.cameras() ?? []) if (!there.has(camera)) total.missing += tellMissing(camera, [], deps);
  if (total.read + total.damaged + total.missing > 0) deps.logger.info(total, 'recordings repaired');
  return total;
};

/** Compares what there is with what is pinned, and raises an alarm when something is not there that retention did not take. */
const tellMissing = (camera: CameraId, records: readonly SegmentRecord[], { chains, journal, clock, logger }: RepairDeps): number => {
  if (!chains) return 0;
  const missing = chains.reconcile(camera, new Set(records.flatMap(({ chain }) => (chain ? [chain.position] : []))));
  const anew = chains.begunAnew(camera);
  const alarm = (code: string, message: string): void => {
    logger.error({ camera, missing }, message);
    journal.append({ type: 'alarm', alarm: { id: `${code.replaceAll('_', '-')}/${camera}`, camera, code, message, raised: true, at: clock.now() } });
  };
  if (missing > 0) alarm('recording_missing', `${String(missing)} recordings of camera ${camera} are gone that nothing here deleted. "record verify" names them.`);
  if (anew !== undefined) alarm('recording_unproven', `The recordings of camera ${camera} are signed anew: ${anew}. Whether any of them were taken away before cannot be told.`);
  return missing;
};

/** The record of a file that has been read: the same as its writer gave it. */
export const recordOf = (index: SegmentIndex, sha256: string): SegmentRecord => {
  const { id, camera, sessionId, epoch, start, tracks, gapBefore } = index.info;
  const { chain } = index.info;
  const gapCause = toGapCause(index.info.gapCause);
  const primary = index.tracks.find(({ track, samples }) => track.kind === 'video' && samples.length > 0) ?? index.tracks.find(({ samples }) => samples.length > 0);
  let end = 0;
  for (let i = 0; primary && i < primary.samples.length; i++) end = Math.max(end, (primary.samples.dts[i] ?? 0) + (primary.samples.duration[i] ?? 0));
  const duration = primary ? ((end - (primary.samples.dts[0] ?? 0)) * 1000) / primary.track.timescale : 0;
  return { id, camera, sessionId, epoch, start, duration, bytes: index.wholeBytes, sha256, open: false, tracks, gapBefore, ...(gapCause === undefined ? {} : { gapCause }), ...(chain ? { chain } : {}) };
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
  readonly #total: { segments: number; read: number; cut: number; damaged: number; missing: number };

  constructor(directory: string, camera: CameraId, deps: RepairDeps, total: { segments: number; read: number; cut: number; damaged: number; missing: number }) {
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
    const found: Found[] = [];
    for (const name of names) {
      const segment = await this.#find(name, manifest);
      if (segment) found.push(segment);
    }
    found.sort(({ record: a }, { record: b }) => a.start - b.start);
    for (const { record, sound } of found) inventory.put(record, sound);
    const records = found.map(({ record }) => record);
    this.#total.segments += records.length;
    this.#total.missing += tellMissing(this.#camera, records, this.#deps);
    await writeManifest(this.#directory, this.#camera, records).catch((error: unknown) => {
      logger.warn({ camera: this.#camera, err: error }, 'segment manifest not written; the next start reads the files again');
    });
  }

  #idOf(name: string): string {
    return `${this.#camera}/${name.slice(0, -'.mp4'.length)}`;
  }

  async #find(name: string, manifest: ReadonlyMap<string, SegmentRecord>): Promise<Found | undefined> {
    const path = join(this.#folder, name);
    const known = manifest.get(this.#idOf(name));
    try {
      // What is not pinned yet, a few seconds' worth, is read: a line beside it is no proof.
      if (known && (this.#deps.chains?.isPinned(known) ?? true) && (await stat(path)).size === known.bytes) return { record: known, sound: true };
      this.#total.read++;
      return await this.#read(path, name);
    } catch (error) {
      await this.#moveAside(path, name, error);
      return undefined;
    }
  }

  async #read(path: string, name: string): Promise<Found | undefined> {
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
    const signed = await this.#sign(file, index);
    const record = { ...recordOf(index, await hashFile(file, signed.bytes)), bytes: signed.bytes };
    await file.datasync();
    return { record, sound: signed.sound };
  }

  /** Signs what a crash left unsigned. Anything else that has no signature of ours gets none: somebody may have put it there. */
  async #sign(file: FileHandle, { info, wholeBytes }: SegmentIndex): Promise<{ readonly bytes: number; readonly sound: boolean }> {
    const { chains } = this.#deps;
    if (!chains || !info.chain) return { bytes: wholeBytes, sound: true };
    const tail = Buffer.alloc(Math.min(SIGNATURE_BOX_BYTES, wholeBytes));
    await file.read(tail, 0, tail.length, wholeBytes - tail.length);
    const signature = decodeSignatureBox(tail);
    const { key } = chains;
    if (signature) {
      const statement = segmentStatement(await hashFile(file, wholeBytes - SIGNATURE_BOX_BYTES));
      return { bytes: wholeBytes, sound: signature.kid === key.public.kid && key.public.verify(statement, signature.signature) };
    }
    if (!chains.isLeftBehind(this.#camera, info.chain)) return { bytes: wholeBytes, sound: false };
    const box = encodeSignatureBox({ kid: key.public.kid, signature: key.sign(segmentStatement(await hashFile(file, wholeBytes))) });
    const written = await file.write(box, 0, box.length, wholeBytes).then(({ bytesWritten }) => bytesWritten, () => 0);
    if (written === box.length) return { bytes: wholeBytes + box.length, sound: true };
    await file.truncate(wholeBytes); // no room: the segment behind it vouches for it
    return { bytes: wholeBytes, sound: true };
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
