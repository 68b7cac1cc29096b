import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hasPhrase, phrasesOf, wordsOf } from './words.ts';

const finds = (query: string, text: string): boolean => phrasesOf(query).every((phrase) => hasPhrase(wordsOf(text), phrase));

describe('words of free text', () => {
  test.each([
    ['Scratch', 'a SCRATCH near the seal', true], ['scrat', 'a scratch', true], ['cratch', 'a scratch', false], ['WO-12', 'order WO-1234', true], ['wo-1234', 'WO 1234', true], ['1234-WO', 'WO-1234', false],
    ['WO-34', 'WO-1234', false], ['größe', 'Größe 4', true], ['ＡＢＣ', 'abc', true], ['外観検査', '製品の外観検査結果', true], ['検査', '外観検査', true], ['査', '外観検査', true], ['検外', '外観検査', false],
    ['型式A12', '型式A12-3', true], ['ｶﾒﾗ', 'カメラ', true], ['№5', 'no5', true], ['x', '', false], ['3', 'cell 37', false], ['3', 'cell 3', true], ['cell-3', 'cell-37', true], ['37', 'cell 371', true],
  ])('%s in %s: %s', (query, text, expected) => {
    expect(finds(query, text)).toBe(expected);
  });

  test('every beginning of every word of a text finds the text', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
      for (const word of text.normalize('NFKC').toLowerCase().match(/(?<![\p{L}\p{N}\p{M}])[a-z0-9]+|\p{sc=Han}+/gu) ?? []) {
        // One letter alone is a whole word.
        if (!/^[a-z0-9]$/.test(word)) expect(finds(word, text), word).toBe(true);
      }
    }));
  });

  test('whatever stands in a text, words are letters and digits in bounded length', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 200 }).map((units) => String.fromCharCode(...units)), (text) => {
      const words = [...wordsOf(text), ...phrasesOf(text).flat()];
      expect(words.filter((word) => !/^[\p{L}\p{N}\p{M}]+$/u.test(word) || Array.from(word).length > 64)).toEqual([]);
    }));
  });
});
