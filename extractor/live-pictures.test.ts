import { expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import { createMetrics } from '../platform/metrics.ts';
import { LivePictures } from './live-pictures.ts';
import type { LivePicture, PictureSpec } from './port.ts';
import type { PictureHeader } from './protocol.ts';

const SPEC: PictureSpec = { format: 'jpeg', width: 640, height: null, quality: 80, annotated: false };
const NEVER = new AbortController().signal;

const setUp = () => {
  const clock = new FakeClock();
  const metrics = createMetrics('test');
  const changes: string[] = [];
  const phases = new Map<string, 'away' | 'live'>([['a', 'live']]);
  const pictures = new LivePictures({ clock, metrics, phaseOf: (camera) => phases.get(camera) ?? 'unknown', onChange: (camera) => { changes.push(camera); } });
  const feed = (handle: number) => {
    const asked: number[] = [];
    return { handle, asked, requestStill: ({ id }: { readonly id: number }) => { asked.push(id); } };
  };
  const receive = (pts: number, to: Partial<PictureHeader> = {}): void => {
    pictures.receive('a', {
      type: 'picture', handle: 0, streams: [], stills: [], frame: { stream: 'a', epoch: 1, rtpTs: pts, captureNtp: null, seq: pts }, capturedAt: 0, pts, format: 'jpeg', width: 640, height: 360,
      sourceWidth: 1280, sourceHeight: 720, drawn: null, fresh: true, dropped: 0, ...to, bytes: Buffer.from('JPEG'),
    });
  };
  const value = async (name: 'encodedPictures' | 'branchDropped'): Promise<number> => (await metrics[name].get()).values.reduce((sum, one) => sum + one.value, 0);
  return { clock, pictures, changes, phases, feed, receive, value };
};
const failure = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => { throw new Error('it did not fail'); }, (error: unknown) => error);

test('[EXT-9] a still is asked for once, of each feed there is, and answered; then nothing is wanted any more', async () => {
  const { pictures, changes, feed, receive } = setUp();
  const still = pictures.still('a', SPEC, NEVER);
  expect([pictures.wanted('a'), changes]).toEqual([true, ['a']]);
  const [first, second] = [feed(1), feed(2)];
  pictures.askFor('a', first);
  pictures.askFor('a', first);
  pictures.askFor('a', second); // the first one's process died
  expect([first.asked, second.asked]).toEqual([[0], [0]]);
  receive(33, { stills: [0] });
  expect(await still).toMatchObject({ width: 640, frame: { seq: 33 }, bytes: Buffer.from('JPEG') });
  expect([pictures.wanted('a'), changes.length]).toEqual([false, 2]);
});

test.each(['none', 'away'])('[EXT-9] of a camera that is %s there is no still, and no decoder is started', async (camera) => {
  const { pictures, phases, changes } = setUp();
  phases.set('away', 'away');
  expect(await failure(pictures.still(camera, SPEC, NEVER))).toMatchObject(camera === 'none' ? { code: 'NOT_FOUND' } : { code: 'FAILED_PRECONDITION', reason: 'NO_PUBLISHER' });
  expect([pictures.wanted(camera), changes]).toEqual([false, []]);
});

test('[EXT-9] a still that does not come is given up: after ten seconds, when its client leaves, when the camera goes', async () => {
  const { clock, pictures } = setUp();
  const late = pictures.still('a', SPEC, NEVER);
  clock.advance(10_000);
  expect(await failure(late)).toMatchObject({ code: 'UNAVAILABLE', reason: 'NO_PICTURE', retryAfterSeconds: 1 });
  const client = new AbortController();
  const left = pictures.still('a', SPEC, client.signal);
  client.abort(new Error('the client hung up'));
  expect(await failure(left)).toEqual(new Error('the client hung up'));
  expect(pictures.wanted('a')).toBe(false);
  const removed = pictures.still('a', SPEC, NEVER);
  pictures.remove('a');
  expect(await failure(removed)).toMatchObject({ code: 'NOT_FOUND' });
  expect([pictures.wanted('a'), clock.waiting]).toEqual([false, []]);
});

test.each([['too_large', 'PICTURE_TOO_LARGE'], ['failed', 'PICTURE_NOT_ENCODED']] as const)('[EXT-9] a still the extractor cannot give (%s) is refused with the reason', async (why, reason) => {
  const { pictures } = setUp();
  const still = pictures.still('a', SPEC, NEVER);
  pictures.receive('a', { type: 'no-still', handle: 1, id: 0, why });
  expect(await failure(still)).toMatchObject({ code: 'UNPROCESSABLE', reason });
});

test('[EXT-6] stills of a camera are bounded', async () => {
  const { clock, pictures } = setUp();
  const waiting = Array.from({ length: 32 }, () => failure(pictures.still('a', SPEC, NEVER)));
  expect(await failure(pictures.still('a', SPEC, NEVER))).toMatchObject({ code: 'UNAVAILABLE', reason: 'TOO_MANY_PICTURES' });
  clock.advance(10_000);
  await Promise.all(waiting);
});

test('[EXT-1] viewers of the same pictures are one stream at the rate of the fastest, and each gets its own rate', async () => {
  const { pictures, receive, value } = setUp();
  const seen: Record<string, number[]> = { fast: [], slow: [], other: [] };
  const watch = (name: string, spec: PictureSpec, fps: number): Disposable => pictures.watch('a', spec, fps, ({ frame }) => { seen[name]?.push(frame.seq); });
  const fast = watch('fast', SPEC, 10);
  watch('slow', { ...SPEC }, 5);
  watch('other', { ...SPEC, quality: 50 }, 2);
  expect(pictures.streams('a')).toEqual([{ id: 0, spec: SPEC, fps: 10 }, { id: 1, spec: { ...SPEC, quality: 50 }, fps: 2 }]);
  for (const pts of [0, 100, 200, 300, 400]) receive(pts, { streams: [0], dropped: 1 });
  receive(500, { streams: [1] });
  expect(seen).toEqual({ fast: [0, 100, 200, 300, 400], slow: [0, 200, 400], other: [500] });
  expect([await value('encodedPictures'), await value('branchDropped')]).toEqual([6, 5]);
  fast[Symbol.dispose]();
  expect(pictures.streams('a')).toMatchObject([{ id: 0, fps: 5 }, { id: 1 }]);
});

test('[EXT-9] who joins others sees their last picture at once, unless it is old', () => {
  const { clock, pictures, receive } = setUp();
  pictures.watch('a', SPEC, 10, () => undefined);
  receive(0, { streams: [0] });
  const seen: LivePicture[] = [];
  clock.advance(900);
  pictures.watch('a', SPEC, 10, (picture) => { seen.push(picture); });
  expect(seen).toHaveLength(1);
  clock.advance(200);
  pictures.watch('a', SPEC, 10, (picture) => { seen.push(picture); });
  expect(seen).toHaveLength(1);
});

test('[EXT-6] a camera is watched in at most eight kinds of pictures; another kind is refused, another viewer of one of them not', () => {
  const { pictures } = setUp();
  const watching = Array.from({ length: 8 }, (_, i) => pictures.watch('a', { ...SPEC, quality: i + 1 }, 1, () => undefined));
  expect(() => pictures.watch('a', { ...SPEC, quality: 9 }, 1, () => undefined)).toThrow(expect.objectContaining({ code: 'UNAVAILABLE', reason: 'TOO_MANY_PICTURE_KINDS' }));
  pictures.watch('a', { ...SPEC, quality: 8 }, 1, () => undefined);
  for (const each of watching) {
    each[Symbol.dispose]();
    each[Symbol.dispose]();
  }
  expect(pictures.streams('a')).toMatchObject([{ spec: { quality: 8 } }]);
});

test('a picture that comes when all who wanted it have left is let go', () => {
  const { pictures, receive } = setUp();
  pictures.watch('a', SPEC, 10, () => { throw new Error('it has left'); })[Symbol.dispose]();
  expect(() => { receive(0, { streams: [0], stills: [7] }); }).not.toThrow();
});
