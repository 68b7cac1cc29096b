/**
 * Looks at an MP4's outermost boxes alone, before a demuxer takes their sizes at their word: it reads tables whole, and tables of gigabytes would take
 * the memory of the whole process with them.
 */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { MediaError } from '../../core/errors.ts';

/** The `moov` of a day at 60 pictures a second with sound, and then some. */
const MAX_TABLES = 128 << 20;
/** A fragment each tenth of a second of a day, with its `mdat`. */
const MAX_BOXES = 2_000_000;
/** Media, and what is passed over. */
const UNREAD = new Set(['mdat', 'free', 'skip', 'wide', 'uuid']);
/** Any of these comes first. */
const FIRST = new Set(['ftyp', 'styp', 'moov', 'free', 'skip', 'wide', 'mdat', 'pnot']);
const HEADER = 16;

const refuse = (message: string): MediaError => new MediaError('UNPROCESSABLE', message, { reason: 'FILE_NOT_USABLE' });

/** Throws UNPROCESSABLE when the file at `path` is no MP4, or its tables are far too large; and what the file system throws. */
export const checkBoxSizes = async (path: string): Promise<void> => {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  const header = Buffer.alloc(HEADER);
  let boxes = 0;
  for (let position = 0; position < size;) {
    const box = await boxAt(file, header, position, size);
    if (position === 0 && !FIRST.has(box.type)) throw refuse('it is not an MP4');
    if (!UNREAD.has(box.type) && box.size > MAX_TABLES) throw refuse('its tables are far too large');
    if (++boxes > MAX_BOXES) throw refuse('it has far too many boxes');
    position += box.size;
  }
  await checkRandomAccessTable(file, header, size);
};

/** A last box too long for the file counts as long as it says: what is cut off is noticed later. */
const boxAt = async (file: FileHandle, header: Buffer, position: number, end: number): Promise<{ readonly type: string; readonly size: number }> => {
  header.fill(0);
  await file.read(header, 0, Math.min(HEADER, end - position), position);
  const short = header.readUInt32BE(0);
  const size = short === 1 ? Number(header.readBigUInt64BE(8)) : short === 0 ? end - position : short;
  if (size < (short === 1 ? HEADER : 8)) throw refuse('it is not an MP4');
  return { type: header.toString('latin1', 4, 8), size };
};

/** The last four bytes may say where an `mfra` begins (ISO/IEC 14496-12 §8.8.11), anywhere in the file. */
const checkRandomAccessTable = async (file: FileHandle, header: Buffer, size: number): Promise<void> => {
  if (size < HEADER) return;
  await file.read(header, 0, 4, size - 4);
  const position = size - header.readUInt32BE(0);
  if (position < 0 || position > size - 8) return;
  header.fill(0);
  await file.read(header, 0, 8, position);
  if (header.toString('latin1', 4, 8) === 'mfra' && size - position > MAX_TABLES) throw refuse('its tables are far too large');
};
