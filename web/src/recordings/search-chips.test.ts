import { expect, test } from 'vitest';
import { chipsOf } from './search-chips.ts';
import { NO_FILTERS } from './search-query.ts';
import type { SearchFilters } from './search-query.ts';

const all: SearchFilters = {
  ...NO_FILTERS, work_order_id: 'WO-1', class: 'scratch', tags: ['rework', 'belt 2'], product_id: 'P-9', instruction_id: 'N-3', inspection_id: 'I-4', monthly_sequence: 0,
  production_date_from: '2026-11-01', production_date_to: '2026-11-30', minConfidence: 0.8, min_count: 5, min_at_once: 2, source: 'analysis',
};

test('[REC-6] every filter of the panel that is set is told in words, the common ones first, and can be taken away alone', () => {
  const chips = chipsOf(all);
  expect(chips.map(({ words, rare }) => (rare ? `(${words})` : words))).toEqual([
    'Work order: WO-1', 'Detected class: scratch', 'Tags: rework, belt 2', '(Product id: P-9)', '(Inspection id: I-4)', '(Instruction: N-3)', '(Monthly sequence: 0)', '(Produced 2026-11-01 to 2026-11-30)',
    '(At least 80 % sure)', '(At least 5 detections)', '(At least 2 at once)', '(Found by analysis)',
  ]);
  for (const { words, without } of chips.filter((each) => !each.words.startsWith('Detected class'))) expect(chipsOf(without).map((each) => each.words), words).toEqual(chips.map((each) => each.words).filter((each) => each !== words));
  expect(chips.reduce<SearchFilters>((left) => chipsOf(left)[0]?.without ?? left, all)).toEqual({ ...NO_FILTERS, minConfidence: 0.8, min_count: 5, min_at_once: 2, source: 'analysis' });
});

test('[REC-6] what is no filter of the panel, or says nothing without a class, is not among them', () => {
  expect(chipsOf({ ...NO_FILTERS, q: 'x', time: 'today', cameras: ['a'], minConfidence: 0.5, min_count: 2, min_at_once: 2, source: 'live' })).toEqual([]);
  const made = (from: string, to: string) => chipsOf({ ...NO_FILTERS, production_date_from: from, production_date_to: to }).map(({ words }) => words);
  expect([made('2026-11-01', ''), made('', '2026-11-02'), made('2026-11-03', '2026-11-03')]).toEqual([['Produced from 2026-11-01'], ['Produced until 2026-11-02'], ['Produced on 2026-11-03']]);
});
