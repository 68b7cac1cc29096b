import { expect, test } from 'vitest';
import type { CodeReading } from '../media-control/port.ts';
import type { CodesMessage } from './protocol.ts';
import { DETECTOR, setUp, settle } from './testing-pool.ts';

const READING: CodeReading = { fps: 2, formats: ['qr'], repeatMs: 10_000 };
const WANTED = { fps: 2, formats: ['qr'] };
/** Units between key frames, two seconds at 30 a second. */
const GOP = 60;

const start = () => {
  const all = setUp(['a']);
  const [stream] = all.streams;
  if (!stream) throw new Error('no stream');
  all.set('a', []);
  stream.become('live');
  let seq = 0;
  /** Publishes until unit `end`, at the camera's pace. */
  const play = async (end: number): Promise<void> => {
    for (; seq < end; seq++) {
      all.publish(stream, seq, seq % GOP === 0);
      await settle();
      all.clock.advance(1000 / 30);
    }
  };
  const read = (handle: number, at: number, ...texts: string[]): CodesMessage => ({
    handle, frame: { stream: 'a', epoch: 1, rtpTs: at, captureNtp: null, seq: at }, capturedAt: 1_750_000_000_000 + at,
    codes: texts.map((text) => ({ format: 'qr', text, bytes: null, corners: [[0, 0], [1, 0], [1, 1], [0, 1]] })),
  });
  const told = () => all.journal.flatMap((event) => (event.type === 'code' ? [event.seen.text] : []));
  return { ...all, stream, play, read, told };
};

test('[PRO-2] [EXT-1] a camera in which codes are read is decoded without a detector, once for both, and no longer than they are wanted', async () => {
  const { adjust, set, extractors, play, clock } = start();
  await play(10);
  expect(extractors).toEqual([]);
  adjust('a', { codes: READING });
  await play(12);
  expect([...extractors[0]!.cameras.values()]).toMatchObject([{ camera: 'a', detectors: [], codes: WANTED }]);
  set('a', [DETECTOR]);
  expect([...extractors[0]!.cameras.values()]).toMatchObject([{ detectors: [{ id: 'detect' }], codes: WANTED }]);
  adjust('a', { codes: { ...READING, formats: ['aztec'], fps: 5 } });
  expect([...extractors[0]!.cameras.values()]).toMatchObject([{ codes: { fps: 5, formats: ['aztec'] } }]);
  adjust('a', {});
  expect([...extractors[0]!.cameras.values()][0]).not.toHaveProperty('codes');
  set('a', []);
  clock.advance(3_000);
  expect([extractors.length, extractors[0]!.cameras.size]).toEqual([1, 0]);
});

test('[PRO-2] a code is told once, also over a crash of the process that read it; nothing is told of another camera, or of a decoder that was let go', async () => {
  const { adjust, extractors, play, read, told, clock } = start();
  adjust('a', { codes: READING });
  await play(5);
  const [first] = extractors;
  const [handle = -1] = first!.cameras.keys();
  first!.codes(read(handle, 0, 'one'));
  first!.codes(read(handle, 500, 'one', 'two'));
  first!.codes({ ...read(handle, 600, 'three'), frame: { stream: 'b', epoch: 1, rtpTs: 0, captureNtp: null, seq: 0 } });
  expect(told()).toEqual(['one', 'two']);
  first!.crash(null);
  clock.advance(60_000);
  await play(10);
  const second = extractors.at(-1)!;
  expect(second).not.toBe(first);
  const [next = -1] = second.cameras.keys();
  second.codes(read(next, 1_000, 'one'));
  second.codes(read(handle, 1_500, 'four'));
  expect(told()).toEqual(['one', 'two']);
  second.codes(read(next, 11_001, 'one'));
  expect(told()).toEqual(['one', 'two', 'one']);
});

test('[PRO-2] what became of pictures is counted', async () => {
  const { adjust, extractors, play, metrics } = start();
  adjust('a', { codes: READING });
  await play(5);
  const [handle = -1] = extractors[0]!.cameras.keys();
  extractors[0]!.codeStats({ handle, looked: 3, skipped: { fps: 7 } });
  expect((await metrics.codePictures.get()).values).toMatchObject([{ value: 3, labels: { camera: 'a' } }]);
  expect((await metrics.codePicturesSkipped.get()).values).toMatchObject([{ value: 7, labels: { camera: 'a', reason: 'fps' } }]);
});

test('[PRO-2] [EXT-1] codes that are looked for more rarely than key frames come cost a decoding of key frames alone', async () => {
  const { adjust, extractors, play } = start();
  adjust('a', { codes: { ...READING, fps: 0.5 } });
  await play(6 * GOP);
  const sent = () => extractors[0]!.sent.map(({ seq }) => seq);
  expect(sent().filter((seq) => seq > GOP)).toEqual([2, 3, 4, 5].map((i) => i * GOP));
  adjust('a', { codes: READING });
  await play(6 * GOP + 10);
  expect(sent().filter((seq) => seq >= 6 * GOP).length).toBe(10);
});
