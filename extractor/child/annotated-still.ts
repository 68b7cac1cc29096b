import type { Frame } from 'node-av/lib';
import type { DrawnBox } from '../../core/drawing/drawn-box.ts';
import type { PictureFormat } from '../port.ts';
import { PictureEncoder, layoutOf } from './picture-encoder.ts';
import { PictureScaler } from './picture-scaler.ts';
import { SlowLane } from './slow-lane.ts';

/** Of JPEG and WebP, 1..100: what is sent once more should not look worse for it. */
const QUALITY = 90;

/**
 * A decoded picture with boxes drawn in, encoded at its own size; by an encoder of its own, on another thread. Of a PNG it has neither transparency nor more than
 * 8 bits. Rejects when FFmpeg cannot.
 */
export const annotatedStill = async (picture: Frame, format: PictureFormat, boxes: readonly DrawnBox[]): Promise<Buffer> => {
  const { width, height } = picture;
  using scaler = new PictureScaler(width, height, layoutOf(format));
  using encoder = new PictureEncoder(format, width, height, QUALITY, new SlowLane()); // whoever calls bounds how many work at a time
  return await encoder.encode(scaler.scale(picture, 0, boxes));
};
