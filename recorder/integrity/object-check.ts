/** What an archived object is, read once and in pieces: its size and SHA-256, who signed it, what its head says about it. */
import { createHash } from 'node:crypto';
import { MediaError, messageOf } from '../../core/errors.ts';
import { SIGNATURE_BOX_BYTES, segmentStatement } from '../../core/fmp4/signature-box.ts';
import type { PublicSigningKey } from '../../platform/signing-key.ts';
import { headOf } from '../segment-index.ts';
import { signatureOf } from './segment-check.ts';
import type { SegmentCheck } from './segment-check.ts';

/** Bytes [start, end) of the object. */
export type ObjectBytes = (start: number, end: number) => Promise<Buffer>;

/**
 * Checks an object of `size` bytes, at most `piece` of them at once. Its boxes are not read but for the head: bytes with the right SHA-256 are
 * those that were recorded. Throws what `bytes` throws.
 */
export const checkObject = async (id: string, size: number, bytes: ObjectBytes, piece: number, key: PublicSigningKey | undefined): Promise<SegmentCheck> => {
  const hash = createHash('sha256');
  const signedBytes = Math.max(0, size - SIGNATURE_BOX_BYTES);
  const tail = Buffer.alloc(size - signedBytes);
  let head: Buffer = Buffer.alloc(0);
  let statement: Buffer | undefined;
  for (let at = 0; at < size; at += piece) {
    const read = await bytes(at, Math.min(at + piece, size));
    if (at === 0) head = read;
    const signed = Math.min(read.length, Math.max(0, signedBytes - at));
    hash.update(read.subarray(0, signed));
    if (signed === read.length) continue;
    statement ??= segmentStatement(hash.copy().digest('hex'));
    read.copy(tail, at + signed - signedBytes, signed);
    hash.update(read.subarray(signed));
  }
  return { id, size, sha256: hash.digest('hex'), signature: statement === undefined ? 'none' : signatureOf(tail, statement, key), ...(await describe(head, size)) };
};

const describe = async (head: Buffer, size: number): Promise<Pick<SegmentCheck, 'saysId' | 'chain' | 'defect'>> => {
  try {
    const { info } = await headOf({ read: (position, length) => Promise.resolve(head.subarray(position, position + length)) }, size);
    return { saysId: info.id, chain: info.chain ?? null, defect: null };
  } catch (error) {
    if (!(error instanceof MediaError)) throw error;
    return { saysId: null, chain: null, defect: messageOf(error) };
  }
};
