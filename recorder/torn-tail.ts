/**
 * Tells what a crash does to a file from damage. A crash loses the end: the file stops inside a box, or zeros stand where the last writes never
 * reached the disk. Anything else (a bad sector, a changed byte) leaves parts behind it that are worth keeping.
 */
import type { FileHandle } from 'node:fs/promises';
import { bytesOf } from './segment-file.ts';
import { scanSegment } from './segment-index.ts';
import type { SegmentIndex } from './segment-index.ts';

export interface CrashScan {
  readonly index: SegmentIndex;
  /** Nothing but a part that was never written whole lies behind `index.wholeBytes`: cutting there loses nothing else. */
  readonly torn: boolean;
}

/** How every part begins after its `prft`: type of `moof`, size and type of `mfhd` (ISO/IEC 14496-12:2022 §8.8.5). */
const PART = Buffer.from('moof\0\0\0\x10mfhd', 'latin1');
const BOX_HEADER = 8;
const PIECE = 1 << 20;

/** Reads a file of `size` bytes that may have been open in a crash. Throws as `scanSegment`. */
export const scanAfterCrash = async (file: FileHandle, size: number): Promise<CrashScan> => {
  const index = await scanSegment(bytesOf(file), size);
  if (index.defect === null || (await endsInBox(file, size, index))) return { index, torn: true };
  const end = Math.max(index.wholeBytes, await endOfData(file, size));
  if (end === size) return { index, torn: false };
  const written = await scanSegment(bytesOf(file), end);
  return { index: written, torn: written.defect === null || (await endsInBox(file, end, written)) };
};

/** A box whose length was damaged seems cut off, too, but swallows the parts that follow: a torn one has none in it. */
const endsInBox = async (file: FileHandle, size: number, { cutAt }: SegmentIndex): Promise<boolean> => {
  if (cutAt === null) return false;
  const buffer = Buffer.allocUnsafe(PIECE);
  for (let position = cutAt + BOX_HEADER; position < size;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(PIECE, size - position), position);
    if (buffer.subarray(0, bytesRead).includes(PART)) return false;
    if (bytesRead < PART.length) break;
    position += bytesRead - PART.length + 1;
  }
  return true;
};

/** Where the zeros at the end of the file begin. */
const endOfData = async (file: FileHandle, size: number): Promise<number> => {
  const buffer = Buffer.allocUnsafe(PIECE);
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - PIECE);
    const { bytesRead } = await file.read(buffer, 0, end - start, start);
    for (let i = bytesRead - 1; i >= 0; i--) if (buffer[i] !== 0) return start + i + 1;
    end = start;
  }
  return 0;
};
