import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { RATES, SIDES, parseFrames, parseMjpeg, parseSnapshot, preferredFormat } from './picture-query.ts';

const query = (text: string): URLSearchParams => new URLSearchParams(text);

test('[EXT-9] nothing asked for is the camera\'s own size as JPEG', () => {
  expect(parseSnapshot(query(''), undefined)).toEqual({ format: 'jpeg', width: null, height: null, quality: 80, annotated: false });
  expect(parseMjpeg(query('token=x'))).toEqual({ spec: { format: 'jpeg', width: null, height: null, quality: 80, annotated: false }, fps: 15 });
});

test('[EXT-9] what is asked for is read', () => {
  expect(parseSnapshot(query('format=jpg&width=16&height=4096&quality=1&annotated=false'), 'image/png')).toEqual({ format: 'jpeg', width: 16, height: 4096, quality: 1, annotated: false });
  expect(parseMjpeg(query('fps=0.1&quality=100&annotated=0'))).toMatchObject({ spec: { quality: 100, annotated: false }, fps: 0.1 });
  for (const parse of [(text: string) => parseSnapshot(query(text), undefined), (text: string) => parseMjpeg(query(text)).spec, (text: string) => parseFrames(query(text)).spec]) {
    expect([parse('annotated=true'), parse('annotated=1')]).toMatchObject([{ annotated: true }, { annotated: true }]);
  }
});

test.each([
  [undefined, 'jpeg'], ['', 'jpeg'], ['*/*', 'jpeg'], ['image/*', 'jpeg'], ['image/webp', 'webp'], ['image/png;q=0.5, image/webp;q=0.4', 'png'], ['IMAGE/PNG', 'png'],
  ['image/jpeg;q=0, image/*', 'webp'], ['image/webp;q=0.9, */*;q=0.8', 'webp'], ['image/*;q=nonsense, image/png', 'png'], ['text/html, image/webp; level=1 ; q=0.2', 'webp'],
] as const)('Accept %s is %s', (accept, format) => {
  expect(preferredFormat(accept)).toBe(format);
});

test.each(['text/html', 'image/gif, image/avif', 'image/jpeg;q=0, image/png;q=0, image/webp;q=0.000', '*/*;q=0'])('Accept %s rules all out: 406', (accept) => {
  expect(() => preferredFormat(accept)).toThrow(expect.objectContaining({ code: 'NOT_ACCEPTABLE' }));
});

test('[EXT-9] whatever a query says, it is within the limits or refused, and never a crash', () => {
  const name = fc.constantFrom('width', 'height', 'quality', 'fps', 'format', 'annotated', 'token');
  const value = fc.oneof(fc.string(), fc.integer().map(String), fc.double().map(String), fc.constantFrom('jpeg', 'png', '__proto__', 'constructor', '1', 'true', '١٢٠', ' 20', '20 '));
  fc.assert(fc.property(fc.array(fc.tuple(name, value), { maxLength: 6 }), fc.option(fc.string(), { nil: undefined }), (pairs, accept) => {
    const asked = new URLSearchParams(pairs.map(([key, text]) => [key, text] as [string, string]));
    for (const parse of [() => parseSnapshot(asked, accept), () => { const { spec, fps } = parseMjpeg(asked); expect(fps).toBeGreaterThanOrEqual(RATES.least); expect(fps).toBeLessThanOrEqual(RATES.most); return spec; }]) {
      try {
        const { width, height, quality, format } = parse();
        for (const side of [width, height]) if (side !== null) expect(Number.isInteger(side) && side >= SIDES.least && side <= SIDES.most).toBe(true);
        expect(Number.isInteger(quality) && quality >= 1 && quality <= 100).toBe(true);
        expect(['jpeg', 'png', 'webp']).toContain(format);
      } catch (error) {
        expect(error).toBeInstanceOf(MediaError);
        expect(['INVALID_ARGUMENT', 'NOT_ACCEPTABLE']).toContain((error as MediaError).code);
      }
    }
  }), { numRuns: 500 });
});
