import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EdgeEvent } from '../media-control/port.ts';
import type { SegmentRecord } from './port.ts';
import { SegmentInventory } from './segment-inventory.ts';

const segment = (camera: string, n: number, start: number, bytes: number): SegmentRecord => ({
  id: `${camera}/${String(n)}-s-0`, camera, sessionId: 's', epoch: 0, start, duration: 10, bytes, sha256: 'x', open: false, tracks: [], gapBefore: null,
});

test('whatever is put, put again and expired in whatever order, every view is in order and the sum is right', () => {
  const step = fc.record({ camera: fc.constantFrom('a', 'b'), n: fc.nat(30), bytes: fc.nat(100), action: fc.constantFrom('put', 'put', 'expire') });
  fc.assert(fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
    const inventory = new SegmentInventory({ append: () => undefined });
    const there = new Map<string, SegmentRecord>();
    for (const { camera, n, bytes, action } of steps) {
      const one = segment(camera, n, (n * 7) % 20, bytes); // several begin at the same time
      if (action === 'put') {
        inventory.put(one);
        there.set(one.id, one);
      } else {
        inventory.expire(one);
        there.delete(one.id);
      }
    }
    const starts = [...there.values()].map(({ start }) => start).sort((a, b) => a - b);
    const oldest = [...inventory.oldestFirst()];
    expect(oldest.map(({ start }) => start)).toEqual(starts);
    expect(new Set(oldest)).toEqual(new Set(there.values()));
    expect(inventory.list().map(({ start }) => start)).toEqual(starts);
    expect(inventory.totalBytes).toBe([...there.values()].reduce((sum, { bytes }) => sum + bytes, 0));
    for (const camera of ['a', 'b']) {
      const own = [...there.values()].filter((each) => each.camera === camera);
      expect(new Set(inventory.ofCamera(camera))).toEqual(new Set(own));
      expect(inventory.count(camera)).toBe(own.length);
    }
  }));
});

test('a rolling window of thousands goes on, oldest out, newest in', () => {
  const events: EdgeEvent[] = [];
  const inventory = new SegmentInventory({ append: (event) => { events.push(event); } });
  for (let n = 0; n < 5_000; n++) {
    inventory.put(segment('a', n, n * 10, 1));
    if (n < 1_000) continue;
    const [oldest] = inventory.oldestFirst();
    if (oldest) inventory.expire(oldest);
  }
  expect([inventory.count('a'), inventory.totalBytes]).toEqual([1_000, 1_000]);
  expect(inventory.ofCamera('a').map(({ start }) => start)).toEqual(Array.from({ length: 1_000 }, (_, i) => (4_000 + i) * 10));
  expect(events.filter(({ type }) => type === 'segment-expired')).toHaveLength(4_000);
});
