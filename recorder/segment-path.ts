/** Where a segment lies below the recordings directory, and which names are segments at all. */
import { join } from 'node:path';
import { MediaError } from '../core/errors.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';

/** The last component of a segment's file: `{start, Unix ms}-{session}-{sequence}.mp4`. */
export const SEGMENT_FILE = /^\d{1,16}-[A-Za-z0-9_]{1,8}-\d{1,9}\.mp4$/;
const SEGMENT_ID = /^[a-z0-9][a-z0-9-]{0,62}\/\d{1,16}-[A-Za-z0-9_]{1,8}-\d{1,9}$/;

/** Beside the segments of each camera: one JSON line per closed segment, so that a start need not hash every file again. */
export const MANIFEST_FILE = 'segments.jsonl';
/** Beside the cameras: files that could not be read. */
export const DAMAGED_DIR = 'damaged';

/** `{camera}/{start, Unix ms}-{session id's first 8}-{sequence}`. */
export const segmentId = (camera: CameraId, start: Milliseconds, sessionId: string, sequence: number): string =>
  `${camera}/${String(Math.floor(start))}-${sessionId.replace(/[^A-Za-z0-9]/g, '_').slice(0, 8) || '_'}-${String(sequence)}`;

/** The path of segment `id`. Throws INVALID_ARGUMENT for anything that is not a segment's id, so that no id leads out of `directory`. */
export const segmentPath = (directory: string, id: string): string => {
  if (!SEGMENT_ID.test(id)) throw new MediaError('INVALID_ARGUMENT', 'not the id of a recorded segment', { context: { id } });
  return join(directory, `${id}.mp4`);
};
