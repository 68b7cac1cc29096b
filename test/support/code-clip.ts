import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codePicture, pgmOf } from './code-picture.ts';
import { ffmpegMake } from './media.ts';

/** A sheet of paper with a QR code on it, pixels. */
const SHEET = 240;

/**
 * A clip of H.264 without B-frames, 1280 × 720, 30 pictures a second, a key frame a second: moving stripes as a camera's background, and from second `from` to second
 * `to` a sheet with a QR code that moves through the picture.
 */
export const codeClip = async (folder: string, text: string, { seconds, from, to }: { readonly seconds: number; readonly from: number; readonly to: number }): Promise<string> => {
  const sheet = join(folder, 'sheet.pgm');
  await writeFile(sheet, pgmOf(await codePicture(SHEET, SHEET, [{ content: text, format: 'QRCode', side: 180, x: SHEET / 2, y: SHEET / 2 }])));
  return ffmpegMake([
    '-f', 'lavfi', '-i', `testsrc2=size=1280x720:rate=30:duration=${String(seconds)}`, '-loop', '1', '-i', sheet,
    '-filter_complex', `[0][1]overlay=x='200+60*t':y='200+20*t':enable='between(t,${String(from)},${String(to)})':shortest=1`,
    '-c:v', 'libx264', '-preset', 'veryfast', '-profile:v', 'high', '-bf', '0', '-g', '30', '-pix_fmt', 'yuv420p', '-b:v', '3M', '-t', String(seconds),
  ], join(folder, 'codes.mp4'));
};
