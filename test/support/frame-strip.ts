/**
 * Reads the frame counter of `counter-720p30.mp4` back from pixels, at whatever size it was scaled to. 32 cells in a strip over the picture's whole
 * width, 40/720 of its height: sync `101`, 16 bits of the number, 4 bits of check (XOR of its nibbles), end mark `10`, zeros.
 *
 * `data`: rows of `channels` bytes a pixel (1 luma, 3 RGB, 4 RGBA), beginning at the strip's top left corner; `width` × `height`: the strip, in
 * pixels. Returns the number, null where none can be read. Refers to nothing outside itself, so that a page can be given its text.
 */
export const readFrameStrip = (data: ArrayLike<number>, width: number, height: number, channels: 1 | 3 | 4, stride = width * channels): number | null => {
  const cell = width / 32;
  const means: number[] = [];
  for (let i = 0; i < 32; i++) {
    const x0 = Math.round(cell * (i + 0.3));
    const x1 = Math.max(x0 + 1, Math.round(cell * (i + 0.7)));
    const y0 = Math.round(height * 0.3);
    const y1 = Math.max(y0 + 1, Math.round(height * 0.7));
    let sum = 0;
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        const at = y * stride + x * channels;
        sum += channels === 1 ? (data[at] ?? 0) : ((data[at] ?? 0) * 77 + (data[at + 1] ?? 0) * 150 + (data[at + 2] ?? 0) * 29) / 256;
      }
    }
    means.push(sum / ((x1 - x0) * (y1 - y0)));
  }
  const mean = (...cells: number[]): number => cells.reduce((sum, i) => sum + (means[i] ?? 0), 0) / cells.length;
  const high = mean(0, 2, 23);
  const low = mean(1, 24);
  if (high - low < 60) return null;
  const bits = means.map((value) => (value > (high + low) / 2 ? 1 : 0));
  if (bits[0] !== 1 || bits[1] !== 0 || bits[2] !== 1 || bits[23] !== 1 || bits[24] !== 0) return null;
  const number = (from: number, to: number): number => bits.slice(from, to).reduce<number>((value, bit) => value * 2 + bit, 0);
  const n = number(3, 19);
  return ((n ^ (n >> 4) ^ (n >> 8) ^ (n >> 12)) & 15) === number(19, 23) ? n : null;
};
