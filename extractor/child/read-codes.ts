import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { prepareZXingModule, readBarcodes } from 'zxing-wasm/reader';
import type { ReadResult } from 'zxing-wasm/reader';
import { MAX_CODE_BYTES } from '../../core/code-formats.ts';
import { MAX_CODES_IN_PICTURE } from '../protocol.ts';
import type { ReadCode } from '../protocol.ts';
import type { ToCodeThread } from './code-thread-protocol.ts';
import { formatOf, zxingName } from './zxing-formats.ts';

/** Kinds of contents that are text; others hold bytes, or text in a character set nobody knows. */
const TEXTS: readonly ReadResult['contentType'][] = ['Text', 'GS1', 'ISO15434'];

/** Loads the reader from its file: left alone, the library would fetch it from the internet. */
export const loadCodeReader = async (): Promise<void> => {
  const file = readFileSync(fileURLToPath(import.meta.resolve('zxing-wasm/reader/zxing_reader.wasm')));
  await prepareZXingModule({ overrides: { wasmBinary: new Uint8Array(file).buffer }, fireImmediately: true });
};

/** The codes in a picture; `loadCodeReader` comes first. Rejects when the library fails: then it is not to be used again. */
export const readCodes = async ({ picture, width, height, formats }: ToCodeThread): Promise<readonly ReadCode[]> => {
  // `Plain`: group separators of GS1 stay what they are. Codes may lie, hang and stand on their heads, white on black, too.
  const results = await readBarcodes(picture, { formats: formats.map(zxingName), textMode: 'Plain', maxNumberOfSymbols: MAX_CODES_IN_PICTURE, tryHarder: true, tryRotate: true, tryInvert: true, tryDownscale: true });
  const share = (pixels: number, side: number): number => Math.min(1, Math.max(0, pixels / side));
  return results.flatMap((result): readonly ReadCode[] => {
    const format = formatOf(result, formats);
    if (format === undefined || !result.isValid || result.bytes.length === 0 || result.bytes.length > MAX_CODE_BYTES) return [];
    const text = textOf(result);
    const corner = ({ x, y }: { readonly x: number; readonly y: number }) => [share(x, width), share(y, height)] as const;
    const { topLeft, topRight, bottomRight, bottomLeft } = result.position;
    return [{ format, text, bytes: text === null ? Buffer.from(result.bytes).toString('base64') : null, corners: [corner(topLeft), corner(topRight), corner(bottomRight), corner(bottomLeft)] }];
  });
};

const textOf = ({ contentType, text }: ReadResult): string | null =>
  TEXTS.includes(contentType) && text.length > 0 && text.isWellFormed() && !text.includes('\uFFFD') && Buffer.byteLength(text) <= MAX_CODE_BYTES ? text : null;
