import { expect, test } from 'vitest';
import { isWithinHours } from './recording-hours.ts';

const at = (time: string): number => Date.parse(time);
const WORKDAYS = [1, 2, 3, 4, 5];

test('[REC-9] hours of the day, in their time zone', () => {
  const hours = { timezone: 'Asia/Tokyo', times: [{ days: WORKDAYS, from: 8 * 60, to: 17 * 60 + 30 }] };
  // 2026-11-27 is a Friday.
  expect(isWithinHours(hours, at('2026-11-26T22:59:59Z'))).toBe(false);
  expect(isWithinHours(hours, at('2026-11-26T23:00:00Z'))).toBe(true);
  expect(isWithinHours(hours, at('2026-11-27T08:29:59Z'))).toBe(true);
  expect(isWithinHours(hours, at('2026-11-27T08:30:00Z'))).toBe(false);
  expect(isWithinHours(hours, at('2026-11-28T03:00:00Z'))).toBe(false); // Saturday noon
});

test('[REC-9] a night shift ends on the next day, and belongs to the day on which it began', () => {
  const hours = { timezone: 'UTC', times: [{ days: [5], from: 22 * 60, to: 6 * 60 }] };
  expect(isWithinHours(hours, at('2026-11-27T21:59:00Z'))).toBe(false);
  expect(isWithinHours(hours, at('2026-11-27T22:00:00Z'))).toBe(true);
  expect(isWithinHours(hours, at('2026-11-28T05:59:00Z'))).toBe(true);
  expect(isWithinHours(hours, at('2026-11-28T06:00:00Z'))).toBe(false);
  expect(isWithinHours(hours, at('2026-11-28T22:30:00Z'))).toBe(false);
});

test('[REC-9] from and to alike are a whole day; no hours are always; a zone the machine does not know counts as UTC', () => {
  expect(isWithinHours({ timezone: 'UTC', times: [{ days: [6], from: 60, to: 60 }] }, at('2026-11-29T00:59:00Z'))).toBe(true);
  expect(isWithinHours(undefined, 0)).toBe(true);
  expect(isWithinHours({ timezone: 'Nowhere/None', times: [{ days: [0, 1, 2, 3, 4, 5, 6], from: 0, to: 60 }] }, at('2026-11-27T00:30:00Z'))).toBe(true);
});
