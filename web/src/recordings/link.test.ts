import fc from 'fast-check';
import { expect, test } from 'vitest';
import { linkOf, pathTo } from './link.ts';

test('[REC-7] a link to a range or a moment is read back as that', () => {
  const instant = fc.integer({ min: 0, max: 4e12 });
  fc.assert(fc.property(instant, fc.integer({ min: 1, max: 1e9 }), (from, length) => {
    for (const link of [{ from, to: from + length }, { at: from }]) expect(linkOf(new URL(pathTo('line-1', link), 'http://x').search)).toEqual(link);
  }));
  expect(pathTo('line-1', null)).toBe('/cameras/line-1/recordings');
});

test('[REC-7] an address that points at nothing is a page without a range', () => {
  expect(linkOf('')).toBeNull();
  expect(linkOf('?from=2026-11-28T10:00:00Z')).toBeNull();
  expect(linkOf('?from=2026-11-28T10:00:00Z&to=2026-11-28T10:00:00Z')).toBeNull();
  expect(linkOf('?from=2026-11-28T10:00:00Z&to=2026-11-28T09:00:00Z&at=2026-11-28T09:30:00Z')).toEqual({ at: Date.parse('2026-11-28T09:30:00Z') });
  fc.assert(fc.property(fc.string(), (junk) => { for (const search of [junk, `?from=${junk}&to=${junk}`, `?at=${junk}`]) linkOf(search); }));
});
