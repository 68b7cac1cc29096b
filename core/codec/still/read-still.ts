import { isJpeg, readJpeg } from './jpeg.ts';
import { isPng, readPng } from './png.ts';
import { damaged, notDecoded, tooLarge } from './still-picture.ts';
import type { StillPicture } from './still-picture.ts';
import { isWebp, readWebp } from './webp.ts';

/** An industrial camera's 24 megapixels, and some. */
const MAX_PIXELS = 25_000_000;
const MAX_SIDE = 16_384;
/** Of a PNG, unpacked: 25 megapixels of RGB. */
const MAX_ROW_BYTES = 80_000_000;

/**
 * What a picture is and how large, before a decoder is shown any of it; linear in its bytes. Throws INVALID_ARGUMENT (empty, damaged),
 * UNSUPPORTED_MEDIA_TYPE (none of JPEG, PNG and WebP, or a rare kind), PAYLOAD_TOO_LARGE (more than 25 megapixels, 16,384 a side, or what costs as much).
 */
export const readStill = (bytes: Uint8Array): StillPicture => {
  if (bytes.length === 0) throw damaged('it is empty');
  const still = readAny(bytes);
  const { width, height } = still;
  if (width * height > MAX_PIXELS || width > MAX_SIDE || height > MAX_SIDE) throw tooLarge(`of ${String(width)} × ${String(height)} has more than ${String(MAX_PIXELS)} pixels, or ${String(MAX_SIDE)} a side`);
  if (still.format === 'png' && still.rowBytes > MAX_ROW_BYTES) throw tooLarge(`has more than ${String(MAX_ROW_BYTES)} bytes when it is unpacked`);
  return still;
};

const readAny = (bytes: Uint8Array): StillPicture => {
  if (isJpeg(bytes)) return readJpeg(bytes);
  if (isPng(bytes)) return readPng(bytes);
  if (isWebp(bytes)) return readWebp(bytes);
  throw notDecoded('neither JPEG nor PNG nor WebP');
};
