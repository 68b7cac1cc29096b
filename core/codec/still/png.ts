/** PNG (W3C Recommendation, third edition, 2025), as far as its chunks tell. */
import { damaged } from './still-picture.ts';
import type { PngPicture } from './still-picture.ts';

/** §5.2 */
export const PNG_SIGNATURE: readonly number[] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Length, type, CRC (§5.3). */
const CHUNK_OVERHEAD = 12;
const IHDR_BYTES = 13;
/** Samples of a pixel, and bits they may have, by colour type (§11.2.2). */
const COLOURS: Readonly<Record<number, { readonly samples: number; readonly depths: readonly number[] }>> = {
  0: { samples: 1, depths: [1, 2, 4, 8, 16] }, 2: { samples: 3, depths: [8, 16] }, 3: { samples: 1, depths: [1, 2, 4, 8] }, 4: { samples: 2, depths: [8, 16] }, 6: { samples: 4, depths: [8, 16] },
};
/** Of Adam7 (§8.1): the first column and row of each pass, and the steps. */
const ADAM7 = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]] as const;

export const isPng = (bytes: Uint8Array): boolean => PNG_SIGNATURE.every((byte, i) => bytes[i] === byte);

/**
 * The size of a picture, and the chunks that make it up. Others are left out: texts and colour profiles are compressed, too, and a decoder that unpacks them
 * has no bound for it. Of an animation it is the still picture that plain viewers show. Throws INVALID_ARGUMENT.
 */
export const readPng = (bytes: Uint8Array): PngPicture => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const head: Uint8Array[] = [];
  const data: Uint8Array[] = [];
  let header: Pick<PngPicture, 'width' | 'height' | 'rowBytes'> | undefined;
  for (let at = PNG_SIGNATURE.length; ;) {
    if (at + CHUNK_OVERHEAD > bytes.length) throw damaged('it ends before its end chunk');
    const length = view.getUint32(at);
    const end = at + CHUNK_OVERHEAD + length;
    if (end > bytes.length) throw damaged('a chunk is longer than the picture');
    const type = String.fromCharCode(view.getUint8(at + 4), view.getUint8(at + 5), view.getUint8(at + 6), view.getUint8(at + 7));
    const content = bytes.subarray(at + 8, at + 8 + length);
    if ((type === 'IHDR') !== (header === undefined)) throw damaged('its header is not its first chunk alone');
    if (type === 'IHDR') header = imageHeader(content);
    if (type === 'IDAT') data.push(content);
    else if (type === 'IHDR' || type === 'PLTE' || type === 'tRNS') head.push(bytes.subarray(at, end));
    at = end;
    if (type !== 'IEND') continue;
    if (!header || data.length === 0) throw damaged('it has no data');
    return { format: 'png', ...header, head, data };
  }
};

/** §11.2.2 */
const imageHeader = (header: Uint8Array): Pick<PngPicture, 'width' | 'height' | 'rowBytes'> => {
  if (header.length !== IHDR_BYTES) throw damaged('its header has another length');
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth = 0, colour = -1, compression, filter, interlace = 2] = header.subarray(8);
  const kind = COLOURS[colour];
  if (!kind?.depths.includes(depth) || compression !== 0 || filter !== 0 || interlace > 1) throw damaged('its header makes no sense');
  if (width === 0 || height === 0) throw damaged('its size makes no sense');
  const bits = kind.samples * depth;
  // A row begins with the number of its filter (§9.2).
  const rows = (columns: number, count: number): number => (columns > 0 ? count * (1 + Math.ceil((columns * bits) / 8)) : 0);
  const rowBytes = interlace === 0
    ? rows(width, height)
    : ADAM7.reduce((sum, [column, row, across, down]) => sum + rows(Math.ceil((width - column) / across), Math.max(0, Math.ceil((height - row) / down))), 0);
  return { width, height, rowBytes };
};
