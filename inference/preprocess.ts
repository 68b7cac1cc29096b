/** Per channel (R, G, B): what is taken off 0..1, and what the rest is divided by. */
export interface Normalisation {
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** Numbers 0..1, as detectors want them. */
export const PLAIN: Normalisation = { mean: [0, 0, 0], std: [1, 1, 1] };

/** What classifiers of the ImageNet kind were trained with. */
export const IMAGENET: Normalisation = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** uint8 RGB pixels as a model's float input: [height, width, 3] 0..255 → [3, height, width]. Writes into `target`, allocates nothing. */
export const toFloatPlanes = (pixels: Uint8Array, target: Float32Array, { mean, std }: Normalisation = PLAIN): void => {
  const plane = target.length / 3;
  const [r, g, b] = [SCALE / std[0], SCALE / std[1], SCALE / std[2]];
  const [r0, g0, b0] = [mean[0] / std[0], mean[1] / std[1], mean[2] / std[2]];
  for (let i = 0, at = 0; i < plane; i++, at += 3) {
    target[i] = (pixels[at] ?? 0) * r - r0;
    target[plane + i] = (pixels[at + 1] ?? 0) * g - g0;
    target[2 * plane + i] = (pixels[at + 2] ?? 0) * b - b0;
  }
};

/** What each of the 256 values of a channel (R, G, B) is as half float: bit patterns. */
export type HalfTables = readonly [Uint16Array, Uint16Array, Uint16Array];

export const halfTables = ({ mean, std }: Normalisation): HalfTables => {
  const table = (of: 0 | 1 | 2): Uint16Array => new Uint16Array(Float16Array.from({ length: 256 }, (_, value) => (value * SCALE - mean[of]) / std[of]).buffer);
  return [table(0), table(1), table(2)];
};

/** As `toFloatPlanes`, into half floats by their bit patterns: a picture has no more than 256 different ones a channel, so none is rounded anew. */
export const toHalfPlanes = (pixels: Uint8Array, target: Uint16Array, [red, green, blue]: HalfTables): void => {
  const plane = target.length / 3;
  for (let i = 0, at = 0; i < plane; i++, at += 3) {
    target[i] = red[pixels[at] ?? 0] ?? 0;
    target[plane + i] = green[pixels[at + 1] ?? 0] ?? 0;
    target[2 * plane + i] = blue[pixels[at + 2] ?? 0] ?? 0;
  }
};

const SCALE = 1 / 255;
