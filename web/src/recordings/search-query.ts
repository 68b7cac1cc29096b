/** What is searched for, as it stands in the page's address: it can be shared, and the back button undoes it. Pure. */
import { midnight } from './midnight.ts';

/** Times that mean another day tomorrow. */
export const QUICK_TIMES = ['today', 'yesterday', 'week'] as const;
export type Time = '' | (typeof QUICK_TIMES)[number] | 'custom';

/** Those that are one line of text, by their names in the API. */
const TEXT_FILTERS = ['q', 'work_order_id', 'product_type', 'machine_number', 'inspection_result', 'class', 'product_id', 'inspection_id', 'instruction_id'] as const;
export type TextFilter = (typeof TEXT_FILTERS)[number];
/** Days, `YYYY-MM-DD`: the first and the last one. */
const DAY_FILTERS = ['production_date_from', 'production_date_to'] as const;
export type DayFilter = (typeof DAY_FILTERS)[number];
/** Whole numbers, and the least and the most that makes sense of each. */
export const NUMBER_FILTERS = { monthly_sequence: [0, 1_000_000_000], min_count: [1, 1_000_000_000], min_at_once: [1, 1_000_000] } as const;
export type NumberFilter = keyof typeof NUMBER_FILTERS;
const NUMBER_NAMES = Object.keys(NUMBER_FILTERS) as NumberFilter[];
/** Who has seen a class. */
export const SOURCES = ['live', 'analysis'] as const;
export type Source = '' | (typeof SOURCES)[number];

/** Empty and null mean: whatever it is. */
export interface SearchFilters extends Readonly<Record<TextFilter | DayFilter, string>>, Readonly<Record<NumberFilter, number | null>> {
  readonly cameras: readonly string[];
  readonly time: Time;
  /** Of a custom time, RFC 3339; either may be missing. */
  readonly from: string;
  readonly to: string;
  /** 0 to 1. Of a class, as `min_count`, `min_at_once` and `source`. */
  readonly minConfidence: number | null;
  readonly source: Source;
  readonly tags: readonly string[];
}

export const NO_FILTERS: SearchFilters = {
  q: '', work_order_id: '', product_type: '', machine_number: '', inspection_result: '', class: '', product_id: '', inspection_id: '', instruction_id: '',
  production_date_from: '', production_date_to: '', monthly_sequence: null, min_count: null, min_at_once: null,
  cameras: [], time: '', from: '', to: '', minConfidence: null, source: '', tags: [],
};

/** Of what the API takes; of all others 128. */
const MAX_TEXT: Readonly<Partial<Record<TextFilter, number>>> = { q: 200, inspection_result: 32 };
const MAX_LIST = 16;
const CAMERA = /^[a-z0-9][a-z0-9-]{0,62}$/;
const DAY = /^[12]\d{3}-\d{2}-\d{2}$/;

/** Without the half of a character that is left where it is cut. */
const oneLine = (value: string | null, max = 128): string => (value ?? '').replaceAll(/\p{Cc}/gu, ' ').trim().slice(0, max).replaceAll(/\p{Cs}/gu, '').trim();
/** A day of these centuries; empty for anything else. */
export const dayOf = (value: string | null): string => (value !== null && DAY.test(value) && !Number.isNaN(Date.parse(value)) ? value : '');
/** A whole number between the least and the most of a filter; null for anything else. */
export const numberOf = (name: NumberFilter, value: string | null): number | null => {
  const [least, most] = NUMBER_FILTERS[name];
  const number = value === null || !/^\d+$/.test(value) ? NaN : Number(value);
  return number >= least && number <= most ? number : null;
};
const instant = (value: string | null): string => (value !== null && !Number.isNaN(Date.parse(value)) ? new Date(value).toISOString() : '');
/** Comma-separated, each once. */
export const listOf = (value: string | null): readonly string[] => [...new Set((value ?? '').split(',').map((each) => oneLine(each)).filter((each) => each !== ''))].slice(0, MAX_LIST);

/** What an address asks for; whatever makes no sense in it counts as not there. */
export const filtersOf = (search: string): SearchFilters => {
  const query = new URLSearchParams(search);
  const texts = Object.fromEntries(TEXT_FILTERS.map((name) => [name, oneLine(query.get(name), MAX_TEXT[name])])) as Record<TextFilter, string>;
  const numbers = Object.fromEntries(NUMBER_NAMES.map((name) => [name, numberOf(name, query.get(name))])) as Record<NumberFilter, number | null>;
  const day = dayOf(query.get('production_date'));
  const [from, to] = [instant(query.get('from')), instant(query.get('to'))];
  const quick = QUICK_TIMES.find((each) => each === query.get('time'));
  const confidence = Number(query.get('min_confidence') ?? NaN);
  return {
    ...texts, ...numbers,
    production_date_from: day === '' ? dayOf(query.get('production_date_from')) : day,
    production_date_to: day === '' ? dayOf(query.get('production_date_to')) : day,
    cameras: listOf(query.get('camera')).filter((each) => CAMERA.test(each)),
    time: quick ?? (from !== '' || to !== '' || query.get('time') === 'custom' ? 'custom' : ''),
    from: quick === undefined ? from : '', to: quick === undefined ? to : '',
    minConfidence: confidence > 0 && confidence <= 1 ? confidence : null,
    source: SOURCES.find((each) => each === query.get('source')) ?? '',
    tags: listOf(query.get('tags')),
  };
};

/** Without `?`; empty when nothing is asked for. `filtersOf` reads it. */
export const addressOf = (filters: SearchFilters): string => {
  const query = new URLSearchParams();
  for (const name of TEXT_FILTERS) if (filters[name] !== '') query.set(name, filters[name]);
  const [first, last] = [filters.production_date_from, filters.production_date_to];
  if (first !== '' && first === last) query.set('production_date', first);
  else for (const name of DAY_FILTERS) if (filters[name] !== '') query.set(name, filters[name]);
  for (const name of NUMBER_NAMES) if (filters[name] !== null) query.set(name, String(filters[name]));
  if (filters.cameras.length > 0) query.set('camera', filters.cameras.join(','));
  if (filters.time !== '') query.set('time', filters.time);
  if (filters.time === 'custom') {
    if (filters.from !== '') query.set('from', filters.from);
    if (filters.to !== '') query.set('to', filters.to);
  }
  if (filters.minConfidence !== null) query.set('min_confidence', String(filters.minConfidence));
  if (filters.source !== '') query.set('source', filters.source);
  if (filters.tags.length > 0) query.set('tags', filters.tags.join(','));
  return query.toString();
};

/** The range of time meant at `now`, Unix ms; undefined where it is open. */
export const rangeOf = (filters: SearchFilters, now: number): { readonly from: number | undefined; readonly to: number | undefined } => {
  switch (filters.time) {
    case 'today': return { from: midnight(now), to: midnight(now, 1) };
    case 'yesterday': return { from: midnight(now, -1), to: midnight(now) };
    case 'week': return { from: midnight(now, -6), to: midnight(now, 1) };
    case 'custom': return { from: filters.from === '' ? undefined : Date.parse(filters.from), to: filters.to === '' ? undefined : Date.parse(filters.to) };
    case '': return { from: undefined, to: undefined };
  }
};

/** What is asked of a class says nothing without one. */
const OF_NO_CLASS = { minConfidence: null, min_count: null, min_at_once: null, source: '' } as const;

/** The query of `GET /v1/recordings` that answers it at `now`. */
export const requestOf = (filters: SearchFilters, now: number): string => {
  const query = new URLSearchParams(addressOf({ ...filters, time: '', ...(filters.class === '' ? OF_NO_CLASS : {}) }));
  const { from, to } = rangeOf(filters, now);
  if (from !== undefined) query.set('from', new Date(from).toISOString());
  if (to !== undefined) query.set('to', new Date(to).toISOString());
  if (!/[\p{L}\p{N}\p{M}]/u.test(filters.q)) query.delete('q'); // there is no word in it yet
  return query.toString();
};
