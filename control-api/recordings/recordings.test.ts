import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PlaybackRange, SegmentRecord } from '../../recorder/port.ts';
import { fakeFile, fakeReader, startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';
import { ifRangeAllows, parseRange } from '../range.ts';

const T0 = Date.parse('2026-11-22T10:00:00.000Z');
const at = (seconds: number): string => new Date(T0 + seconds * 1000).toISOString();
const BYTES = randomBytes(10_000);

/** Segments of 10 s from `from` on; `null` is a hole of 10 s. */
const segments = (camera: string, session: string, from: number, pattern: readonly (1 | null)[]) =>
  pattern.flatMap((present, i) => {
    if (present === null) return [];
    const start = T0 + from * 1000 + i * 10_000;
    return [{
      id: `${camera}/${String(start)}-${session}-${String(i)}`, camera_id: camera, session_id: session, epoch: T0, start_ms: start, end_ms: start + 10_000, bytes: 1000, sha256: 'ab', open: 0 as const,
      tracks: JSON.stringify([{ kind: 'video', codec: 'avc1.64001f', width: 1280, height: 720 }]), gap_before: pattern[i - 1] === null ? 10_000 : null, gap_cause: pattern[i - 1] === null ? 'disk' : null, expired_at: null,
    }];
  });

describe('recordings', () => {
  let h: Harness;
  let token: string;
  const asked: { range: PlaybackRange; segments: readonly SegmentRecord[] }[] = [];
  beforeAll(async () => {
    h = await startApi({ segmentReader: fakeReader({ playback: (range, list) => { asked.push({ range, segments: list }); return Promise.resolve(fakeFile(BYTES)); } }) });
    token = (await h.login()).access_token;
    await h.call('POST', '/v1/cameras', { token, json: { id: 'empty' } });
    await h.db.insertInto('segments').values([...segments('cam', 'a', 0, [1, 1, 1, null, 1, 1]), ...segments('cam', 'b', 100, [1, 1]), ...segments('gone', 'c', 5, [1])]).execute();
    await h.db.insertInto('segments').values({ ...segments('cam', 'x', 300, [1])[0], expired_at: T0 } as never).execute();
    await h.db.updateTable('segments').set({ open: 1, sha256: null }).where('session_id', '=', 'b').where('start_ms', '=', T0 + 110_000).execute();
  });
  afterAll(async () => { await h[Symbol.asyncDispose](); });
  const get = <T = { items: Record<string, unknown>[]; next_cursor: string | null }>(path: string) => h.call<T>('GET', path, { token });

  test('the search lists gapless runs, newest first, of cameras that are gone too', async () => {
    const { body } = await get('/v1/recordings');
    expect(body.items.map(({ camera, session_id, start, duration, segments: count, open }) => [camera, session_id, start, duration, count, open])).toEqual([
      ['cam', 'b', at(100), 20, 2, true], ['cam', 'a', at(40), 20, 2, false], ['gone', 'c', at(5), 10, 1, false], ['cam', 'a', at(0), 30, 3, false],
    ]);
    expect((await get(`/v1/recordings?camera=cam&from=${at(45)}&to=${at(60)}`)).body.items).toMatchObject([{ start: at(40) }]);
    const pages: unknown[] = [];
    let cursor: string | null = null;
    do {
      const { body: page }: { body: { items: Record<string, unknown>[]; next_cursor: string | null } } = await get(`/v1/recordings?limit=1${cursor === null ? '' : `&cursor=${cursor}`}`);
      pages.push(...page.items.map(({ start }) => start));
      cursor = page.next_cursor;
    } while (cursor !== null);
    expect(pages).toEqual([at(100), at(40), at(5), at(0)]);
  });

  test('segments are those that overlap, as the contract shapes them, without expired ones', async () => {
    const { body } = await get(`/v1/recordings/cam/segments?from=${at(15)}&to=${at(30)}`);
    expect(body.items).toEqual([1, 2].map((i) => ({
      id: expect.stringMatching(/^cam\//) as string, start: at(i * 10), duration: 10, bytes: 1000, sha256: 'ab', prev_sha256: null, tracks: [{ kind: 'video', codec: 'avc1.64001f', width: 1280, height: 720 }],
      gap_before: null, pinned: false, archived: false, open: false,
    })));
    expect((await get('/v1/recordings/cam/segments')).body.items).toHaveLength(7);
    expect((await get(`/v1/recordings/cam/segments?from=${at(111)}`)).body.items).toMatchObject([{ open: true, sha256: null }]);
    const first = await get('/v1/recordings/cam/segments?limit=3');
    const second = await get(`/v1/recordings/cam/segments?limit=4&cursor=${first.body.next_cursor ?? ''}`);
    expect([...first.body.items, ...second.body.items].map((item) => item['start'])).toEqual([0, 10, 20, 40, 50, 100, 110].map(at));
    expect(second.body.next_cursor).toBeNull();
  });

  test('gaps tell what is missing', async () => {
    expect((await get('/v1/recordings/cam/gaps')).body.items).toEqual([{ start: at(30), end: at(40), duration: 10, cause: 'disk' }]);
    expect((await get(`/v1/recordings/cam/gaps?from=${at(40)}`)).body.items).toEqual([]);
  });

  test('a camera without recordings has empty lists, one that never was 404', async () => {
    for (const what of ['segments', 'gaps']) {
      expect((await get(`/v1/recordings/empty/${what}`)).body).toEqual({ items: [], next_cursor: null });
      expect((await get(`/v1/recordings/never/${what}`)).status).toBe(404);
    }
    expect((await get(`/v1/recordings/empty/playback?from=${at(0)}&to=${at(10)}`)).body).toMatchObject({ code: 'NOTHING_RECORDED' });
    expect((await get(`/v1/recordings/gone/segments`)).body.items).toHaveLength(1);
  });

  const play = async (headers: Record<string, string> = {}, method = 'GET', path = `/v1/recordings/cam/playback?from=${at(5)}&to=${at(25)}`) => {
    const response = await fetch(`${h.base}${path}`, { method, headers: { authorization: `Bearer ${token}`, ...headers } });
    return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) };
  };

  test('playback is one MP4 of the segments that overlap the range', async () => {
    asked.length = 0;
    const whole = await play();
    expect([whole.status, whole.headers.get('content-type'), whole.headers.get('content-length'), whole.headers.get('accept-ranges')]).toEqual([200, 'video/mp4', '10000', 'bytes']);
    expect(whole.bytes.equals(BYTES)).toBe(true);
    expect(asked.map(({ range, segments: list }) => [range.from, range.to, list.map((segment) => segment.start)])).toEqual([[T0 + 5000, T0 + 25_000, [T0, T0 + 10_000, T0 + 20_000]]]);
    await play({ range: 'bytes=0-9' });
    expect(asked).toHaveLength(1);
  });

  test('[RFC 9110 §14] ranges, conditions and HEAD', async () => {
    const part = await play({ range: 'bytes=100-1999' });
    expect([part.status, part.headers.get('content-range'), part.headers.get('content-length')]).toEqual([206, 'bytes 100-1999/10000', '1900']);
    expect(part.bytes.equals(BYTES.subarray(100, 2000))).toBe(true);
    expect((await play({ range: 'bytes=-5' })).bytes.equals(BYTES.subarray(9995))).toBe(true);
    expect((await play({ range: 'bytes=9990-' })).headers.get('content-range')).toBe('bytes 9990-9999/10000');
    const beyond = await play({ range: 'bytes=10000-' });
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, 'bytes */10000']);
    expect((await play({ range: 'bytes=0-1,5-6' })).status).toBe(200);
    expect((await play({ 'if-none-match': '"file-1"' })).status).toBe(304);
    expect((await play({ range: 'bytes=0-9', 'if-range': '"file-1"' })).status).toBe(206);
    expect((await play({ range: 'bytes=0-9', 'if-range': '"file-0"' })).status).toBe(200);
    const head = await play({}, 'HEAD');
    expect([head.status, head.headers.get('content-length'), head.bytes.byteLength]).toEqual([200, '10000', 0]);
    expect((await play({ range: 'bytes=0-9' }, 'HEAD')).status).toBe(206);
  });

  test('a <video> element may give its token in the URL; others may not', async () => {
    const query = `from=${at(5)}&to=${at(25)}&token=${token}`;
    expect((await h.call('GET', `/v1/recordings/cam/playback?${query}`)).status).toBe(200);
    expect((await h.call('GET', `/v1/recordings/cam/segments?${query}`)).status).toBe(401);
  });

  test('times must be times, and in order', async () => {
    for (const query of ['', `from=${at(0)}`, `from=now&to=${at(1)}`, `from=${at(2)}&to=${at(1)}`, `from=${at(1)}&to=${at(1)}`, `from=2026-11-22&to=${at(1)}`]) {
      expect((await get(`/v1/recordings/cam/playback?${query}`)).status, query).toBe(400);
    }
  });
});

test('a client that goes away stops the reading, and one that reads slowly slows it', async () => {
  let read = 0;
  const stopped = Promise.withResolvers<undefined>();
  const endless = {
    ...fakeFile(Buffer.alloc(0)), byteLength: 2 ** 40,
    async *read(_start: number, _end: number, signal: AbortSignal) {
      try {
        for (;;) {
          signal.throwIfAborted();
          await Promise.resolve();
          read += 65_536;
          yield Buffer.alloc(65_536);
        }
      } finally { stopped.resolve(undefined); }
    },
  };
  await using h = await startApi({ segmentReader: fakeReader({ playback: () => Promise.resolve(endless) }) });
  await h.db.insertInto('segments').values(segments('cam', 'a', 0, [1])).execute();
  const { access_token: token } = await h.login();
  const url = `${h.base}/v1/recordings/cam/playback?from=${at(0)}&to=${at(9)}`;
  await new Promise<void>((resolve) => {
    const client = request(url, { headers: { authorization: `Bearer ${token}` } }, (response) => {
      response.once('readable', () => {
        // Nothing is taken: what fits in the buffers of both ends is all that is read.
        response.pause();
        client.destroy();
        resolve();
      });
    });
    client.end();
  });
  await stopped.promise;
  expect(read).toBeLessThan(64 * 1024 * 1024);
});

test('any Range header gives a range within the file, none, or unsatisfiable', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.stringMatching(/^bytes=\d{0,17}-\d{0,17}$/)), fc.nat(100_000), (header, length) => {
    const range = parseRange(header, length);
    if (range === null || range === 'unsatisfiable') return;
    expect(range.start).toBeGreaterThanOrEqual(0);
    expect(range.start).toBeLessThan(range.end);
    expect(range.end).toBeLessThanOrEqual(length);
  }));
  expect(ifRangeAllows('W/"x"', '"x"')).toBe(false);
});
