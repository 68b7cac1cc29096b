import { expect, test } from 'vitest';
import fc from 'fast-check';
import { checkKey } from '../../platform/object-store/object-store.ts';
import { archiveKey, segmentOfKey } from './keys.ts';

test('[REC-8] keys are partitioned by the hour, in UTC, in which a segment begins', () => {
  expect(archiveKey('cam-1/1750000000000-abcdef12-7')).toBe('cam-1/2025/06/15/15/1750000000000-abcdef12-7.mp4');
  expect(archiveKey('cam-1/1749999599999-abcdef12-6')).toBe('cam-1/2025/06/15/14/1749999599999-abcdef12-6.mp4');
  expect(segmentOfKey('cam-1/2025/06/15/15/1750000000000-abcdef12-7.mp4')).toEqual({ id: 'cam-1/1750000000000-abcdef12-7', camera: 'cam-1' });
});

test('what is no segment has no key, and what is in the wrong place is no segment', () => {
  for (const id of ['', 'cam', 'cam/x', '../cam/1-a-1', 'Cam/1-a-1', 'cam/1-a-1.mp4', 'cam/999999999999999-a-1x']) expect(archiveKey(id)).toBeUndefined();
  for (const key of ['', 'notes.txt', 'cam-1/2025/06/15/14/1750000000000-abcdef12-7.mp4', 'cam-1/2025/06/15/15/1750000000000-abcdef12-7.mp4.part', 'a/cam-1/2025/06/15/15/1750000000000-abcdef12-7.mp4']) expect(segmentOfKey(key)).toBeUndefined();
});

test('every segment has a key that every store takes and that leads back to it', () => {
  fc.assert(fc.property(
    fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,62}$/), fc.integer({ min: 0, max: 4_000_000_000_000 }), fc.stringMatching(/^[A-Za-z0-9_]{1,8}$/), fc.nat(999_999_999),
    (camera, start, session, sequence) => {
      const id = `${camera}/${String(start)}-${session}-${String(sequence)}`;
      const key = archiveKey(id);
      expect(key).toBeDefined();
      if (key === undefined) return;
      checkKey(key);
      expect(segmentOfKey(key)).toEqual({ id, camera });
    },
  ));
});

test('any text is read or refused', () => {
  fc.assert(fc.property(fc.string(), (text) => {
    const segment = segmentOfKey(text);
    if (segment) expect(archiveKey(segment.id)).toBe(text);
    archiveKey(text);
  }));
});
