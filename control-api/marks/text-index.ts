/** The words of marks in the database, in `mark_words`: FTS5 in SQLite, a `tsvector` in PostgreSQL. Its rows have the marks' `seq`. */
import { sql } from 'kysely';
import type { Kysely, RawBuilder, Transaction } from 'kysely';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { Dialect } from '../../platform/database/dialect.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { MarkContent } from './store.ts';
import { hasPhrase, phrasesOf, wordsOf } from './words.ts';
import type { Phrase } from './words.ts';

/** Parts of a query; the others are left out. */
const MAX_PARTS = 16;
/** Positions PostgreSQL can keep. */
const MAX_WORDS = 16_000;

/** What a mark must have, part by part: all phrases, or be of one of the cameras, whose names have them. */
export type TextQuery = readonly { readonly phrases: readonly Phrase[]; readonly cameras: readonly string[] }[];

/** Stands for a camera among the words; no text has it, as ¤ is neither letter nor digit. */
const cameraWord = (camera: string): string => `¤${Buffer.from(camera).toString('hex')}`;

/** Everything that is said of the mark. Between the texts stands a word of nothing, so that no phrase goes over their borders. */
const allWords = (mark: MarkContent): string[] => {
  const texts = [
    mark.title, mark.note, ...mark.tags, mark.product_id, mark.inspection_id, mark.work_order_id, mark.instruction_id, mark.product_type, mark.machine_number, mark.production_date, mark.inspection_result,
    mark.monthly_sequence === null ? null : String(mark.monthly_sequence), mark.camera_id,
  ];
  const words = texts.filter((text) => text !== null).flatMap((text) => [...wordsOf(text), '¤']);
  return [cameraWord(mark.camera_id), ...words].slice(0, MAX_WORDS);
};

/** In place of what was there. */
export const writeWords = async (tx: Transaction<Database>, seq: number, mark: MarkContent): Promise<void> => {
  await removeWords(tx, seq);
  const words = allWords(mark);
  if (dialectOf(tx).name === 'sqlite') await sql`insert into mark_words (rowid, words) values (${seq}, ${words.join(' ')})`.execute(tx);
  else await sql`insert into mark_words (seq, words) values (${seq}, ${words.map((word, i) => `${quoted(word)}:${String(i + 1)}`).join(' ')}::tsvector)`.execute(tx);
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

/** That a row of `mark_words w` has what the query asks for. */
export const wordsMatch = (dialect: Dialect, query: TextQuery): RawBuilder<boolean> =>
  dialect.name === 'sqlite'
    ? sql`w.words match ${query.map(({ phrases, cameras }) => either([phrases.map((phrase) => `"${phrase.join(' ')}" *`).join(' AND '), ...cameras.map((camera) => `"${cameraWord(camera)}"`)], 'OR')).join(' AND ')}`
    : sql`w.words @@ ${query.map(({ phrases, cameras }) => either([phrases.map(postgresPhrase).join(' & '), ...cameras.map((camera) => quoted(cameraWord(camera)))], '|')).join(' & ')}::tsquery`;

const either = (alternatives: readonly string[], or: string): string => `(${alternatives.map((alternative) => `(${alternative})`).join(` ${or} `)})`;
const postgresPhrase = (phrase: Phrase): string => phrase.map((word, i) => `${quoted(word)}${i === phrase.length - 1 ? ':*' : ''}`).join(' <-> ');
/** Words are letters and digits alone: nothing in them needs more than quotes. */
const quoted = (word: string): string => `'${word}'`;
