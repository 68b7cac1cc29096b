/** `record verify` (REC-10): does every closed file parse, and are its bytes the ones the index promised? */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MediaError, messageOf } from '../core/errors.ts';
import { CAMERA_ID } from '../core/frame-ref.ts';
import type { SegmentRecord } from './port.ts';
import { hashFile } from './repair.ts';
import { bytesOf, openSegment } from './segment-file.ts';
import { scanSegment } from './segment-index.ts';
import type { SegmentIndex } from './segment-index.ts';
import { SEGMENT_FILE } from './segment-path.ts';

export interface VerifyProblem {
  readonly id: string;
  readonly problem: string;
}

export interface VerifyReport {
  readonly checked: number;
  readonly bytes: number;
  readonly problems: readonly VerifyProblem[];
}

export interface VerifyProgress {
  readonly done: number;
  readonly total: number;
  readonly id: string;
}

/**
 * Checks the closed segments of `index` against the files below `directory`, and lists files no record knows. Open segments are left out.
 * Throws only when the directory cannot be listed or `signal` aborts.
 */
export const verifyRecordings = async (
  directory: string, index: readonly SegmentRecord[], onProgress: (progress: VerifyProgress) => void = () => undefined, signal?: AbortSignal,
): Promise<VerifyReport> => {
  const closed = index.filter(({ open }) => !open);
  const problems: VerifyProblem[] = [];
  let bytes = 0;
  for (const [done, record] of closed.entries()) {
    signal?.throwIfAborted();
    onProgress({ done, total: closed.length, id: record.id });
    const problem = await verifySegment(directory, record);
    if (problem === null) bytes += record.bytes;
    else problems.push({ id: record.id, problem });
  }
  const known = new Set(index.map(({ id }) => id));
  for (const id of await filesBelow(directory)) if (!known.has(id)) problems.push({ id, problem: 'not in the index' });
  return { checked: closed.length, bytes, problems };
};

const verifySegment = async (directory: string, record: SegmentRecord): Promise<string | null> => {
  try {
    await using file = await openSegment(directory, record.id);
    const { size } = await file.stat();
    if (size !== record.bytes) return `${String(size)} bytes, the index says ${String(record.bytes)}`;
    if ((await hashFile(file, size)) !== record.sha256) return 'SHA-256 differs from the index';
    const index = await scanSegment(bytesOf(file), size);
    return index.defect ?? structuralDefect(index);
  } catch (error) {
    if (error instanceof MediaError) return messageOf(error);
    return `cannot be read: ${messageOf(error)}`;
  }
};

/** What a player would stumble over although every box can be read. */
const structuralDefect = (index: SegmentIndex): string | null => {
  if (index.wallAtZero.length === 0) return 'no part';
  for (const { track, samples } of index.tracks) {
    for (let i = 1; i < samples.length; i++) {
      if ((samples.dts[i] ?? 0) <= (samples.dts[i - 1] ?? 0)) return `${track.kind} decode time goes back at sample ${String(i)}`;
    }
  }
  return null;
};

const filesBelow = async (directory: string): Promise<string[]> => {
  const ids: string[] = [];
  for (const camera of await readdir(directory, { withFileTypes: true })) {
    if (!camera.isDirectory() || !CAMERA_ID.test(camera.name)) continue;
    for (const name of await readdir(join(directory, camera.name))) if (SEGMENT_FILE.test(name)) ids.push(`${camera.name}/${name.slice(0, -'.mp4'.length)}`);
  }
  return ids;
};
