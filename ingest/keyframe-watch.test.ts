import { expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import { silentLogger } from '../platform/logging.ts';
import { createMetrics } from '../platform/metrics.ts';
import { KeyframeWatch } from './keyframe-watch.ts';
import { EdgeStreamRegistry } from './stream-registry.ts';
import { FakeDriver, pictureUnit } from './testing.ts';

const setup = (overdueMs = 12_000) => {
  const clock = new FakeClock();
  const registry = new EdgeStreamRegistry({ graceSeconds: 15, maxSessions: 10, clock, metrics: createMetrics('test'), logger: silentLogger() });
  const told: (string | null)[] = [];
  const watch = new KeyframeWatch({ streams: registry, overdueMs, clock, onOverdue: (camera, problem) => { told.push(problem === null ? null : camera); expect(problem ?? camera).toContain(camera); } });
  const publication = registry.add({ id: 'line-1' }).beginPublication(new FakeDriver());
  /** A picture every 100 ms for `ms`; the first is a key frame if asked. */
  const play = (ms: number, key: boolean): void => {
    for (let at = 0; at < ms; at += 100) {
      publication.publish(pictureUnit(publication, { randomAccess: key && at === 0 }));
      clock.advance(100);
    }
  };
  return { clock, registry, told, watch, publication, play };
};

test('[D-2] a live stream without a key frame for so long raises the alarm once, and the next key frame clears it', () => {
  const { told, play } = setup();
  play(11_000, true);
  expect(told).toEqual([]);
  play(4_000, false);
  expect(told).toEqual(['line-1']);
  play(1_100, true);
  expect(told).toEqual(['line-1', null]);
});

test('[D-2] a camera that is away is not overdue, and what was raised is cleared when it leaves or is removed', () => {
  const { clock, registry, told, publication, play } = setup();
  play(14_000, true);
  expect(told).toEqual(['line-1']);
  publication.end('lost', 'gone');
  clock.advance(60_000);
  expect(told).toEqual(['line-1', null]);
  const again = registry.add({ id: 'line-2' }).beginPublication(new FakeDriver());
  again.publish(pictureUnit(again, { randomAccess: true }));
  clock.advance(1_000);
  for (let i = 0; i < 130; i++) { again.publish(pictureUnit(again, { randomAccess: false })); clock.advance(100); }
  registry.remove('line-2');
  expect(told).toEqual(['line-1', null, 'line-2', null]);
});

test('[D-2] a camera that sends no pictures at all is silent, not without key frames', () => {
  const { clock, told, play } = setup(3_000);
  play(2_000, true);
  clock.advance(7_000); // still live: silence ends it after 10 s
  expect(told).toEqual([]);
  play(100, false); // it goes on, and its key frames are late by now
  clock.advance(1_000);
  expect(told).toEqual(['line-1']);
});

test('disposed, it tells nothing more', () => {
  const { watch, told, play } = setup();
  play(1_000, true);
  watch[Symbol.dispose]();
  play(14_000, false);
  expect(told).toEqual([]);
});
