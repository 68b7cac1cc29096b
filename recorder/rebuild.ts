/** `record rebuild` [REC-10]: what the files alone say there is. Reads only, so it may run beside a recorder. */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { SAMPLE_INDEX_TAIL, sampleIndexSize } from '../core/fmp4/sample-index-box.ts';
import { SIGNATURE_BOX_BYTES, decodeSignatureBox } from '../core/fmp4/signature-box.ts';
import { CAMERA_ID } from '../core/frame-ref.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Logger } from '../platform/logging.ts';
import type { SegmentRecord } from './port.ts';
import { hashFile, recordOf } from './repair.ts';
import { bytesOf } from './segment-file.ts';
import type { SegmentBytes } from './segment-file.ts';
import { readManifest } from './segment-manifest.ts';
import { SEGMENT_FILE, segmentPath } from './segment-path.ts';
import { scanAfterCrash } from './torn-tail.ts';

/** One file of a recordings directory. */
export type FoundRecording =
  /** `read`: the whole file was, because nothing beside it vouched for it. */
  | { readonly record: SegmentRecord; readonly read: boolean }
  | { readonly id: string; readonly problem: string };

/** So many files are looked at together: a stat or an open waits for the disk, not for us. */
const TOGETHER = 8;

/**
 * Every recording below `directory`, camera by camera, by name; what is not closed yet as an open one. Throws only when a folder cannot be listed.
 */
export async function* findRecordings(directory: string, logger: Logger): AsyncGenerator<FoundRecording> {
  for (const entry of (await readdir(directory, { withFileTypes: true })).sort((a, b) => a.name.localeCompare(b.name))) {
    if (!entry.isDirectory() || !CAMERA_ID.test(entry.name)) continue;
    const camera: CameraId = entry.name;
    const ids = (await readdir(join(directory, camera))).filter((name) => SEGMENT_FILE.test(name)).sort().map((name) => `${camera}/${name.slice(0, -'.mp4'.length)}`);
    const known = await readManifest(directory, camera, new Set(ids), logger);
    for (let i = 0; i < ids.length; i += TOGETHER) yield* await Promise.all(ids.slice(i, i + TOGETHER).map((id) => find(directory, id, known.get(id))));
  }
}

const find = async (directory: string, id: string, known: SegmentRecord | undefined): Promise<FoundRecording> => {
  try {
    const { size } = await stat(segmentPath(directory, id));
    return known?.bytes === size ? { record: known, read: false } : await read(directory, id, size);
  } catch (error) {
    return { id, problem: messageOf(error) };
  }
};

const read = async (directory: string, id: string, size: number): Promise<FoundRecording> => {
  await using file = await open(segmentPath(directory, id), 'r');
  const { index, torn } = await scanAfterCrash(file, size);
  if (!torn) return { id, problem: index.defect ?? 'damaged' };
  if (index.info.id !== id) return { id, problem: `holds the recording ${index.info.id}` };
  if (index.wallAtZero.length === 0) return { id, problem: 'no part' };
  const closed = index.wholeBytes === size && (await isClosed(bytesOf(file), size));
  const record = recordOf(index, closed ? await hashFile(file, size) : '');
  return { record: closed ? record : { ...record, sha256: null, open: true }, read: true };
};

/** A file that ends with what is written at its closing. */
const isClosed = async (file: SegmentBytes, size: number): Promise<boolean> => {
  const tail = await file.read(Math.max(0, size - SIGNATURE_BOX_BYTES), Math.min(size, SIGNATURE_BOX_BYTES));
  return decodeSignatureBox(tail) !== undefined || sampleIndexSize(tail.subarray(-SAMPLE_INDEX_TAIL)) !== undefined;
};
