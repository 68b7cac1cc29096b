/** WebP (RFC 9649), as far as its chunks tell. */
import { vp8KeyframeSize } from '../vp8/frame-header.ts';
import { damaged, notDecoded } from './still-picture.ts';
import type { WebpPicture } from './still-picture.ts';

/** `RIFF`, the length of what follows, `WEBP` (§2.4). */
const FILE_HEADER_BYTES = 12;
/** FourCC and length (§2.3). */
const CHUNK_HEADER_BYTES = 8;
/** Of VP8L (§3.4): its signature, then 14 bits of width − 1, 14 of height − 1, one of alpha, three of the version. */
const VP8L_SIGNATURE = 0x2f;
const VP8L_HEADER_BYTES = 5;
/** In the flags of VP8X (§2.7.1). */
const ANIMATED = 0x02;
const MAX_CHUNKS = 256;

const text = (bytes: Uint8Array, at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));

export const isWebp = (bytes: Uint8Array): boolean => bytes.length >= FILE_HEADER_BYTES && text(bytes, 0) === 'RIFF' && text(bytes, 8) === 'WEBP';

/**
 * The size of a picture, and the one chunk that holds it: alpha, colour profile and metadata are left out. Throws INVALID_ARGUMENT, and
 * UNSUPPORTED_MEDIA_TYPE for an animation.
 */
export const readWebp = (bytes: Uint8Array): WebpPicture => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = FILE_HEADER_BYTES, chunks = 0; ; chunks++) {
    if (chunks > MAX_CHUNKS || at + CHUNK_HEADER_BYTES > bytes.length) throw damaged('it has no picture');
    const kind = text(bytes, at);
    const from = at + CHUNK_HEADER_BYTES;
    const to = from + view.getUint32(at + 4, true);
    if (to > bytes.length) throw damaged('a chunk is longer than the picture');
    const content = bytes.subarray(from, to);
    if (kind === 'ANIM' || kind === 'ANMF' || (kind === 'VP8X' && ((content[0] ?? 0) & ANIMATED) !== 0)) throw notDecoded('an animated WebP');
    if (kind === 'VP8 ' || kind === 'VP8L') {
      const size = kind === 'VP8 ' ? vp8KeyframeSize(content) : losslessSize(content);
      if (!size) throw damaged('its header makes no sense');
      return { format: 'webp', ...size, chunk: bytes.subarray(at, to) };
    }
    at = to + (to & 1); // padded to an even length, from an even position
  }
};

const losslessSize = (content: Uint8Array): { readonly width: number; readonly height: number } | null => {
  if (content.length < VP8L_HEADER_BYTES || content[0] !== VP8L_SIGNATURE) return null;
  const bits = new DataView(content.buffer, content.byteOffset, content.byteLength).getUint32(1, true);
  return bits >>> 29 === 0 ? { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 } : null;
};
