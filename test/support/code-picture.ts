/** Pictures that show printed codes. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { LINEAR_BARCODE_FORMATS, prepareZXingModule, writeBarcode } from 'zxing-wasm/writer';
import type { CreatableBarcodeFormat } from 'zxing-wasm/writer';
import { seededRandom } from './random.ts';

prepareZXingModule({ overrides: { wasmBinary: new Uint8Array(readFileSync(fileURLToPath(import.meta.resolve('zxing-wasm/writer/zxing_writer.wasm')))).buffer } });

export interface GreyPixels {
  readonly width: number;
  readonly height: number;
  /** Row by row, a byte each. */
  readonly pixels: Uint8Array<ArrayBuffer>;
}

export interface PlacedCode {
  readonly content: string | Uint8Array;
  readonly format: CreatableBarcodeFormat;
  /** Pixels of its longer side, without the quiet zone. */
  readonly side: number;
  /** Its middle, pixels. */
  readonly x: number;
  readonly y: number;
  /** Degrees, clockwise. */
  readonly angle?: number;
  /** White on black. */
  readonly inverted?: boolean;
}

/** Modules of paper around a code of bars, and around others. */
const QUIET = { bars: 10, squares: 4 } as const;
/** Each pixel is the mean of so many samples by so many: what a camera sees has no sharp edges. */
const SAMPLES = 3;
const [INK, PAPER, WALL] = [40, 215, 120] as const;

/** A grey wall with codes on it; `noise`: how much each pixel may differ, 0 to 255. */
export const codePicture = async (width: number, height: number, codes: readonly PlacedCode[], noise = 0, seed = 1): Promise<GreyPixels> => {
  const pixels = new Uint8Array(width * height).fill(WALL);
  for (const { content, format, side, x, y, angle = 0, inverted = false } of codes) {
    const { symbol, error } = await writeBarcode(content, { format, addQuietZones: false });
    if (error !== '') throw new Error(`no ${format} of this: ${error}`);
    const perModule = side / Math.max(symbol.width, symbol.height);
    const [codeWidth, codeHeight] = [symbol.width * perModule, symbol.height * perModule];
    const quiet = QUIET[(LINEAR_BARCODE_FORMATS as readonly string[]).includes(format) ? 'bars' : 'squares'] * perModule;
    const [sin, cos] = [Math.sin((angle * Math.PI) / 180), Math.cos((angle * Math.PI) / 180)];
    /** Of a point relative to the code's middle; undefined: beside its paper. */
    const shade = (dx: number, dy: number): number | undefined => {
      const [u, v] = [dx * cos + dy * sin + codeWidth / 2, dy * cos - dx * sin + codeHeight / 2];
      if (u < -quiet || v < -quiet || u >= codeWidth + quiet || v >= codeHeight + quiet) return undefined;
      if (u < 0 || v < 0 || u >= codeWidth || v >= codeHeight) return inverted ? INK : PAPER;
      const [column, row] = [Math.floor((u * symbol.width) / codeWidth), Math.floor((v * symbol.height) / codeHeight)];
      return ((symbol.data[row * symbol.width + column] ?? 255) < 128) !== inverted ? INK : PAPER;
    };
    const reach = Math.ceil(Math.hypot(codeWidth, codeHeight) / 2 + 2 * quiet);
    for (let py = Math.max(0, Math.floor(y) - reach); py < Math.min(height, y + reach); py++) {
      for (let px = Math.max(0, Math.floor(x) - reach); px < Math.min(width, x + reach); px++) {
        let sum = 0;
        for (let i = 0; i < SAMPLES * SAMPLES; i++) sum += shade(px + ((i % SAMPLES) + 0.5) / SAMPLES - x, py + (Math.floor(i / SAMPLES) + 0.5) / SAMPLES - y) ?? WALL;
        if (sum !== SAMPLES * SAMPLES * WALL) pixels[py * width + px] = sum / (SAMPLES * SAMPLES);
      }
    }
  }
  if (noise > 0) {
    const random = seededRandom(seed);
    for (let i = 0; i < pixels.length; i++) pixels[i] = Math.min(255, Math.max(0, (pixels[i] ?? 0) + (2 * random() - 1) * noise));
  }
  return { width, height, pixels };
};

/** As a file: a binary PGM of 8 bits. */
export const pgmOf = ({ width, height, pixels }: GreyPixels): Uint8Array<ArrayBuffer> => {
  const head = new TextEncoder().encode(`P5\n${String(width)} ${String(height)}\n255\n`);
  const file = new Uint8Array(head.length + pixels.length);
  file.set(head);
  file.set(pixels, head.length);
  return file;
};
