/** Pictures made by hand, whole and broken, for tests. */
import { crc32, deflateSync } from 'node:zlib';

const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

export const pngChunk = (type: string, data: Uint8Array = Buffer.alloc(0)): Buffer => {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  crc.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, crc]);
};

/** 8 bits, RGB. */
export const pngHeader = (width: number, height: number): Buffer => {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  return pngChunk('IHDR', header);
};

export const png = (...chunks: readonly Buffer[]): Buffer => Buffer.concat([PNG_SIGNATURE, ...chunks]);

/** A picture of one colour. */
export const plainPng = (width: number, height: number, colour: readonly [number, number, number], between: readonly Buffer[] = []): Buffer => {
  const row = Buffer.concat([Buffer.from([0]), Buffer.concat(Array.from({ length: width }, () => Buffer.from(colour)))]);
  return png(pngHeader(width, height), ...between, pngChunk('IDAT', deflateSync(Buffer.concat(Array.from({ length: height }, () => row)))), pngChunk('IEND'));
};

export const SOI = Buffer.from([0xff, 0xd8]);
export const EOI = Buffer.from([0xff, 0xd9]);

/** A marker segment. */
export const segment = (marker: number, data: Uint8Array): Buffer => {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(2 + data.length, 2);
  return Buffer.concat([head, data]);
};

/** A frame header (B.2.2) of three components. */
export const frameHeader = (width: number, height: number, options: { readonly marker?: number; readonly precision?: number } = {}): Buffer =>
  segment(options.marker ?? 0xc0, Buffer.from([options.precision ?? 8, height >> 8, height & 255, width >> 8, width & 255, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]));

/** A scan header (B.2.3) and some entropy-coded data, with a stuffed byte and a restart marker in it. */
export const scan = (): Buffer => Buffer.concat([segment(0xda, Buffer.from([3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0])), Buffer.from([0x12, 0xff, 0x00, 0x34, 0xff, 0xd0, 0x56])]);

/** A chunk of a WebP, without the byte that pads it. */
export const riffChunk = (kind: string, content: readonly number[]): Buffer => {
  const head = Buffer.alloc(8);
  head.write(kind, 'latin1');
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, Buffer.from(content)]);
};

/** A WebP of these chunks, each padded to an even length. */
export const webp = (...chunks: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(chunks.flatMap((chunk) => (chunk.length % 2 === 0 ? [chunk] : [chunk, Buffer.alloc(1)])));
  const head = Buffer.from('RIFF\0\0\0\0WEBP', 'latin1');
  head.writeUInt32LE(4 + body.length, 4);
  return Buffer.concat([head, body]);
};

/** The header of a lossy picture (RFC 6386 §9.1), without its data. */
export const lossy = (width: number, height: number): Buffer => riffChunk('VP8 ', [0x10, 0, 0, 0x9d, 0x01, 0x2a, width & 255, width >> 8, height & 255, height >> 8]);

/** The same of a lossless one (RFC 9649 §3.4). */
export const lossless = (width: number, height: number): Buffer => {
  const bits = Buffer.alloc(4);
  bits.writeUInt32LE((((height - 1) << 14) | (width - 1)) >>> 0);
  return riffChunk('VP8L', [0x2f, ...bits]);
};
