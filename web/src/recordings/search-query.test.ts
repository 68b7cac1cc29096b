import fc from 'fast-check';
import { expect, test } from 'vitest';
import { midnight } from './midnight.ts';
import { NO_FILTERS, addressOf, filtersOf, furtherFilters, rangeOf, requestOf } from './search-query.ts';
import type { SearchFilters } from './search-query.ts';

const line = fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => text.replaceAll(/\p{Cc}/gu, ' ').trim());
const instant = fc.integer({ min: 0, max: 4e12 }).map((ms) => new Date(ms).toISOString());
const id = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,20}$/);
const filters: fc.Arbitrary<SearchFilters> = fc
  .record({
    q: line, work_order_id: line, product_type: line, machine_number: line, inspection_result: line, class: line,
    production_date: fc.oneof(fc.constant(''), fc.constant('2026-11-24')),
    cameras: fc.uniqueArray(id, { maxLength: 5 }),
    when: fc.oneof(
      fc.constantFrom('' as const, 'today' as const, 'yesterday' as const, 'week' as const).map((time) => ({ time, from: '', to: '' })),
      fc.record({ time: fc.constant('custom' as const), from: fc.oneof(fc.constant(''), instant), to: fc.oneof(fc.constant(''), instant) }),
    ),
    minConfidence: fc.option(fc.integer({ min: 1, max: 100 }).map((percent) => percent / 100)),
    tags: fc.uniqueArray(line.map((tag) => tag.replaceAll(',', '').trim()).filter((tag) => tag !== ''), { maxLength: 5 }),
  })
  .map(({ when, ...rest }) => ({ ...rest, ...when }));

test('[REC-6] what is searched for stands in the address and is read back from it', () => {
  fc.assert(fc.property(filters, (each) => { expect(filtersOf(`?${addressOf(each)}`)).toEqual(each); }));
  expect(addressOf(NO_FILTERS)).toBe('');
});

test('[REC-6] any address is read: what makes no sense counts as not there, and what is read stays the same', () => {
  const names = ['q', 'camera', 'time', 'from', 'to', 'min_confidence', 'tags', 'class', 'production_date', 'work_order_id'];
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom(...names), fc.string())), fc.string(), (pairs, junk) => {
    for (const search of [`?${new URLSearchParams(pairs).toString()}`, junk]) {
      const read = filtersOf(search);
      expect(filtersOf(addressOf(read))).toEqual(read);
      expect(Object.values(read).every((value) => typeof value !== 'string' || value.length <= 200)).toBe(true);
    }
  }));
  expect(filtersOf('?time=never&min_confidence=7&camera=UP,../x&from=soon&production_date=Tuesday')).toEqual(NO_FILTERS);
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
  expect(request({ minConfidence: 0.8 })).toEqual({});
  expect(request({ class: 'dent', minConfidence: 0.8 })).toEqual({ class: 'dent', min_confidence: '0.8' });
  expect(request({ q: '!?' })).toEqual({});
});

test('filters that the page may hide are counted', () => {
  expect(furtherFilters({ ...NO_FILTERS, q: 'x', time: 'today', cameras: ['a'] })).toBe(0);
  expect(furtherFilters({ ...NO_FILTERS, work_order_id: 'WO-1', tags: ['a', 'b'] })).toBe(2);
});
