import { expect, test } from 'vitest';
import { colourOf, labelOf } from './box-label.ts';

const scratch = { class_name: 'scratch', class_id: 2, confidence: 0.874, track_id: null };

test('[INF-6] a box is labelled with its class, its track and its confidence, which a small picture leaves out', () => {
  expect(labelOf(scratch, false)).toBe('scratch 87 %');
  expect(labelOf(scratch, true)).toBe('scratch');
  expect(labelOf({ ...scratch, track_id: '12' }, false)).toBe('scratch #12 87 %');
  expect(labelOf({ ...scratch, track_id: '12' }, true)).toBe('scratch #12');
});

test('[INF-6] a track has one colour whatever is said of it, the next track another', () => {
  expect(colourOf({ ...scratch, track_id: '12' })).toBe(colourOf({ ...scratch, track_id: '12', class_id: 0, confidence: 0.2 }));
  const colours = Array.from({ length: 8 }, (_, i) => colourOf({ ...scratch, track_id: String(12 + i) }));
  expect(new Set(colours).size).toBe(8);
});

test('[INF-6] without a track, or with one that is no number, a box has the colour of its class', () => {
  expect(colourOf(scratch)).not.toBe(colourOf({ ...scratch, class_id: 3 }));
  expect(colourOf({ ...scratch, track_id: 'x' })).toBe(colourOf(scratch));
});
