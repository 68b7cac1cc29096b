/**
 * `segments.jsonl` in each camera's folder: one line per closed segment. Only a memory aid, so that a start need not read and hash every file
 * again; without it, or where it disagrees with a file's size, the file itself counts.
 */
import { appendFile, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CameraId } from '../core/frame-ref.ts';
import type { SegmentRecord } from './port.ts';
import { MANIFEST_FILE } from './segment-path.ts';

/** Appends a closed segment. Throws what the file system throws. */
export const appendToManifest = async (directory: string, segment: SegmentRecord): Promise<void> => {
  // A line torn by a crash must not swallow this one: each begins on a line of its own.
  await appendFile(join(directory, segment.camera, MANIFEST_FILE), `\n${JSON.stringify(segment)}\n`);
};

/** Replaces a camera's manifest. */
export const writeManifest = async (directory: string, camera: CameraId, segments: readonly SegmentRecord[]): Promise<void> => {
  const path = join(directory, camera, MANIFEST_FILE);
  await writeFile(`${path}.new`, segments.map((segment) => `${JSON.stringify(segment)}\n`).join(''));
  await rename(`${path}.new`, path);
};

/** What a camera's manifest knows, by id; lines that do not make sense are passed over, a missing file is empty. */
export const readManifest = async (directory: string, camera: CameraId): Promise<ReadonlyMap<string, SegmentRecord>> => {
  let text: string;
  try {
    text = await readFile(join(directory, camera, MANIFEST_FILE), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw error;
  }
  const segments = new Map<string, SegmentRecord>();
  for (const line of text.split('\n')) {
    const segment = parseLine(line);
    if (segment?.camera === camera) segments.set(segment.id, segment);
  }
  return segments;
};

const parseLine = (line: string): SegmentRecord | undefined => {
  if (!line.startsWith('{')) return undefined;
  try {
    const value = JSON.parse(line) as Partial<SegmentRecord>;
    // We wrote it ourselves; a torn or foreign line lacks one of these.
    const whole = typeof value.id === 'string' && typeof value.camera === 'string' && typeof value.sessionId === 'string'
      && typeof value.start === 'number' && typeof value.duration === 'number' && typeof value.bytes === 'number'
      && typeof value.sha256 === 'string' && typeof value.epoch === 'number' && Array.isArray(value.tracks) && value.open === false;
    return whole ? (value as SegmentRecord) : undefined;
  } catch {
    return undefined; // torn by a crash: the file itself will be read
  }
};
