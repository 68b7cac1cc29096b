/** What is searched for, as it stands in the page's address: it can be shared, and the back button undoes it. Pure. */
import { midnight } from './midnight.ts';

/** Times that mean another day tomorrow. */
export const QUICK_TIMES = ['today', 'yesterday', 'week'] as const;
export type Time = '' | (typeof QUICK_TIMES)[number] | 'custom';

/** Those that are one line of text, by their names in the API. */
export const TEXT_FILTERS = ['q', 'work_order_id', 'product_type', 'machine_number', 'production_date', 'inspection_result', 'class'] as const;
export type TextFilter = (typeof TEXT_FILTERS)[number];

/** Empty means: whatever it is. */
export interface SearchFilters extends Readonly<Record<TextFilter, string>> {
  readonly cameras: readonly string[];
  readonly time: Time;
  /** Of a custom time, RFC 3339; either may be missing. */
  readonly from: string;
  readonly to: string;
  /** 0 to 1. */
  readonly minConfidence: number | null;
  readonly tags: readonly string[];
}

export const NO_FILTERS: SearchFilters = {
  q: '', work_order_id: '', product_type: '', machine_number: '', production_date: '', inspection_result: '', class: '',
  cameras: [], time: '', from: '', to: '', minConfidence: null, tags: [],
};

const MAX_TEXT = 200;
const MAX_LIST = 16;
const CAMERA = /^[a-z0-9][a-z0-9-]{0,62}$/;
const DAY = /^\d{4}-\d{2}-\d{2}$/;

const oneLine = (value: string | null): string => (value ?? '').replaceAll(/\p{Cc}/gu, ' ').trim().slice(0, MAX_TEXT).trim();
const instant = (value: string | null): string => (value !== null && !Number.isNaN(Date.parse(value)) ? new Date(value).toISOString() : '');
/** Comma-separated, each once. */
export const listOf = (value: string | null): readonly string[] => [...new Set((value ?? '').split(',').map(oneLine).filter((each) => each !== ''))].slice(0, MAX_LIST);

/** What an address asks for; whatever makes no sense in it counts as not there. */
export const filtersOf = (search: string): SearchFilters => {
  const query = new URLSearchParams(search);
  const texts = Object.fromEntries(TEXT_FILTERS.map((name) => [name, oneLine(query.get(name))])) as Record<TextFilter, string>;
  const [from, to] = [instant(query.get('from')), instant(query.get('to'))];
  const quick = QUICK_TIMES.find((each) => each === query.get('time'));
  const confidence = Number(query.get('min_confidence') ?? NaN);
  return {
    ...texts,
    production_date: DAY.test(texts.production_date) ? texts.production_date : '',
    cameras: listOf(query.get('camera')).filter((each) => CAMERA.test(each)),
    time: quick ?? (from !== '' || to !== '' || query.get('time') === 'custom' ? 'custom' : ''),
    from: quick === undefined ? from : '', to: quick === undefined ? to : '',
    minConfidence: confidence > 0 && confidence <= 1 ? confidence : null,
    tags: listOf(query.get('tags')),
  };
};

/** Without `?`; empty when nothing is asked for. `filtersOf` reads it. */
export const addressOf = (filters: SearchFilters): string => {
  const query = new URLSearchParams();
  for (const name of TEXT_FILTERS) if (filters[name] !== '') query.set(name, filters[name]);
  if (filters.cameras.length > 0) query.set('camera', filters.cameras.join(','));
  if (filters.time !== '') query.set('time', filters.time);
  if (filters.time === 'custom') {
    if (filters.from !== '') query.set('from', filters.from);
    if (filters.to !== '') query.set('to', filters.to);
  }
  if (filters.minConfidence !== null) query.set('min_confidence', String(filters.minConfidence));
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

/** The query of `GET /v1/recordings` that answers it at `now`. */
export const requestOf = (filters: SearchFilters, now: number): string => {
  const query = new URLSearchParams(addressOf({ ...filters, time: '' }));
  const { from, to } = rangeOf(filters, now);
  if (from !== undefined) query.set('from', new Date(from).toISOString());
  if (to !== undefined) query.set('to', new Date(to).toISOString());
  if (filters.class === '') query.delete('min_confidence'); // says something of a class only
  if (!/[\p{L}\p{N}\p{M}]/u.test(filters.q)) query.delete('q'); // there is no word in it yet
  return query.toString();
};

/** How many filters other than text, camera and time are set: those the page may hide. */
export const furtherFilters = (filters: SearchFilters): number =>
  TEXT_FILTERS.filter((name) => name !== 'q' && filters[name] !== '').length + (filters.tags.length > 0 ? 1 : 0);
