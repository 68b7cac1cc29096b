import { formatToSymbology } from 'zxing-wasm/reader';
import type { BarcodeFormat } from 'zxing-wasm/reader';
import type { CodeFormat } from '../../core/code-formats.ts';

/** The library's names; where a kind has variants (DataBar, PDF417, Aztec), of all of them. */
const NAMES = {
  qr: 'QRCodeModel2', micro_qr: 'MicroQRCode', rmqr: 'RMQRCode', data_matrix: 'DataMatrix', aztec: 'Aztec', pdf417: 'PDF417', code_128: 'Code128', code_39: 'Code39', code_93: 'Code93',
  codabar: 'Codabar', itf: 'ITF', ean_13: 'EAN13', ean_8: 'EAN8', upc_a: 'UPCA', upc_e: 'UPCE', data_bar: 'DataBar',
} as const satisfies Readonly<Record<CodeFormat, BarcodeFormat>>;

export const zxingName = (format: CodeFormat): (typeof NAMES)[CodeFormat] => NAMES[format];

/** Which of those that were looked for it is: the library may name a variant of it. */
export const formatOf = ({ format, symbology }: { readonly format: string; readonly symbology: string }, wanted: readonly CodeFormat[]): CodeFormat | undefined =>
  wanted.find((each) => NAMES[each] === format) ?? wanted.find((each) => NAMES[each] === symbology) ?? wanted.find((each) => formatToSymbology(NAMES[each]) === symbology);
