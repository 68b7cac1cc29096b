/** The filters of a search that stand in its panel, each in words, and what is searched for without it. Pure. */
import type { SearchFilters, TextFilter } from './search-query.ts';

/** What the fields are called. Those first that are asked for most. */
export const FILTER_WORDS = {
  work_order_id: 'Work order', product_type: 'Product type', machine_number: 'Machine', inspection_result: 'Inspection result', class: 'Detected class',
  product_id: 'Product id', inspection_id: 'Inspection id', instruction_id: 'Instruction', monthly_sequence: 'Monthly sequence',
} as const satisfies Partial<Record<keyof SearchFilters, string>>;

export interface Chip {
  readonly words: string;
  /** Its field is not among those that are asked for most. */
  readonly rare: boolean;
  readonly without: SearchFilters;
}

const COMMON: readonly TextFilter[] = ['work_order_id', 'product_type', 'machine_number', 'inspection_result', 'class'];
const IDS: readonly TextFilter[] = ['product_id', 'inspection_id', 'instruction_id'];

const daysOf = ({ production_date_from: first, production_date_to: last }: SearchFilters): string => {
  if (first === last) return `Produced on ${first}`;
  if (first === '') return `Produced until ${last}`;
  return last === '' ? `Produced from ${first}` : `Produced ${first} to ${last}`;
};

/** Those that are set. What is asked of a class is none while there is no class. */
export const chipsOf = (filters: SearchFilters): readonly Chip[] => {
  const chip = (words: string, rare: boolean, change: Partial<SearchFilters>): Chip => ({ words, rare, without: { ...filters, ...change } });
  const text = (rare: boolean) => (name: TextFilter): readonly Chip[] => (filters[name] === '' ? [] : [chip(`${FILTER_WORDS[name as keyof typeof FILTER_WORDS]}: ${filters[name]}`, rare, { [name]: '' })]);
  const { class: className, tags, monthly_sequence: sequence, minConfidence, min_count: count, min_at_once: atOnce, source } = filters;
  const ofClass = className === '' ? [] : [
    ...(minConfidence === null ? [] : [chip(`At least ${Math.round(minConfidence * 100)} % sure`, true, { minConfidence: null })]),
    ...(count === null ? [] : [chip(`At least ${count} ${count === 1 ? 'detection' : 'detections'}`, true, { min_count: null })]),
    ...(atOnce === null ? [] : [chip(`At least ${atOnce} at once`, true, { min_at_once: null })]),
    ...(source === '' ? [] : [chip(source === 'live' ? 'Seen live' : 'Found by analysis', true, { source: '' })]),
  ];
  return [
    ...COMMON.flatMap(text(false)), ...(tags.length === 0 ? [] : [chip(`Tags: ${tags.join(', ')}`, false, { tags: [] })]), ...IDS.flatMap(text(true)),
    ...(sequence === null ? [] : [chip(`${FILTER_WORDS.monthly_sequence}: ${sequence}`, true, { monthly_sequence: null })]),
    ...(filters.production_date_from === '' && filters.production_date_to === '' ? [] : [chip(daysOf(filters), true, { production_date_from: '', production_date_to: '' })]),
    ...ofClass,
  ];
};
