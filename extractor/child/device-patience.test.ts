import { expect, test } from 'vitest';
import { DevicePatience } from './device-patience.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

test('[EXT-8] a device that failed is tried again after a minute, doubled up to an hour, and after an hour of work from the start', () => {
  const patience = new DevicePatience();
  expect(patience.allows(0)).toBe(true);
  const pauses: number[] = [];
  let now = 0;
  for (let i = 0; i < 8; i++) {
    patience.failed(now);
    let pause = 0;
    while (!patience.allows(now + pause)) pause += MINUTE;
    pauses.push(pause / MINUTE);
    now += pause; // tried at once, and fails again
  }
  expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  now += HOUR;
  patience.failed(now);
  expect([patience.allows(now + MINUTE - 1), patience.allows(now + MINUTE)]).toEqual([false, true]);
  patience.forget();
  expect(patience.allows(now)).toBe(true);
});
