/**
 * The `uuid` box at the very end of a closed recording that says who closed it: an Ed25519 signature (RFC 8032) over the SHA-256 of everything
 * before it. So every file vouches for itself, wherever it is copied to. Players pass it over.
 *
 *     16 bytes type, u32 version, 32 bytes key (RFC 7638 thumbprint), 64 bytes signature. All big-endian, always 124 bytes.
 */

/** 5e0d1f6b-82c4-4a0e-9b37-d3c61f54a9e8, drawn at random. */
const TYPE = Buffer.from('5e0d1f6b82c44a0e9b37d3c61f54a9e8', 'hex');
const VERSION = 1;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** Of the whole box. */
export const SIGNATURE_BOX_BYTES = 8 + TYPE.length + 4 + KEY_BYTES + SIGNATURE_BYTES;

export interface SegmentSignature {
  /** RFC 7638 thumbprint, base64url. */
  readonly kid: string;
  readonly signature: Buffer;
}

/** What is signed: a text, so that `openssl` can check it. `sha256`: hex, of the file without the box. */
export const segmentStatement = (sha256: string): Buffer => Buffer.from(`imageflow-edge recording, SHA-256 ${sha256}\n`);

/** The whole box. */
export const encodeSignatureBox = ({ kid, signature }: SegmentSignature): Buffer => {
  const key = Buffer.from(kid, 'base64url');
  if (key.length !== KEY_BYTES || signature.length !== SIGNATURE_BYTES) throw new Error('not an Ed25519 signature or not a thumbprint');
  const head = Buffer.alloc(8 + TYPE.length + 4);
  head.writeUInt32BE(SIGNATURE_BOX_BYTES, 0);
  head.write('uuid', 4, 'latin1');
  TYPE.copy(head, 8);
  head.writeUInt32BE(VERSION, 8 + TYPE.length);
  return Buffer.concat([head, key, signature]);
};

/** Whether a `uuid` box with these first payload bytes is one. */
export const isSignatureBox = (payload: Buffer): boolean => payload.length >= TYPE.length && payload.subarray(0, TYPE.length).equals(TYPE);

/** The signature by the last bytes of a file; undefined when they are something else. */
export const decodeSignatureBox = (tail: Buffer): SegmentSignature | undefined => {
  if (tail.length < SIGNATURE_BOX_BYTES) return undefined;
  const box = tail.subarray(tail.length - SIGNATURE_BOX_BYTES);
  const head = 8 + TYPE.length;
  if (box.readUInt32BE(0) !== SIGNATURE_BOX_BYTES || box.toString('latin1', 4, 8) !== 'uuid' || !isSignatureBox(box.subarray(8)) || box.readUInt32BE(head) !== VERSION) return undefined;
  const key = box.subarray(head + 4, head + 4 + KEY_BYTES);
  return { kid: key.toString('base64url'), signature: box.subarray(head + 4 + KEY_BYTES) };
};
