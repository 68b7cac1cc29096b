import { crc32 } from 'node:zlib';

/**
 * How an event lies in a journal file: a header of 20 bytes, big-endian, then the payload.
 *
 *     0  u32  length of the payload
 *     4  u32  CRC-32 of everything behind it (header from 8, payload)
 *     8  u64  sequence number
 *    16  u32  weight: how many results the event stands for (counted when it has to be dropped)
 */
export const FRAME_HEADER_BYTES = 20;
/** A longer one is no frame of ours: the file is damaged there. */
export const MAX_PAYLOAD_BYTES = 16 * 1024 * 1024;

export interface Frame {
  readonly seq: number;
  readonly weight: number;
  readonly payload: Buffer;
}

export const encodeFrame = ({ seq, weight, payload }: { readonly seq: number; readonly weight: number; readonly payload: Uint8Array }): Buffer => {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.byteLength);
  bytes.writeUInt32BE(payload.byteLength, 0);
  bytes.writeBigUInt64BE(BigInt(seq), 8);
  bytes.writeUInt32BE(weight, 16);
  bytes.set(payload, FRAME_HEADER_BYTES);
  bytes.writeUInt32BE(crc32(bytes.subarray(8)), 4);
  return bytes;
};

/** `partial`: the bytes end before the frame does. `damaged`: no frame of ours begins here. */
export type DecodedFrame = { readonly frame: Frame; readonly byteLength: number } | 'partial' | 'damaged';

/** Reads the frame at `offset`. The payload is a view into `bytes`. Never throws. */
export const decodeFrame = (bytes: Buffer, offset: number): DecodedFrame => {
  if (bytes.length - offset < FRAME_HEADER_BYTES) return 'partial';
  const length = bytes.readUInt32BE(offset);
  if (length > MAX_PAYLOAD_BYTES) return 'damaged';
  const end = offset + FRAME_HEADER_BYTES + length;
  if (bytes.length < end) return 'partial';
  if (crc32(bytes.subarray(offset + 8, end)) !== bytes.readUInt32BE(offset + 4)) return 'damaged';
  const seq = Number(bytes.readBigUInt64BE(offset + 8));
  if (!Number.isSafeInteger(seq)) return 'damaged';
  return {
    frame: { seq, weight: bytes.readUInt32BE(offset + 16), payload: bytes.subarray(offset + FRAME_HEADER_BYTES, end) },
    byteLength: end - offset,
  };
};

/** Bytes a frame of this header would take, or undefined while the header is not complete or damaged. */
export const frameLength = (bytes: Buffer, offset: number): number | undefined => {
  if (bytes.length - offset < FRAME_HEADER_BYTES) return undefined;
  const length = bytes.readUInt32BE(offset);
  return length > MAX_PAYLOAD_BYTES ? undefined : FRAME_HEADER_BYTES + length;
};
