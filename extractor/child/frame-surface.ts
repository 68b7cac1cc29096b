import { AVCOL_RANGE_JPEG, AVCOL_SPC_BT709, AV_PIX_FMT_RGB24, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P } from 'node-av/constants';
import type { Frame } from 'node-av/lib';
import { I420Picture } from '../../core/drawing/i420-picture.ts';
import { RgbPicture } from '../../core/drawing/rgb-picture.ts';
import type { Plane, Surface } from '../../core/drawing/surface.ts';

/** A picture of FFmpeg to be drawn into, in the memory it has: no other frame may refer to that. Throws for pixels other than RGB and planar 4:2:0. */
export const surfaceOf = (frame: Frame): Surface => {
  const { width, height, format, data } = frame;
  const plane = (index: number): Plane => {
    const [bytes, stride] = [data?.[index], frame.linesize[index]];
    if (!bytes || stride === undefined) throw new Error('a picture without pixels');
    return { bytes, stride };
  };
  if (format === AV_PIX_FMT_RGB24) return new RgbPicture(width, height, plane(0));
  if (format !== AV_PIX_FMT_YUV420P && format !== AV_PIX_FMT_YUVJ420P) throw new Error(`cannot draw into pixels of format ${String(format)}`);
  return new I420Picture(width, height, [plane(0), plane(1), plane(2)], { bt709: frame.colorSpace === AVCOL_SPC_BT709, full: format === AV_PIX_FMT_YUVJ420P || frame.colorRange === AVCOL_RANGE_JPEG });
};
