/** JPEG (ITU-T T.81, 1992), as far as its markers tell; the entropy-coded data is only skipped. */
import { damaged, notDecoded, tooLarge } from './still-picture.ts';
import type { JpegPicture } from './still-picture.ts';

const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
const TEM = 0x01;
/** Baseline, extended sequential, progressive; Huffman-coded. */
const DECODED_SOF: ReadonlySet<number> = new Set([0xc0, 0xc1, 0xc2]);
/** C4, C8 and CC are DHT, JPG and DAC (table B.1). */
const isSof = (marker: number): boolean => marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
const isRst = (marker: number): boolean => marker >= 0xd0 && marker <= 0xd7;

/** A progressive picture has some ten. Each costs a pass over all of it, however few bytes it has. */
const MAX_SCANS = 64;
const MAX_SEGMENTS = 4_096;

export const isJpeg = (bytes: Uint8Array): boolean => bytes[0] === 0xff && bytes[1] === SOI;

/**
 * The size of a picture, and its bytes up to its end: what follows (another picture, as in multi-picture files) is left out. Throws INVALID_ARGUMENT,
 * UNSUPPORTED_MEDIA_TYPE (arithmetic coding, lossless, hierarchical, 12 bits) and PAYLOAD_TOO_LARGE (scans or segments without end).
 */
export const readJpeg = (bytes: Uint8Array): JpegPicture => {
  let size: { readonly width: number; readonly height: number } | undefined;
  let scans = 0;
  let at = 2;
  for (let segments = 0; ; segments++) {
    if (segments > MAX_SEGMENTS) throw tooLarge(`has more than ${String(MAX_SEGMENTS)} segments`);
    at = markerFrom(bytes, at, scans > 0);
    const marker = bytes[at];
    // Some cameras leave EOI out. A decoder notices whether data is missing.
    if (marker === undefined || marker === EOI) {
      if (!size || scans === 0) throw damaged('it ends before its data');
      return { format: 'jpeg', ...size, bytes: bytes.subarray(0, marker === undefined ? bytes.length : at + 1) };
    }
    at++;
    if (marker === TEM || isRst(marker)) continue;
    if (marker === SOI) throw damaged('it begins twice');
    const length = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    if (length < 2 || at + length > bytes.length) throw damaged('a segment is longer than the picture');
    if (isSof(marker)) {
      if (size) throw damaged('it has two frame headers');
      size = frameHeader(marker, bytes.subarray(at + 2, at + length));
    } else if (marker === SOS) {
      if (!size) throw damaged('its data begins before its frame header');
      scans++;
      if (scans > MAX_SCANS) throw tooLarge(`has more than ${String(MAX_SCANS)} scans`);
    }
    at += length;
  }
};

/** Where the code of the next marker stands, behind its 0xFF; `bytes.length` when there is none. Entropy-coded data before it is skipped. */
const markerFrom = (bytes: Uint8Array, from: number, inData: boolean): number => {
  let at = from;
  for (;;) {
    if (!inData && at < bytes.length && bytes[at] !== 0xff) throw damaged('no marker where one must be');
    at = bytes.indexOf(0xff, at);
    if (at < 0) return bytes.length;
    while (bytes[at] === 0xff) at++; // fill bytes (B.1.1.2)
    const code = bytes[at];
    if (code === undefined) return bytes.length;
    if (code === 0x00) {
      if (!inData) throw damaged('no marker where one must be');
    } else if (!inData || !isRst(code)) return at;
    at++;
  }
};

/** B.2.2 */
const frameHeader = (marker: number, header: Uint8Array): { readonly width: number; readonly height: number } => {
  if (!DECODED_SOF.has(marker)) throw notDecoded('a JPEG of a rare kind (lossless, hierarchical or arithmetic)');
  const [precision = 0, h1 = 0, h0 = 0, w1 = 0, w0 = 0, components = 0] = header;
  if (precision !== 8) throw notDecoded(`a JPEG of ${String(precision)} bits`);
  const height = (h1 << 8) | h0;
  const width = (w1 << 8) | w0;
  // A height of 0 comes later, as DNL (B.2.5): nothing that encodes today does so.
  if (width === 0 || height === 0 || components === 0 || header.length !== 6 + 3 * components) throw damaged('its frame header makes no sense');
  return { width, height };
};
