/** A picture that somebody chose, made such that the server takes it. */
import { jpegOrientation } from './jpeg-orientation.ts';

/** As the server has them. */
const MAX_BYTES = 8 << 20;
const MAX_PIXELS = 25_000_000;
/** A model's input is far smaller. */
const SHRUNK_PIXELS = 12_000_000;
const TAKEN: ReadonlySet<string> = new Set(['image/jpeg', 'image/png', 'image/webp']);
const QUALITY = 0.92;

/**
 * The file as it is wherever that can be; turned upright where it says so, smaller where it is too large, and as JPEG where its format is another one.
 * Throws with words for the page when the browser cannot read it.
 */
export const takenPicture = async (file: Blob): Promise<Blob> => {
  const bitmap = await createImageBitmap(file).catch(() => { throw new Error('This file is no picture that the browser can read.'); });
  try {
    const pixels = bitmap.width * bitmap.height;
    const upright = file.type !== 'image/jpeg' || jpegOrientation(new Uint8Array(await file.slice(0, 256 << 10).arrayBuffer())) === 1;
    if (TAKEN.has(file.type) && upright && file.size <= MAX_BYTES && pixels <= MAX_PIXELS) return file;
    return await redrawn(bitmap, Math.min(1, Math.sqrt(SHRUNK_PIXELS / pixels)));
  } finally {
    bitmap.close();
  }
};

const redrawn = async (bitmap: ImageBitmap, scale: number): Promise<Blob> => {
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const { promise, resolve } = Promise.withResolvers<Blob | null>();
  canvas.toBlob(resolve, 'image/jpeg', QUALITY);
  const made = await promise;
  if (!made) throw new Error('This picture is too large for the browser.');
  return made;
};
