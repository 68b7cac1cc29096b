import { describe, expect, test } from 'vitest';
import { BoxStore, TimedBoxStore } from './boxes.ts';
import type { BoxMessage, Shown } from './boxes.ts';

const FRAME = 3000; // ticks at 30 fps
const INTERVAL = 2 * FRAME; // a result for every second frame
const EPOCH = 1_000;
const OFFSET = 500;
const WALL = Date.parse('2026-11-22T10:00:00.000Z');

const message = (rtpTimestamp: number, over: Partial<BoxMessage> = {}): BoxMessage => ({
  type: 'detections', epoch: EPOCH, rtp_timestamp: rtpTimestamp, captured_at: new Date(WALL).toISOString(), sequence: 0, model: 'm', inference_ms: 5, width: 1280, height: 720, detections: [], ...over,
});
/** How, and whose boxes. */
const summary = (shown: Shown | null) => shown && { how: shown.how, of: shown.messages.map((each) => `${each.model}@${String(each.rtp_timestamp)}`) };

describe('boxes by RTP timestamp', () => {
  /** A store that knows the epoch and has a result for every second frame up to `count`. */
  const filled = (count: number, first = 0): BoxStore => {
    const store = new BoxStore();
    store.timeline({ type: 'timeline', epoch: EPOCH, offset: OFFSET });
    for (let i = 0; i < count; i++) store.add(message((first + i * INTERVAL) >>> 0));
    return store;
  };

  test('are exact for the very frame they were found in, at the timestamp this viewer sees', () => {
    const store = filled(3);
    expect(summary(store.at(OFFSET + INTERVAL))).toEqual({ how: 'exact', of: [`m@${String(INTERVAL)}`] });
    expect(store.received).toBe(3);
  });

  test('`add` tells under which timestamp the frame is presented', () => {
    const store = filled(0);
    expect(store.add(message(9000))).toBe(9000 + OFFSET);
    expect(store.add(message(2 ** 32 - 100))).toBe(400);
  });

  test('of two detectors on one frame are shown together', () => {
    const store = filled(1);
    store.add(message(0, { model: 'other' }));
    expect(summary(store.at(OFFSET))).toEqual({ how: 'exact', of: ['m@0', 'other@0'] });
  });

  test('of a frame just before are held for a frame without, the newest of them, for at most two inference intervals', () => {
    const store = filled(3);
    const last = 2 * INTERVAL;
    expect(summary(store.at(OFFSET + last + FRAME))).toEqual({ how: 'held', of: [`m@${String(last)}`] });
    expect(summary(store.at(OFFSET + last + 2 * INTERVAL))).toEqual({ how: 'held', of: [`m@${String(last)}`] });
    expect(store.at(OFFSET + last + 2 * INTERVAL + 1)).toBeNull();
  });

  test('of a later frame are never shown early', () => {
    expect(filled(1, INTERVAL).at(OFFSET + INTERVAL - FRAME)).toBeNull();
  });

  test('are held longer where the detector is slower', () => {
    const slow = filled(0);
    for (let i = 0; i < 40; i++) slow.add(message(i * 10 * FRAME));
    const last = 39 * 10 * FRAME;
    expect(summary(slow.at(OFFSET + last + 15 * FRAME))).toEqual({ how: 'held', of: [`m@${String(last)}`] });
    expect(slow.at(OFFSET + last + 21 * FRAME)).toBeNull();
  });

  test('go on over the wrap of the timestamp', () => {
    const store = filled(4, 2 ** 32 - OFFSET - INTERVAL - 1); // presented at -INTERVAL - 1, -1, INTERVAL - 1, …
    expect(store.at(2 ** 32 - 1)?.how).toBe('exact');
    expect(summary(store.at(FRAME))).toEqual({ how: 'held', of: [`m@${String(2 ** 32 - OFFSET - 1)}`] });
    expect(store.newest(3 * INTERVAL)?.ageMs).toBeCloseTo((INTERVAL + 1) / 90, 6);
  });

  test('wait until the offset of their epoch is known', () => {
    const store = new BoxStore();
    expect(store.add(message(0))).toBeNull();
    expect(store.at(OFFSET)).toBeNull();
    expect(store.received).toBe(0);
    store.timeline({ type: 'timeline', epoch: EPOCH + 1, offset: 7 });
    expect(store.at(7)).toBeNull(); // another epoch's offset is not theirs
    store.timeline({ type: 'timeline', epoch: EPOCH, offset: OFFSET });
    expect(store.at(OFFSET)?.how).toBe('exact');
    expect(store.received).toBe(1);
  });

  test('of an epoch that never comes do not pile up: the newest 64 wait', () => {
    const store = new BoxStore();
    for (let i = 0; i < 100; i++) store.add(message(i * FRAME));
    store.timeline({ type: 'timeline', epoch: EPOCH, offset: OFFSET });
    expect(store.received).toBe(64);
    expect(store.at(OFFSET + 36 * FRAME)?.how).toBe('exact');
    expect(store.at(OFFSET + 35 * FRAME)).toBeNull();
  });

  test('of the epoch before keep their own offset after a publisher has come back', () => {
    const store = filled(1);
    store.timeline({ type: 'timeline', epoch: EPOCH + 1, offset: 90_000 });
    store.add(message(0, { epoch: EPOCH + 1, model: 'after' }));
    expect(summary(store.at(OFFSET))).toEqual({ how: 'exact', of: ['m@0'] });
    expect(summary(store.at(90_000))).toEqual({ how: 'exact', of: ['after@0'] });
  });

  test('only the offsets of the last 16 epochs are kept', () => {
    const store = new BoxStore();
    for (let epoch = 0; epoch < 17; epoch++) store.timeline({ type: 'timeline', epoch, offset: epoch });
    expect(store.add(message(0, { epoch: 0 }))).toBeNull();
    expect(store.add(message(0, { epoch: 1 }))).toBe(1);
  });

  test('of the last 600 frames are kept', () => {
    const store = filled(601);
    expect(store.at(OFFSET)).toBeNull();
    expect(store.at(OFFSET + INTERVAL)?.how).toBe('exact');
    expect(store.at(OFFSET + 600 * INTERVAL)?.how).toBe('exact');
  });

  test('the newest, for lowest latency, come with their age, also when a later message is of an earlier frame', () => {
    const store = filled(3);
    store.add(message(INTERVAL, { model: 'late' }));
    const newest = store.newest(OFFSET + 2 * INTERVAL + 9000);
    expect(newest?.messages.map(({ rtp_timestamp: at }) => at)).toEqual([2 * INTERVAL]);
    expect(newest?.ageMs).toBe(100);
    expect(new BoxStore().newest(0)).toBeNull();
  });
});

describe('boxes by capture time', () => {
  const FRAME_MS = 1000 / 30;
  const store = (...offsets: readonly number[]): TimedBoxStore => {
    const timed = new TimedBoxStore();
    for (const offset of offsets) timed.add(message(offset, { captured_at: new Date(WALL + offset).toISOString() }));
    return timed;
  };

  test('are exact within half a frame on either side', () => {
    const timed = store(0, 100);
    expect(summary(timed.at(WALL + 116, FRAME_MS))).toEqual({ how: 'exact', of: ['m@100'] });
    expect(summary(timed.at(WALL + 84, FRAME_MS))).toEqual({ how: 'exact', of: ['m@100'] });
    expect(summary(timed.at(WALL + 83, FRAME_MS))).toEqual({ how: 'held', of: ['m@0'] });
  });

  test('of two detectors on one frame are shown together', () => {
    const timed = store(0, 0);
    expect(timed.at(WALL, FRAME_MS)?.messages).toHaveLength(2);
  });

  test('are held for 200 ms, the newest of them, and never shown early', () => {
    const timed = store(0, 100);
    expect(summary(timed.at(WALL + 200, FRAME_MS))).toEqual({ how: 'held', of: ['m@100'] });
    expect(summary(timed.at(WALL + 300, FRAME_MS))).toEqual({ how: 'held', of: ['m@100'] });
    expect(timed.at(WALL + 301, FRAME_MS)).toBeNull();
    expect(timed.at(WALL - 17, FRAME_MS)).toBeNull();
  });

  test('of the last 600 results are kept', () => {
    const timed = store(...Array.from({ length: 601 }, (_, i) => i * 1000));
    expect(timed.at(WALL, FRAME_MS)).toBeNull();
    expect(timed.at(WALL + 1000, FRAME_MS)?.how).toBe('exact');
  });
});
