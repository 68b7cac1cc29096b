import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { Hub } from '../../core/hub.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import type { SessionInfo } from '../../ingest/port.ts';
import type { Part, PartStream } from '../../muxer/port.ts';
import { HlsStream } from './hls-stream.ts';
import { RecentViewers } from './recent-viewers.ts';
import { segmentRules } from './segment-rules.ts';
import { testParts, testSession } from './testing-parts.ts';

const PLAIN = { msn: null, part: null, skip: false };
const never = new AbortController().signal;

const setUp = (onDemand = false) => {
  const clock = new FakeClock();
  const parts = new Hub<Part>();
  const listeners: ((session: SessionInfo) => void)[] = [];
  let session: SessionInfo | null = null;
  const source: PartStream = {
    camera: 'cam', parts, get session() { return session; },
    onSession: (listener) => { listeners.push(listener); return { [Symbol.dispose]: () => undefined }; },
    onUnmuxable: () => ({ [Symbol.dispose]: () => undefined }),
  };
  const stream = new HlsStream(source, { rules: segmentRules({ segmentSeconds: 1, keyframeIntervalSeconds: 1 }), clock, onDemand });
  const all = testParts(400, 5);
  let next = 0;
  const feed = (count: number): void => { for (const part of all.slice(next, (next += count))) parts.publish(part); };
  const skip = (count: number): void => { next += count; };
  const phase = (name: SessionInfo['phase']): void => {
    session = testSession({ phase: name });
    for (const listener of listeners) listener(session);
  };
  const text = async (directives: { msn: number | null; part: number | null; skip: boolean } = PLAIN): Promise<string> => (await stream.playlist(directives, null, never)).plain.toString();
  return { clock, stream, parts, feed, skip, phase, text };
};
const nextOf = (playlist: string): { msn: number; part: number } => {
  const [, msn, part] = /PRELOAD-HINT:TYPE=PART,URI="part-\w+-(\d+)\.(\d+)\.m4s/.exec(playlist) ?? [];
  return { msn: Number(msn), part: Number(part) };
};

test('without media there is nothing: 404 at once', async () => {
  const { stream } = setUp();
  await expect(stream.playlist(PLAIN, null, never)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(stream.multivariant(null, never)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(stream.resource('seg-x-1.m4s', never)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('[DIS-4] of a stream made on demand the first segment is waited for while the camera is live, and for no longer than a quarter of a minute', async () => {
  const { stream, feed, phase, clock } = setUp(true);
  await expect(stream.multivariant(null, never)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  phase('live');
  const given = stream.multivariant(null, never);
  const [away, late] = [stream.multivariant(null, never), stream.playlist(PLAIN, null, never)].map((one) => one.catch((error: unknown) => error));
  expect(stream.waiting).toBe(3);
  clock.advance(7_000);
  expect(await late).toMatchObject({ code: 'UNAVAILABLE' });
  await Promise.all([given.catch(() => undefined), away]);
  const again = stream.multivariant(null, never);
  feed(6);
  expect((await again).plain.toString()).toContain('video.m3u8');
  const other = setUp(true);
  other.phase('live');
  const left = other.stream.multivariant(null, never).catch((error: unknown) => error);
  other.phase('interrupted');
  expect(await left).toMatchObject({ code: 'NOT_FOUND' });
});

test('while the first segment is received, its end is waited for', async () => {
  const { stream, feed } = setUp();
  feed(2);
  const waiting = stream.multivariant(null, never);
  expect(stream.waiting).toBe(1);
  feed(3);
  expect((await waiting).plain.toString()).toContain('video.m3u8');
  expect(stream.waiting).toBe(0);
});

test('who begins to play gets a playlist whose newest part is fresh, or the next one', async () => {
  const { clock, stream, feed, text } = setUp();
  feed(7);
  clock.advance(40);
  const fresh = await text();
  clock.advance(100);
  const waiting = text();
  await Promise.resolve();
  expect(stream.waiting).toBe(1);
  feed(1);
  expect(nextOf(await waiting).part).toBe(nextOf(fresh).part + 1);

  clock.advance(150);
  const late = text(); // the camera pauses
  clock.advance(210);
  expect(nextOf(await late).part).toBe(nextOf(fresh).part + 1);
  clock.advance(1_000);
  await text(); // nobody knows when it goes on: no wait
  expect(stream.waiting).toBe(0);
});

test('[H3] a blocking request is answered by the very part it asks for, in the same turn', async () => {
  const { stream, feed, text } = setUp();
  feed(7);
  const { msn, part } = nextOf(await text());
  const waiting = text({ msn, part, skip: false });
  await Promise.resolve();
  expect(stream.waiting).toBe(1);
  feed(1);
  expect(stream.waiting).toBe(0);
  expect(nextOf(await waiting)).toEqual({ msn, part: part + 1 });
});

test('[H3] a request that nothing comes for is refused with 503 after three target durations', async () => {
  const { clock, stream, feed, text } = setUp();
  feed(7);
  const waiting = text({ ...nextOf(await text()), skip: false });
  await Promise.resolve();
  const outcome = waiting.catch((error: unknown) => error);
  clock.advance(5_999);
  expect(stream.waiting).toBe(1);
  clock.advance(1);
  expect(await outcome).toMatchObject({ code: 'UNAVAILABLE' });
  expect(stream.waiting).toBe(0);
});

test('[H5] the hinted part is held until it is complete', async () => {
  const { stream, feed, text } = setUp();
  feed(7);
  const { msn, part } = nextOf(await text());
  const held = stream.resource(`part-abcd1234-${String(msn)}.${String(part)}.m4s`, never);
  expect(stream.waiting).toBe(1);
  feed(1);
  expect(await held).toMatchObject({ kind: 'part' });
  await expect(stream.resource(`part-abcd1234-${String(msn)}.${String(part + 5)}.m4s`, never)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('a client that hangs up waits no more', async () => {
  const { stream, feed, text } = setUp();
  feed(7);
  const gone = new AbortController();
  const waiting = stream.playlist({ ...nextOf(await text()), skip: false }, null, gone.signal);
  await Promise.resolve();
  gone.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(stream.waiting).toBe(0);
});

test('requests that wait are bounded: one too many gets 503 at once', async () => {
  const { stream, feed, text } = setUp();
  feed(7);
  const ask = { ...nextOf(await text()), skip: false };
  const held = Array.from({ length: 2_000 }, () => text(ask));
  await Promise.resolve();
  expect(stream.waiting).toBe(2_000);
  await expect(text(ask)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  feed(1);
  expect(await Promise.all(held)).toHaveLength(2_000);
});

test('an interrupted session keeps its playlist; what waits, waits for the publisher to come back', async () => {
  const { stream, feed, phase, text } = setUp();
  feed(7);
  phase('interrupted');
  const playlist = await text();
  expect(playlist).not.toContain('ENDLIST');
  const waiting = text({ ...nextOf(playlist), skip: false });
  await Promise.resolve();
  expect(stream.waiting).toBe(1);
  feed(1);
  expect(await waiting).toContain('#EXTM3U');
});

test('an ended session ends the playlist, answers whoever waits, and is forgotten a minute later', async () => {
  const { clock, stream, feed, phase, text } = setUp();
  feed(7);
  const waiting = text({ ...nextOf(await text()), skip: false });
  const held = stream.resource(`part-abcd1234-${String(nextOf(await text()).msn)}.2.m4s`, never);
  phase('ended');
  expect(await waiting).toContain('#EXT-X-ENDLIST');
  await expect(held).rejects.toMatchObject({ code: 'NOT_FOUND' });
  clock.advance(60_000);
  await expect(text()).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('everybody with the same token gets the same bytes, composed once', async () => {
  const { stream, feed } = setUp();
  feed(7);
  const [a, b, c] = await Promise.all([stream.playlist(PLAIN, 't', never), stream.playlist(PLAIN, 't', never), stream.playlist(PLAIN, 'u', never)]);
  expect(a).toBe(b);
  expect(c).not.toBe(a);
  expect(a.gzip()).toBe(b.gzip());
  expect(gunzipSync(a.gzip())).toEqual(a.plain);
});

test('disposing answers whoever waits', async () => {
  const { stream, feed, text } = setUp();
  feed(7);
  const waiting = text({ ...nextOf(await text()), skip: false });
  await Promise.resolve();
  stream[Symbol.dispose]();
  await expect(waiting).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('[SD-53] closing refuses whoever waits and whoever comes with its reason, and takes the branch off the parts', async () => {
  const { stream, feed, text, parts } = setUp();
  feed(7);
  const next = nextOf(await text());
  const waiting = [text({ ...next, skip: false }), text({ msn: next.msn + 1, part: 0, skip: false }), stream.resource(`part-abcd1234-${String(next.msn)}.${String(next.part)}.m4s`, never)];
  await Promise.resolve();
  expect([stream.waiting, parts.branchCount]).toEqual([3, 1]);
  stream.close(new MediaError('FAILED_PRECONDITION', 'off', { reason: 'DISTRIBUTION_OFF' }));
  for (const each of [...waiting, text(), stream.multivariant(null, never), stream.resource('seg-x-1.m4s', never)]) await expect(each).rejects.toMatchObject({ reason: 'DISTRIBUTION_OFF' });
  expect([stream.waiting, parts.branchCount]).toEqual([0, 0]);
});

test('[SD-53] one that is made in the middle of a session begins with the next random access picture, under names not used before', async () => {
  const { feed, skip, text } = setUp();
  skip(7);
  feed(3);
  await expect(text()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  feed(6);
  const playlist = await text();
  const [, msn] = /#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(playlist) ?? [];
  expect(playlist).toContain(`#EXT-X-MAP:URI="init-abcd1234-${String(msn)}.mp4"`);
  expect(playlist.match(/#EXT-X-PART:[^\n]*/)?.[0]).toContain('INDEPENDENT=YES');
});

test('a viewer counts for ten seconds after its last request', () => {
  const viewers = new RecentViewers();
  viewers.seen('a', 0);
  viewers.seen('b', 5_000);
  viewers.seen('b', 6_000);
  expect(viewers.count(10_000)).toBe(2);
  expect(viewers.count(10_001)).toBe(1);
  expect(viewers.count(16_001)).toBe(0);
});
