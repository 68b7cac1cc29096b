/**
 * Words of free text, taken apart here, so that every database finds the same: letters and digits in lower case and compatibility form.
 * Scripts that write without spaces (Chinese, Japanese, Thai …) give every pair of neighbours, so that any part of a text is found.
 */

/** Longer words are cut, in texts and in queries alike. */
const MAX_WORD = 64;
const WORDS = /[\p{L}\p{N}\p{M}]+/gu;
const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}\u30fc]+/gu;

/** Words of a text that stand beside each other, as a query looks for them: the last one may be the beginning of a longer word if `mayGoOn`. */
export type Phrase = readonly string[];

/** A letter or digit alone is meant so: `cell 3` is not `cell 37`. A Japanese character alone begins a pair. */
export const mayGoOn = (phrase: Phrase): boolean => phrase.length > 1 || !/^[a-z0-9]$/.test(phrase[0] ?? '');

interface Run {
  readonly text: string;
  readonly unspaced: boolean;
}

const runsOf = (text: string): Run[] => {
  const runs: Run[] = [];
  for (const [word] of text.normalize('NFKC').toLowerCase().matchAll(WORDS)) {
    let end = 0;
    for (const match of word.matchAll(UNSPACED)) {
      if (match.index > end) runs.push({ text: word.slice(end, match.index), unspaced: false });
      runs.push({ text: match[0], unspaced: true });
      end = match.index + match[0].length;
    }
    if (end < word.length) runs.push({ text: word.slice(end), unspaced: false });
  }
  return runs;
};

const cut = (word: string): string => Array.from(word).slice(0, MAX_WORD).join('');
const pairs = (text: string): string[] => {
  const characters = Array.from(text);
  return characters.slice(1).map((character, i) => `${characters[i] ?? ''}${character}`);
};

/** The words to keep of a text, in order. */
export const wordsOf = (text: string): string[] =>
  // The last character stands alone, too: it begins no pair.
  runsOf(text).flatMap((run) => (run.unspaced ? [...pairs(run.text), Array.from(run.text).at(-1) ?? ''] : [cut(run.text)]));

/** What a text must have to be found by one part of a query, without spaces in it: all of these. `WO-12` is one phrase of two words. */
export const phrasesOf = (part: string): Phrase[] => {
  const phrases: string[][] = [];
  let spaced: string[] | undefined;
  for (const run of runsOf(part)) {
    if (run.unspaced) {
      phrases.push(Array.from(run.text).length === 1 ? [run.text] : pairs(run.text));
      spaced = undefined;
    } else if (spaced === undefined) phrases.push((spaced = [cut(run.text)]));
    else spaced.push(cut(run.text));
  }
  return phrases;
};

/** Whether these words, of `wordsOf`, have the phrase. */
export const hasPhrase = (words: readonly string[], phrase: Phrase): boolean =>
  words.some((_, at) => phrase.every((word, i) => (i === phrase.length - 1 && mayGoOn(phrase) ? words[at + i]?.startsWith(word) === true : words[at + i] === word)));
