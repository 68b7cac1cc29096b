/** Kinds of printed codes that can be looked for in pictures, by the names settings, events and metrics have for them. */
export const CODE_FORMATS = [
  'qr', 'micro_qr', 'rmqr', 'data_matrix', 'aztec', 'pdf417', 'code_128', 'code_39', 'code_93', 'codabar', 'itf', 'ean_13', 'ean_8', 'upc_a', 'upc_e', 'data_bar',
] as const;
export type CodeFormat = (typeof CODE_FORMATS)[number];

export const isCodeFormat = (name: string): name is CodeFormat => (CODE_FORMATS as readonly string[]).includes(name);

/** The text of a code has at most so many bytes of UTF-8: a QR code holds 2,953 bytes, 7,089 digits. */
export const MAX_CODE_BYTES = 7_089;
