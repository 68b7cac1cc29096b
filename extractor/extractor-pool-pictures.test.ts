/** The pool and those who want to see pictures. */
import { expect, test } from 'vitest';
import type { PictureSpec } from './port.ts';
import type { StillMessage } from './protocol.ts';
import { setUp, settle } from './testing-pool.ts';
import type { FakeExtractor } from './testing-pool.ts';

const SPEC: PictureSpec = { format: 'jpeg', width: 640, height: null, quality: 80, annotated: false };
const NEVER = new AbortController().signal;
const answer = (extractor: FakeExtractor, still: StillMessage): void => {
  extractor.picture({
    handle: still.handle, streams: [], stills: [still.id], frame: { stream: 'a', epoch: 1, rtpTs: 2, captureNtp: null, seq: 2 }, capturedAt: 0, pts: 0, format: 'jpeg', width: 640, height: 360,
    sourceWidth: 1280, sourceHeight: 720, drawn: null, fresh: true, dropped: 0,
  });
};

test('[EXT-1] [EXT-9] a still of a camera nobody decodes starts a decoder, is asked for behind the cached GOP, its sound too, and takes the decoder along when nobody wants more', async () => {
  const { streams: [stream], extractors, publish, pool, set, clock } = setUp(['a']);
  set('a', []);
  stream!.become('live');
  for (let seq = 0; seq < 3; seq++) publish(stream!, seq, seq === 0);
  stream!.hub.publish({ ...stream!.hub.gop()[2]!, kind: 'audio', randomAccess: true });
  const still = pool.pictures.still('a', SPEC, NEVER);
  await settle();
  const [extractor] = extractors;
  expect(extractor!.stills).toEqual([{ handle: 0, id: 0, spec: SPEC, behind: 3 }]);
  expect([...extractor!.cameras.values()]).toMatchObject([{ detectors: [] }]);
  answer(extractor!, extractor!.stills[0]!);
  expect(await still).toMatchObject({ frame: { seq: 2 } });
  clock.advance(2_900);
  expect(extractor!.cameras.size).toBe(1);
  clock.advance(200);
  expect(extractor!.cameras.size).toBe(0);
  expect(extractor!.ended).toBe(true);
});

test('[EXT-1] viewers and detectors share the decoder: who comes and goes changes what is made of its pictures, not the decoder', async () => {
  const { streams: [stream], extractors, publish, pool, set, clock } = setUp(['a']);
  stream!.become('live');
  publish(stream!, 0, true);
  await settle();
  const [extractor] = extractors;
  const watching = [10, 5].map((fps) => pool.pictures.watch('a', SPEC, fps, () => undefined));
  expect(extractor!.pictures.get(0)).toEqual([{ id: 0, spec: SPEC, fps: 10 }]);
  set('a', []);
  expect(extractor!.cameras.get(0)?.detectors).toEqual([]);
  clock.advance(60_000);
  watching[0]![Symbol.dispose]();
  expect(extractor!.pictures.get(0)).toEqual([{ id: 0, spec: SPEC, fps: 5 }]);
  watching[1]![Symbol.dispose]();
  expect(extractor!.pictures.get(0)).toEqual([]);
  clock.advance(3_000);
  expect([extractors.length, extractor!.cameras.size]).toEqual([1, 0]);
});

test('[EXT-7] after a crash pictures, and stills that are still wanted, are asked of the next process', async () => {
  const { streams: [stream], extractors, publish, pool, set, clock } = setUp(['a']);
  set('a', []);
  stream!.become('live');
  publish(stream!, 0, true);
  const still = pool.pictures.still('a', SPEC, NEVER);
  using _watching = pool.pictures.watch('a', { ...SPEC, width: 320 }, 5, () => undefined);
  await settle();
  extractors[0]!.crash(null);
  clock.advance(1_000);
  await settle();
  const second = extractors[1];
  expect(second!.stills).toMatchObject([{ handle: 1, id: 0 }]);
  expect(second!.pictures.get(1)).toMatchObject([{ spec: { width: 320 }, fps: 5 }]);
  answer(second!, second!.stills[0]!);
  await still;
});

test('[EXT-9] of a camera that sent no key frame yet one is asked for', () => {
  const { streams: [stream], pool, set } = setUp(['a']);
  set('a', []);
  stream!.become('live');
  using _watching = pool.pictures.watch('a', SPEC, 5, () => undefined);
  expect(stream!.keyframesAsked).toBe(1);
});

test('[EXT-1] while the camera is away nothing is decoded for its viewers; when it is back they see it again', () => {
  const { streams: [stream], extractors, pool, set, clock } = setUp(['a']);
  set('a', []);
  using _watching = pool.pictures.watch('a', SPEC, 5, () => undefined);
  expect(extractors).toEqual([]);
  stream!.become('live');
  stream!.become('interrupted');
  clock.advance(4_000);
  expect(extractors[0]!.ended).toBe(true);
  stream!.become('live');
  expect(extractors).toHaveLength(2);
});

test('a picture said to be of another camera reaches nobody', async () => {
  const { streams: [a, b], extractors, pool, set, clock } = setUp(['a', 'b']);
  for (const [id, stream] of [['a', a], ['b', b]] as const) {
    set(id, []);
    stream!.become('live');
  }
  const still = pool.pictures.still('a', SPEC, NEVER).catch((error: unknown) => error);
  using _other = pool.pictures.watch('b', SPEC, 5, () => undefined);
  answer(extractors[0]!, { handle: 1, id: 0, spec: SPEC }); // the handle is b's, the frame a's
  clock.advance(10_000);
  expect(await still).toMatchObject({ reason: 'NO_PICTURE' });
});
