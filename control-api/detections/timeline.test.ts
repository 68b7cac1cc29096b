import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Timeline } from './timeline.ts';
import type { Buckets, Seen } from './timeline.ts';

const seen = (first: number, last: number, count: number, atOnce: number, more: Partial<Seen> = {}): Seen => ({ class_name: 'scratch', analysed_by: '', first_ms: first, last_ms: last, count, at_once: atOnce, max_confidence: 0.5, ...more });
const sorted = (buckets: Buckets, ...all: readonly Seen[]) => {
  const timeline = new Timeline(buckets);
  for (const each of all) timeline.add(each);
  return timeline.lanes(64);
};
const MINUTE = { from: 60_000, to: 120_000, count: 6 };

test('[REC-6] pictures count where they were taken: the first moment is in the first bucket, the last one in the last, the end beyond it', () => {
  expect(sorted(MINUTE, seen(59_999, 59_999, 9, 9), seen(60_000, 60_000, 1, 1), seen(69_999.5, 69_999.5, 2, 2), seen(70_000, 70_000, 3, 3), seen(119_999.999, 119_999.999, 4, 4), seen(120_000, 120_000, 9, 9)).lanes)
    .toEqual([{ className: 'scratch', model: null, count: 10, maxConfidence: 0.5, counts: [3, 3, 0, 0, 0, 4], atOnce: [2, 3, 0, 0, 0, 4] }]);
});

test('[REC-6] a sighting is seen in every bucket it reaches, its detections are spread evenly, and what of it is outside is not counted', () => {
  expect(sorted(MINUTE, seen(65_000, 85_000, 40, 2)).lanes[0]).toMatchObject({ count: 40, counts: [10, 20, 10, 0, 0, 0], atOnce: [2, 2, 2, 0, 0, 0] });
  expect(sorted(MINUTE, seen(0, 70_000, 70, 3)).lanes[0]).toMatchObject({ count: 10, counts: [10, 0, 0, 0, 0, 0], atOnce: [3, 3, 0, 0, 0, 0] });
  expect(sorted(MINUTE, seen(110_000, 130_000, 20, 1)).lanes[0]).toMatchObject({ count: 10, counts: [0, 0, 0, 0, 0, 10] });
  // Two detections in a minute: nobody knows which bucket, but it was there all the time.
  expect(sorted(MINUTE, seen(61_000, 119_000, 2, 1)).lanes[0]?.atOnce).toEqual([1, 1, 1, 1, 1, 1]);
});

test('[REC-6] each class and each source has its own lane, the fullest first; what is beyond the most is told', () => {
  const all = [seen(60_000, 60_000, 1, 1), seen(60_000, 60_000, 5, 5, { class_name: 'dent', max_confidence: 0.9 }), seen(60_000, 60_000, 1, 1, { analysed_by: 'fine' }), seen(61_000, 61_000, 1, 1, { class_name: 'dent', max_confidence: 0.7 })];
  expect(sorted(MINUTE, ...all).lanes.map(({ className, model, count, maxConfidence }) => [className, model, count, maxConfidence])).toEqual([['dent', null, 6, 0.9], ['scratch', null, 1, 0.5], ['scratch', 'fine', 1, 0.5]]);
  const timeline = new Timeline(MINUTE);
  for (let i = 0; i < 1_200; i++) timeline.add(seen(60_000, 60_000, 1, 1, { class_name: `class ${String(i)}` }));
  timeline.add(seen(60_000, 60_000, 1, 1, { class_name: 'class 1199' }));
  const { lanes, leftOut } = timeline.lanes(64);
  expect([lanes.length, leftOut]).toEqual([64, 1_136]);
});

test('[REC-6] whatever the buckets: nothing within is lost or counted twice, and a bucket says it was seen exactly where a sighting reaches', () => {
  const time = fc.integer({ min: 0, max: 100_000 });
  fc.assert(fc.property(
    time, fc.integer({ min: 1, max: 50_000 }), fc.integer({ min: 1, max: 500 }),
    fc.array(fc.tuple(time, fc.integer({ min: 0, max: 30_000 }), fc.integer({ min: 1, max: 1_000 })), { maxLength: 20 }),
    (from, span, count, stretches) => {
      const buckets = { from, to: from + span, count };
      const all = stretches.map(([first, length, n]) => seen(first, first + length, n, 1));
      const { lanes } = sorted(buckets, ...all);
      const overlapping = all.filter(({ first_ms, last_ms }) => last_ms >= from && first_ms < from + span);
      if (overlapping.length === 0) { expect(lanes).toEqual([]); return; }
      const [lane] = lanes;
      const within = overlapping.filter(({ first_ms, last_ms }) => first_ms >= from && last_ms < from + span).reduce((sum, each) => sum + each.count, 0);
      expect(lane?.count).toBeGreaterThanOrEqual(within);
      expect(lane?.count).toBeLessThanOrEqual(overlapping.reduce((sum, each) => sum + each.count, 0));
      expect(lane?.counts.reduce((sum, each) => sum + each, 0)).toBe(lane?.count);
      const place = (at: number): number => ((at - from) / span) * count;
      for (const [i, atOnce] of (lane?.atOnce ?? []).entries()) {
        // Half a thousandth of a bucket is lost to rounding.
        if (overlapping.some(({ first_ms, last_ms }) => place(first_ms) < i + 1 - 0.0005 && place(last_ms) >= i + 0.0005)) expect(atOnce, String(i)).toBe(1);
        if (!overlapping.some(({ first_ms, last_ms }) => place(first_ms) < i + 1 + 0.0005 && place(last_ms) >= i - 0.0005)) expect([atOnce, lane?.counts[i]], String(i)).toEqual([0, 0]);
      }
    },
  ));
});
