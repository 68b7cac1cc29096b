import { execFileSync } from 'node:child_process';
import { letterbox } from '../../core/letterbox.ts';

/** A still image, letterboxed into `inputWidth` × `inputHeight` by libswscale's area filter, as raw RGB; and its own size. */
export const letterboxed = (path: string, inputWidth: number, inputHeight = inputWidth): { readonly pixels: Buffer; readonly width: number; readonly height: number } => {
  const [width, height] = execFileSync('ffprobe', ['-v', 'error', '-select_streams', 'v', '-show_entries', 'stream=width,height', '-of', 'csv=p=0', path], { encoding: 'utf8' }).split(',').map(Number) as [number, number];
  const place = letterbox(width, height, inputWidth, inputHeight);
  const filter = `format=rgb24,scale=${place.width}:${place.height}:flags=area,pad=${inputWidth}:${inputHeight}:${place.left}:${place.top}:color=0x727272`;
  return { pixels: execFileSync('ffmpeg', ['-v', 'error', '-i', path, '-vf', filter, '-frames:v', '1', '-pix_fmt', 'rgb24', '-f', 'rawvideo', '-'], { maxBuffer: 1 << 24 }), width, height };
};
