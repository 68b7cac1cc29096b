import { MediaError } from '../../errors.ts';

interface Sized {
  /** Pixels as stored, ≥ 1: an orientation in the file's metadata turns nothing. */
  readonly width: number;
  readonly height: number;
}

export interface JpegPicture extends Sized {
  readonly format: 'jpeg';
  /** From its begin to its end. */
  readonly bytes: Uint8Array;
}

export interface PngPicture extends Sized {
  readonly format: 'png';
  /** Whole chunks before the data: IHDR, and of PLTE and tRNS what there is. */
  readonly head: readonly Uint8Array[];
  /** What IDAT holds: one zlib stream, in pieces. */
  readonly data: readonly Uint8Array[];
  /** Bytes of the filtered rows that `data` unpacks to, exactly. */
  readonly rowBytes: number;
}

export interface WebpPicture extends Sized {
  readonly format: 'webp';
  /** The one that holds the picture, `VP8 ` or `VP8L`, with its header. */
  readonly chunk: Uint8Array;
}

/** An encoded picture, as far as one can tell without decoding it; views into the bytes given. */
export type StillPicture = JpegPicture | PngPicture | WebpPicture;

/** The picture's bytes are cut off, or do not say what they must. */
export const damaged = (why: string): MediaError => new MediaError('INVALID_ARGUMENT', `The picture is damaged: ${why}.`, { reason: 'PICTURE_DAMAGED' });

/** It is well-formed as far as it was read, and of a kind that is not decoded here. */
export const notDecoded = (why: string): MediaError => new MediaError('UNSUPPORTED_MEDIA_TYPE', `The picture is ${why}; JPEG of 8 bits (baseline, extended, progressive), PNG and WebP are decoded here.`, { reason: 'PICTURE_FORMAT' });

/** It would cost more to decode than any picture is worth. */
export const tooLarge = (why: string): MediaError => new MediaError('PAYLOAD_TOO_LARGE', `The picture ${why}.`, { reason: 'PICTURE_TOO_LARGE' });
