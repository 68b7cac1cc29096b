import { expect, test } from 'vitest';
import { CODE_FORMATS } from '../../../core/code-formats.ts';
import { codeName, codeNames } from './code-words.ts';

test('[PRO-2] codes have the names they are known by, one of a later version its own', () => {
  expect(codeNames(['qr'])).toBe('QR');
  expect(codeNames(['qr', 'code_128', 'ean_13'])).toBe('QR, Code 128 and EAN-13');
  expect(codeName('swiss_cross')).toBe('swiss_cross');
  for (const format of CODE_FORMATS) expect(codeName(format)).not.toMatch(/_|^[a-z]+$/);
});
