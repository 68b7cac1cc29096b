/** What one recorded file is, read in one pass: its size and SHA-256, who signed it, what it says about itself, whether it can be read to its end. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { ChainLink } from '../../core/fmp4/segment-info-box.ts';
import { SIGNATURE_BOX_BYTES, decodeSignatureBox, segmentStatement } from '../../core/fmp4/signature-box.ts';
import type { PublicSigningKey } from '../../platform/signing-key.ts';
import type { SegmentBytes } from '../segment-file.ts';
import { scanSegment } from '../segment-index.ts';
import type { SegmentIndex } from '../segment-index.ts';
import { segmentPath } from '../segment-path.ts';

export interface SegmentCheck {
  readonly id: string;
  readonly size: number;
  /** Hex, of the whole file. */
  readonly sha256: string;
  /** `foreign`: by a key that is not the one asked about. */
  readonly signature: 'valid' | 'invalid' | 'foreign' | 'none';
  /** Whose recording the file says it is; null: it cannot be told. */
  readonly saysId: string | null;
  readonly chain: ChainLink | null;
  /** Why it cannot be read to its end. */
  readonly defect: string | null;
}

export interface UnreadableSegment {
  readonly id: string;
  /** In words; `missing`: there is no file. */
  readonly error: string;
  readonly missing: boolean;
}

/** Read at once: larger ones are read twice, hash and boxes apart. */
const MAX_IN_MEMORY = 64 << 20;
const PIECE = 4 << 20;

/** Reads files one after the other, synchronously and into the same memory: for a thread of its own. */
export class SegmentChecker {
  readonly #directory: string;
  readonly #key: PublicSigningKey | undefined;
  #buffer = Buffer.allocUnsafe(0);

  constructor(directory: string, key: PublicSigningKey | undefined) {
    this.#directory = directory;
    this.#key = key;
  }

  /** Never throws. */
  async check(id: string): Promise<SegmentCheck | UnreadableSegment> {
    let file: number | undefined;
    try {
      file = openSync(segmentPath(this.#directory, id), 'r');
      return await this.#check(id, file, fstatSync(file).size);
    } catch (error) {
      return { id, error: messageOf(error), missing: (error as NodeJS.ErrnoException).code === 'ENOENT' };
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }

  async #check(id: string, file: number, size: number): Promise<SegmentCheck> {
    const whole = size <= MAX_IN_MEMORY;
    const memory = this.#hold(Math.min(size, whole ? MAX_IN_MEMORY : PIECE));
    const hash = createHash('sha256');
    const signedBytes = Math.max(0, size - SIGNATURE_BOX_BYTES);
    const tail = Buffer.alloc(size - signedBytes);
    let statement: Buffer = Buffer.alloc(0);
    for (let position = 0; position < size;) {
      // The last piece is what a signature would be.
      const end = position < signedBytes ? Math.min(position + PIECE, signedBytes) : size;
      const piece = whole ? memory.subarray(position, end) : memory.subarray(0, end - position);
      readFully(file, piece, position);
      if (position >= signedBytes) {
        statement = segmentStatement(hash.copy().digest('hex'));
        piece.copy(tail);
      }
      hash.update(piece);
      position = end;
    }
    const bytes: SegmentBytes = whole ? inMemory(memory.subarray(0, size)) : { read: (position, length) => Promise.resolve(readUpTo(file, Buffer.allocUnsafe(length), position)) };
    return { id, size, sha256: hash.digest('hex'), signature: signatureOf(tail, statement, this.#key), ...(await describe(bytes, size)) };
  }

  #hold(size: number): Buffer {
    if (this.#buffer.length < size) this.#buffer = Buffer.allocUnsafe(size);
    return this.#buffer;
  }
}

/** Of a file that ends with `tail`; `statement`: what a signature is over. */
export const signatureOf = (tail: Buffer, statement: Buffer, key: PublicSigningKey | undefined): SegmentCheck['signature'] => {
  const box = decodeSignatureBox(tail);
  if (!box) return 'none';
  if (box.kid !== key?.kid) return 'foreign';
  return key.verify(statement, box.signature) ? 'valid' : 'invalid';
};

const describe = async (bytes: SegmentBytes, size: number): Promise<Pick<SegmentCheck, 'saysId' | 'chain' | 'defect'>> => {
  try {
    const index = await scanSegment(bytes, size);
    return { saysId: index.info.id, chain: index.info.chain ?? null, defect: index.defect ?? structuralDefect(index) };
  } catch (error) {
    if (!(error instanceof MediaError)) throw error;
    return { saysId: null, chain: null, defect: messageOf(error) };
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

const inMemory = (bytes: Buffer): SegmentBytes => ({ read: (position, length) => Promise.resolve(bytes.subarray(position, position + length)) });

const readUpTo = (file: number, into: Buffer, position: number): Buffer => {
  let filled = 0;
  while (filled < into.length) {
    const read = readSync(file, into, filled, into.length - filled, position + filled);
    if (read === 0) break;
    filled += read;
  }
  return into.subarray(0, filled);
};

const readFully = (file: number, into: Buffer, position: number): void => {
  if (readUpTo(file, into, position).length < into.length) throw new MediaError('NOT_FOUND', 'the file became shorter while it was read');
};
