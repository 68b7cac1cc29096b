/** The words of marks in the database, in `mark_words`: FTS5 in SQLite, a `tsvector` in PostgreSQL. Its rows have the marks' `seq`. */
import { sql } from 'kysely';
import type { Kysely, RawBuilder, Transaction } from 'kysely';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { Dialect } from '../../platform/database/dialect.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { MarkContent } from './store.ts';
import { hasPhrase, mayGoOn, phrasesOf, wordsOf } from './words.ts';
import type { Phrase } from './words.ts';

/** Parts of a query; the others are left out. */
const MAX_PARTS = 16;
/** Positions PostgreSQL can keep. */
const MAX_WORDS = 16_000;

/** What a mark must have, part by part: all phrases, or be of one of the cameras, whose names have them. */
export type TextQuery = readonly { readonly phrases: readonly Phrase[]; readonly cameras: readonly string[] }[];

/** Whole values stand among the words, too: no text has such a word, as ¤ is neither letter nor digit. */
const factWord = (name: FactName, value: string): string => `¤${FACT_LETTERS[name]}${Buffer.from(value).toString('hex')}`;
const FACT_LETTERS = { camera: 'c', tag: 't', production_date: 'd', machine_number: 'm', product_type: 'p', inspection_result: 'r' } as const;
/** What many marks have in common; several of them together are found by words faster than by an index of one. */
type FactName = keyof typeof FACT_LETTERS;

/** A value that is exactly so: one of these. */
export interface Fact {
  readonly name: FactName;
  readonly anyOf: readonly string[];
}

/** Everything that is said of the mark. Between the texts stands a word of nothing, so that no phrase goes over their borders. */
const allWords = (mark: MarkContent): string[] => {
  const texts = [
    mark.title, mark.note, ...mark.tags, mark.product_id, mark.inspection_id, mark.work_order_id, mark.instruction_id, mark.product_type, mark.machine_number, mark.production_date, mark.inspection_result,
    mark.monthly_sequence === null ? null : String(mark.monthly_sequence), mark.camera_id,
  ];
  const words = texts.filter((text) => text !== null).flatMap((text) => [...wordsOf(text), '¤']);
  return [...factsOf(mark), ...words].slice(0, MAX_WORDS);
};

const factsOf = (mark: MarkContent): string[] => {
  const { production_date, machine_number, product_type, inspection_result } = mark;
  const fields = Object.entries({ production_date, machine_number, product_type, inspection_result }) as [FactName, string | null][];
  return [factWord('camera', mark.camera_id), ...mark.tags.map((tag) => factWord('tag', tag)), ...fields.flatMap(([name, value]) => (value === null ? [] : [factWord(name, value)]))];
};

/** The words of a mark, as `mark_words` takes them; in PostgreSQL a text to be cast to `tsvector`. */
export const markDocument = (dialect: Dialect, mark: MarkContent): string => {
  const words = allWords(mark);
  return dialect.name === 'sqlite' ? words.join(' ') : words.map((word, i) => `${quoted(word)}:${String(i + 1)}`).join(' ');
};

/** In place of what was there. */
export const writeWords = async (tx: Transaction<Database>, seq: number, mark: MarkContent): Promise<void> => {
  await removeWords(tx, seq);
  const dialect = dialectOf(tx);
  const document = markDocument(dialect, mark);
  if (dialect.name === 'sqlite') await sql`insert into mark_words (rowid, words) values (${seq}, ${document})`.execute(tx);
  else await sql`insert into mark_words (seq, words) values (${seq}, ${document}::tsvector)`.execute(tx);
};

export const removeWords = async (tx: Transaction<Database>, seq: number): Promise<void> => {
  await sql`delete from mark_words where ${rowOf(dialectOf(tx))} = ${seq}`.execute(tx);
};

/** The query of a text; undefined when there is no word in it. Camera names are looked up now: a mark need not know them. */
export const textQuery = async (db: Kysely<Database>, text: string): Promise<TextQuery | undefined> => {
  const parts = text.split(/\s+/u).slice(0, MAX_PARTS).map(phrasesOf).filter((phrases) => phrases.length > 0);
  if (parts.length === 0) return undefined;
  const names = (await db.selectFrom('cameras').select(['id', 'name']).execute()).map(({ id, name }) => ({ id, words: wordsOf(name) }));
  return parts.map((phrases) => ({ phrases, cameras: names.filter(({ words }) => phrases.every((phrase) => hasPhrase(words, phrase))).map(({ id }) => id) }));
};

/** `seq` of a row of `mark_words w`. */
export const seqOfWords = (dialect: Dialect): RawBuilder<number> => sql`w.${rowOf(dialect)}`;
const rowOf = (dialect: Dialect): RawBuilder<number> => (dialect.name === 'sqlite' ? sql`rowid` : sql`seq`);

/** That a row of `mark_words w` has what the query asks for, and all of the facts. There must be one of either. */
export const wordsMatch = (dialect: Dialect, query: TextQuery, facts: readonly Fact[]): RawBuilder<boolean> => {
  const { and, or, phrase, whole } = WORDS_OF[dialect.name];
  const oneOf = (alternatives: readonly string[]): string => `(${alternatives.join(or)})`;
  const all = [
    ...facts.map(({ name, anyOf }) => oneOf((anyOf.length === 0 ? [''] : anyOf).map((value) => whole(factWord(name, value))))),
    ...query.map(({ phrases, cameras }) => oneOf([`(${phrases.map(phrase).join(and)})`, ...cameras.map((camera) => whole(factWord('camera', camera)))])),
  ].join(and);
  return dialect.name === 'sqlite' ? sql`w.words match ${all}` : sql`w.words @@ ${all}::tsquery`;
};

/** Words are letters and digits alone: nothing in them needs more than quotes. */
const quoted = (word: string): string => `'${word}'`;
const WORDS_OF = {
  sqlite: { and: ' AND ', or: ' OR ', phrase: (phrase: Phrase) => `"${phrase.join(' ')}"${mayGoOn(phrase) ? ' *' : ''}`, whole: (word: string) => `"${word}"` },
  postgres: { and: ' & ', or: ' | ', phrase: (phrase: Phrase) => phrase.map((word, i) => `${quoted(word)}${i === phrase.length - 1 && mayGoOn(phrase) ? ':*' : ''}`).join(' <-> '), whole: quoted },
} as const;
