/**
 * `segments.jsonl` in each camera's folder: one line per closed segment. Only a memory aid, so that a start need not read and hash every file
 * again; without it, or where it disagrees with a file's size, the file itself counts.
 */
import { createReadStream } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { readChainLink } from '../core/fmp4/segment-info-box.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Logger } from '../platform/logging.ts';
import type { SegmentRecord } from './port.ts';
import type { SegmentInventory } from './segment-inventory.ts';
import { MANIFEST_FILE } from './segment-path.ts';

/** Lines of segments long gone may be as many as there are segments, and this many more. */
const SPARE_LINES = 1_000;
/** Lines written at once: some milliseconds of the event loop. */
const LINES_PER_WRITE = 500;
/** A longer line is none of ours. */
const MAX_LINE = 64 << 10;
const NEWLINE = 0x0a;
const NOTHING = Buffer.alloc(0);

/**
 * Appends a closed segment. Now and then, when most lines are of segments long gone, the manifest is written anew from the inventory; a line that
 * is lost to another append meanwhile costs reading that file. Throws what the file system throws.
 */
export const appendToManifest = async (directory: string, segment: SegmentRecord, inventory: Pick<SegmentInventory, 'count' | 'ofCamera'>): Promise<void> => {
  const { camera } = segment;
  // A line torn by a crash must not swallow this one: each begins on a line of its own.
  const line = `\n${JSON.stringify(segment)}\n`;
  await using file = await open(join(directory, camera, MANIFEST_FILE), 'a');
  await file.writeFile(line);
  const { size } = await file.stat();
  // A camera's lines are as good as equally long, so that their number need not be known.
  if (size > line.length * (2 * inventory.count(camera) + SPARE_LINES)) await writeManifest(directory, camera, inventory.ofCamera(camera));
};

/** Replaces a camera's manifest by one of the closed ones of `segments`. Throws what the file system throws. */
export const writeManifest = async (directory: string, camera: CameraId, segments: readonly SegmentRecord[]): Promise<void> => {
  const path = join(directory, camera, MANIFEST_FILE);
  {
    await using file = await open(`${path}.new`, 'w');
    for (let i = 0; i < segments.length; i += LINES_PER_WRITE) {
      const closed = segments.slice(i, i + LINES_PER_WRITE).filter(({ open: growing }) => !growing);
      await file.writeFile(closed.map((segment) => `${JSON.stringify(segment)}\n`).join(''));
    }
  }
  await rename(`${path}.new`, path);
};

/**
 * What a camera's manifest knows of the segments `wanted`, by id. Lines that do not make sense are passed over; what cannot be read is as if it
 * were not there, with a word in the log unless the file is only missing. Never throws.
 */
export const readManifest = async (directory: string, camera: CameraId, wanted: ReadonlySet<string>, logger: Logger): Promise<ReadonlyMap<string, SegmentRecord>> => {
  const segments = new Map<string, SegmentRecord>();
  try {
    await eachLine(directory, camera, (segment) => { if (wanted.has(segment.id)) segments.set(segment.id, segment); });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') logger.warn({ camera, err: error }, 'segment manifest cannot be read; the files are read instead');
  }
  return segments;
};

/** The ids of the segments at these positions of the camera's chain, as far as its manifest tells. Never throws. */
export const readManifestIds = async (directory: string, camera: CameraId, positions: ReadonlySet<number>): Promise<ReadonlyMap<number, string>> => {
  const ids = new Map<number, string>();
  await eachLine(directory, camera, ({ id, chain }) => { if (chain && positions.has(chain.position)) ids.set(chain.position, id); }).catch(() => undefined);
  return ids;
};

const eachLine = async (directory: string, camera: CameraId, take: (segment: SegmentRecord) => void): Promise<void> => {
  const takeLine = (line: string): void => {
    const segment = parseLine(line);
    if (segment?.camera === camera) take(segment);
  };
  let rest: Buffer = NOTHING;
  for await (const chunk of createReadStream(join(directory, camera, MANIFEST_FILE), { highWaterMark: 1 << 20 })) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk as Buffer]) : (chunk as Buffer);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    bytes.toString('utf8', 0, end).split('\n').forEach(takeLine);
    rest = bytes.length - end > MAX_LINE ? NOTHING : bytes.subarray(end);
  }
  takeLine(rest.toString());
};

const parseLine = (line: string): SegmentRecord | undefined => {
  if (!line.startsWith('{')) return undefined;
  try {
    const value = JSON.parse(line) as Partial<SegmentRecord>;
    // We wrote it ourselves; a torn or foreign line lacks one of these.
    const whole = typeof value.id === 'string' && typeof value.camera === 'string' && typeof value.sessionId === 'string'
      && typeof value.start === 'number' && typeof value.duration === 'number' && typeof value.bytes === 'number'
      && typeof value.sha256 === 'string' && typeof value.epoch === 'number' && Array.isArray(value.tracks) && value.open === false;
    if (value.chain !== undefined) readChainLink(value.chain);
    return whole ? (value as SegmentRecord) : undefined;
  } catch {
    return undefined; // torn by a crash, or not ours: the file itself will be read
  }
};
