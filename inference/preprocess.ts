/** uint8 RGB pixels as a detector's float input: [height, width, 3] 0..255 → [3, height, width] 0..1. Writes into `target`, allocates nothing. */
export const toFloatPlanes = (pixels: Uint8Array, target: Float32Array): void => {
  const plane = target.length / 3;
  for (let i = 0, at = 0; i < plane; i++, at += 3) {
    target[i] = (pixels[at] ?? 0) * SCALE;
    target[plane + i] = (pixels[at + 1] ?? 0) * SCALE;
    target[2 * plane + i] = (pixels[at + 2] ?? 0) * SCALE;
  }
};

const SCALE = 1 / 255;
