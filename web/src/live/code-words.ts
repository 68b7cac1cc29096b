/** The kinds of codes by the names they are known by; others by their own. */
const NAMES: Readonly<Record<string, string>> = {
  qr: 'QR', micro_qr: 'Micro QR', rmqr: 'rMQR', data_matrix: 'Data Matrix', aztec: 'Aztec', pdf417: 'PDF417', code_128: 'Code 128', code_39: 'Code 39', code_93: 'Code 93', codabar: 'Codabar',
  itf: 'ITF', ean_13: 'EAN-13', ean_8: 'EAN-8', upc_a: 'UPC-A', upc_e: 'UPC-E', data_bar: 'DataBar',
};

export const codeName = (format: string): string => NAMES[format] ?? format;

/** e.g. `QR, Code 128 and EAN-13`. */
export const codeNames = (formats: readonly string[]): string => {
  const names = formats.map(codeName);
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`;
};
