import fc from 'fast-check';
import { expect, test } from 'vitest';
import { midnight } from './midnight.ts';
import { NO_FILTERS, addressOf, filtersOf, rangeOf, requestOf } from './search-query.ts';
import type { SearchFilters } from './search-query.ts';

const line = fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => text.replaceAll(/\p{Cc}/gu, ' ').trim());
const day = fc.oneof(fc.constant(''), fc.integer({ min: 0, max: 30_000 }).map((days) => new Date(days * 86_400_000).toISOString().slice(0, 10)));
const instant = fc.integer({ min: 0, max: 4e12 }).map((ms) => new Date(ms).toISOString());
const id = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,20}$/);
const filters: fc.Arbitrary<SearchFilters> = fc
  .record({
    q: line, work_order_id: line, product_type: line, machine_number: line, inspection_result: line.filter((text) => text.length <= 32), class: line, product_id: line, inspection_id: line, instruction_id: line,
    days: fc.oneof(fc.tuple(day, day), day.map((each) => [each, each] as const)),
    monthly_sequence: fc.option(fc.integer({ min: 0, max: 1_000_000_000 })), min_count: fc.option(fc.integer({ min: 1, max: 1_000_000_000 })), min_at_once: fc.option(fc.integer({ min: 1, max: 1_000_000 })),
    source: fc.constantFrom('' as const, 'live' as const, 'analysis' as const),
    cameras: fc.uniqueArray(id, { maxLength: 5 }),
    when: fc.oneof(
      fc.constantFrom('' as const, 'today' as const, 'yesterday' as const, 'week' as const).map((time) => ({ time, from: '', to: '' })),
      fc.record({ time: fc.constant('custom' as const), from: fc.oneof(fc.constant(''), instant), to: fc.oneof(fc.constant(''), instant) }),
    ),
    minConfidence: fc.option(fc.integer({ min: 1, max: 100 }).map((percent) => percent / 100)),
    tags: fc.uniqueArray(line.map((tag) => tag.replaceAll(',', '').trim()).filter((tag) => tag !== ''), { maxLength: 5 }),
  })
  .map(({ when, days: [production_date_from, production_date_to], ...rest }) => ({ ...rest, ...when, production_date_from, production_date_to }));

test('[REC-6] what is searched for stands in the address and is read back from it', () => {
  fc.assert(fc.property(filters, (each) => { expect(filtersOf(`?${addressOf(each)}`)).toEqual(each); }));
  expect(addressOf(NO_FILTERS)).toBe('');
});

test('[REC-6] any address is read: what makes no sense counts as not there, and what is read stays the same', () => {
  const names = ['q', 'camera', 'time', 'from', 'to', 'min_confidence', 'tags', 'class', 'production_date', 'production_date_from', 'production_date_to', 'work_order_id', 'inspection_result', 'product_id', 'monthly_sequence', 'min_count', 'min_at_once', 'source'];
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom(...names), fc.string())), fc.string(), (pairs, junk) => {
    for (const search of [`?${new URLSearchParams(pairs).toString()}`, junk]) {
      const read = filtersOf(search);
      expect(filtersOf(addressOf(read))).toEqual(read);
      expect(Object.values(read).every((value) => typeof value !== 'string' || value.length <= 200)).toBe(true);
    }
  }));
  expect(filtersOf('?time=never&min_confidence=7&camera=UP,../x&from=soon&production_date=Tuesday&production_date_from=2026-13-01&monthly_sequence=-1&min_count=0&min_at_once=1e3&source=dreams')).toEqual(NO_FILTERS);
  expect(filtersOf(`?product_id=${'P'.repeat(300)}&inspection_result=${'N'.repeat(31)}😀`)).toMatchObject({ product_id: 'P'.repeat(128), inspection_result: 'N'.repeat(31) });
  // One day is its first and its last.
  expect(filtersOf('?production_date=2026-11-24&production_date_to=2026-12-01')).toMatchObject({ production_date_from: '2026-11-24', production_date_to: '2026-11-24' });
});

test('[REC-6] today, yesterday and seven days are whole local days', () => {
  const now = new Date(2026, 10, 28, 15, 30).getTime();
  const local = (day: number): number => new Date(2026, 10, day).getTime();
  const at = (time: SearchFilters['time']) => rangeOf({ ...NO_FILTERS, time }, now);
  expect(at('today')).toEqual({ from: local(28), to: local(29) });
  expect(at('yesterday')).toEqual({ from: local(27), to: local(28) });
  expect(at('week')).toEqual({ from: local(22), to: local(29) });
  expect(at('')).toEqual({ from: undefined, to: undefined });
  expect(midnight(now, -30)).toBe(new Date(2026, 9, 29).getTime());
});

test('[REC-6] the request names only what the API takes', () => {
  const now = new Date(2026, 10, 28, 15, 30).getTime();
  const request = (change: Partial<SearchFilters>): Record<string, string> => Object.fromEntries(new URLSearchParams(requestOf({ ...NO_FILTERS, ...change }, now)));
  expect(request({})).toEqual({});
  expect(request({ q: 'scratch', time: 'today', cameras: ['a', 'b'] })).toEqual({ q: 'scratch', camera: 'a,b', from: new Date(2026, 10, 28).toISOString(), to: new Date(2026, 10, 29).toISOString() });
  expect(request({ minConfidence: 0.8, min_count: 3, min_at_once: 2, source: 'live' })).toEqual({});
  expect(request({ class: 'dent', min_count: 3, min_at_once: 2, source: 'analysis' })).toEqual({ class: 'dent', min_count: '3', min_at_once: '2', source: 'analysis' });
  expect(request({ product_id: 'P-1', inspection_id: 'I-2', instruction_id: 'N-3', monthly_sequence: 0, production_date_from: '2026-11-01', production_date_to: '2026-11-30' }))
    .toEqual({ product_id: 'P-1', inspection_id: 'I-2', instruction_id: 'N-3', monthly_sequence: '0', production_date_from: '2026-11-01', production_date_to: '2026-11-30' });
  expect(request({ production_date_from: '2026-11-24', production_date_to: '2026-11-24' })).toEqual({ production_date: '2026-11-24' });
  expect(request({ production_date_to: '2026-11-24' })).toEqual({ production_date_to: '2026-11-24' });
  expect(request({ class: 'dent', minConfidence: 0.8 })).toEqual({ class: 'dent', min_confidence: '0.8' });
  expect(request({ q: '!?' })).toEqual({});
});
