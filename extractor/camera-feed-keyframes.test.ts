/** What a feed sends where key frames are all that is wanted, seen through the pool. */
import { expect, test } from 'vitest';
import type { PictureSpec } from './port.ts';
import { DETECTOR, setUp, settle } from './testing-pool.ts';
import type { FakeStream } from './testing-pool.ts';

const SPEC: PictureSpec = { format: 'jpeg', width: 640, height: null, quality: 80, annotated: false };
const NEVER = new AbortController().signal;
/** Units between key frames, two seconds at 30 a second. */
const GOP = 60;

const start = () => {
  const all = setUp(['a']);
  const stream = all.streams[0] as FakeStream;
  all.set('a', []);
  stream.become('live');
  let seq = 0;
  /** Publishes until unit `end`, at the camera's pace. */
  const publish = async (end: number): Promise<void> => {
    for (; seq < end; seq++) {
      all.publish(stream, seq, seq % GOP === 0);
      await settle();
      all.clock.advance(1000 / 30);
    }
  };
  const sent = (from = 0): number[] => all.extractors.at(-1)!.sent.map((unit) => unit.seq).filter((one) => one >= from);
  return { ...all, stream, publish, sent };
};
const range = (from: number, end: number): number[] => Array.from({ length: end - from }, (_, i) => from + i);

test('[EXT-1] pictures that are wanted every five seconds of a camera with a key frame every two cost a decoding of its key frames', async () => {
  const { publish, sent, pool } = start();
  using _watching = pool.pictures.watch('a', SPEC, 0.2, () => undefined);
  await publish(10 * GOP);
  // All until two key frames tell how often they come.
  expect(sent(GOP + 1)).toEqual([2, 3, 4, 5, 6, 7, 8, 9].map((i) => i * GOP));
});

test('[EXT-1] who wants pictures more often gets them at once, from the cached GOP on; nothing is sent twice', async () => {
  const { publish, sent, pool, extractors } = start();
  using _slow = pool.pictures.watch('a', SPEC, 0.2, () => undefined);
  await publish(2 * GOP + 20);
  expect(sent(GOP + 1)).toEqual([2 * GOP]);
  const before = extractors[0]!.sent.length;
  const fast = pool.pictures.watch('a', { ...SPEC, width: 320 }, 15, () => undefined);
  expect(sent(2 * GOP)).toEqual(range(2 * GOP, 2 * GOP + 20)); // before it is told of who comes: its newest picture is the newest there is
  await publish(2 * GOP + 30);
  expect(sent(2 * GOP)).toEqual(range(2 * GOP, 2 * GOP + 30));
  expect(extractors[0]!.sent.slice(before).filter(({ decodeOnly }) => !decodeOnly).length).toBeGreaterThanOrEqual(10);
  fast[Symbol.dispose]();
  await publish(4 * GOP);
  expect(sent(2 * GOP)).toEqual([...range(2 * GOP, 2 * GOP + 30), 3 * GOP]);
});

test('[EXT-1] who comes for rare pictures, too, is shown one that comes just now', async () => {
  const { publish, sent, pool } = start();
  using _first = pool.pictures.watch('a', SPEC, 0.2, () => undefined);
  await publish(2 * GOP + 20);
  using _second = pool.pictures.watch('a', { ...SPEC, format: 'png' }, 0.1, () => undefined);
  await publish(2 * GOP + 40);
  expect(sent(2 * GOP)).toEqual(range(2 * GOP, 2 * GOP + 21));
});

test('[EXT-9] a still is of the newest picture all the same, and afterwards key frames are enough', async () => {
  const { publish, sent, pool, extractors } = start();
  using _watching = pool.pictures.watch('a', SPEC, 0.2, () => undefined);
  await publish(3 * GOP + 17);
  const still = pool.pictures.still('a', { ...SPEC, format: 'png' }, NEVER);
  const [extractor] = extractors;
  expect(sent(3 * GOP)).toEqual(range(3 * GOP, 3 * GOP + 17));
  expect(extractor!.stills.map(({ behind }) => behind)).toEqual([extractor!.sent.length]);
  const { handle, id } = extractor!.stills[0]!;
  extractor!.picture({ handle, streams: [], stills: [id], frame: { stream: 'a', epoch: 1, rtpTs: 0, captureNtp: null, seq: 1 }, capturedAt: 0, pts: 0, format: 'png', width: 1, height: 1, sourceWidth: 1, sourceHeight: 1, drawn: null, fresh: true, dropped: 0 });
  await still;
  await publish(4 * GOP + 5);
  expect(sent(3 * GOP)).toEqual([...range(3 * GOP, 3 * GOP + 18), 4 * GOP]); // one more, lest the decoder has kept none
});

test('[EXT-1] a decoder that nobody wants any more has nothing but key frames to do until it ends', async () => {
  const { publish, sent, pool } = start();
  const watching = pool.pictures.watch('a', SPEC, 15, () => undefined);
  await publish(GOP + 10);
  expect(sent()).toEqual(range(0, GOP + 10));
  watching[Symbol.dispose]();
  await publish(2 * GOP + 5);
  expect(sent()).toEqual([...range(0, GOP + 10), 2 * GOP]);
});

test('[EXT-1] a detector sees every picture from the moment it is switched on', async () => {
  const { publish, sent, pool, set } = start();
  using _watching = pool.pictures.watch('a', SPEC, 0.2, () => undefined);
  await publish(2 * GOP + 20);
  set('a', [DETECTOR]);
  await publish(3 * GOP + 20);
  expect(sent(2 * GOP)).toEqual(range(2 * GOP, 3 * GOP + 20));
});

test('[EXT-7] what was left out and is cached no longer is not guessed: the decoder goes on at the next key frame', async () => {
  const { publish, sent, pool, stream } = start();
  using _slow = pool.pictures.watch('a', SPEC, 0.2, () => undefined);
  await publish(2 * GOP + 20);
  stream.hub.clearGop();
  using _fast = pool.pictures.watch('a', { ...SPEC, width: 320 }, 15, () => undefined);
  await publish(3 * GOP + 5);
  expect(sent(2 * GOP)).toEqual([2 * GOP, ...range(3 * GOP, 3 * GOP + 5)]);
});

test('[EXT-9] a still of what is cached no longer is not an old picture: a key frame is asked for, and its picture shown', async () => {
  const { publish, pool, stream, extractors } = start();
  using _slow = pool.pictures.watch('a', SPEC, 0.2, () => undefined);
  await publish(2 * GOP + 20);
  stream.hub.clearGop();
  const asked = stream.keyframesAsked;
  void pool.pictures.still('a', { ...SPEC, format: 'png' }, NEVER).catch(() => undefined);
  await publish(2 * GOP + 30);
  expect([extractors[0]!.stills.length, stream.keyframesAsked]).toEqual([0, asked + 1]);
  await publish(3 * GOP + 1);
  expect(extractors[0]!.stills.map(({ behind }) => behind)).toEqual([extractors[0]!.sent.length]);
});
