import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PictureFormat, RecordedPicture } from '../../recorder/port.ts';
import { fakePictures, startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';
import { renderSpriteMap } from './sprite-map.ts';

const T0 = Date.parse('2026-11-22T10:00:00.000Z');
const AT = '2026-11-22T10:00:05.000Z';
let h: Harness;
let token: string;
let made = 0;
const asked: unknown[] = [];

const picture = (format: PictureFormat): Omit<RecordedPicture, 'wall'> => ({
  width: 320, height: 180, etag: `"${format}"`, contentType: format === 'jpeg' ? 'image/jpeg' : 'image/webp', bytes: () => { made++; return Promise.resolve(Buffer.from(format)); },
});

beforeAll(async () => {
  h = await startApi({
    pictures: fakePictures({
      picture: (at, segments, width, format) => { asked.push([at, segments.map(({ start }) => start), width, format]); return Promise.resolve({ ...picture(format), wall: at }); },
      sprites: (range, segments, count, width, format) => {
        asked.push([range, segments.length, count, width, format]);
        return Promise.resolve({ ...picture(format), tiles: [{ from: 0, to: 500, left: 0, top: 0, width, height: 90 }, { from: 3_600_500, to: 3_601_000, left: width, top: 90, width, height: 90 }] });
      },
    }),
  });
  token = (await h.login()).access_token;
  await h.db.insertInto('segments').values([0, 1, 2].map((i) => ({
    id: `cam/${String(T0 + i * 10_000)}-a-${String(i)}`, camera_id: 'cam', session_id: 'a', epoch: 1, start_ms: T0 + i * 10_000, end_ms: T0 + (i + 1) * 10_000, bytes: 1, sha256: 'ab', open: 0 as const, tracks: '[]', gap_before: null, expired_at: null,
  }))).execute();
});
afterAll(async () => { await h[Symbol.asyncDispose](); });

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> => fetch(`${h.base}/v1/recordings/cam/${path}`, { headers: { authorization: `Bearer ${token}`, ...headers } });

test('[REC-5] a thumbnail is asked of the segments around its moment, with its size and the format the client prefers', async () => {
  const jpeg = await get(`thumbnail?at=${AT}`);
  expect([jpeg.status, jpeg.headers.get('content-type'), jpeg.headers.get('x-picture-time'), await jpeg.text()]).toEqual([200, 'image/jpeg', AT, 'jpeg']);
  expect((await get(`thumbnail?at=${AT}&width=160`, { accept: 'image/avif,image/webp,*/*' })).headers.get('content-type')).toBe('image/webp');
  expect((await get(`thumbnail?at=${AT}`, { accept: 'image/webp;q=0, image/*' })).headers.get('content-type')).toBe('image/jpeg');
  expect((await get(`snapshot?at=${AT}&format=webp`)).headers.get('content-type')).toBe('image/webp');
  expect(asked.map((each) => (each as unknown[]).slice(1))).toEqual([[[T0], 320, 'jpeg'], [[T0], 160, 'webp'], [[T0], 320, 'jpeg'], [[T0], null, 'webp']]);
});

test('[REC-5] a client that has the picture gets none made', async () => {
  const before = made;
  expect((await get(`thumbnail?at=${AT}`, { 'if-none-match': '"jpeg"' })).status).toBe(304);
  expect(made).toBe(before);
});

test('[REC-5] a sprite sheet and its map', async () => {
  const query = '?from=2026-11-22T10:00:00Z&to=2026-11-22T10:00:20Z&count=2&width=160';
  expect((await get(`sprites${query}`)).status).toBe(200);
  const map = await get(`sprites.vtt${query}`);
  expect([map.headers.get('content-type'), await map.text()]).toEqual(['text/vtt', `WEBVTT

00:00:00.000 --> 00:00:00.500
sprites${query}#xywh=0,0,160,90

01:00:00.500 --> 01:00:01.000
sprites${query}#xywh=160,90,160,90
`]);
  expect(renderSpriteMap([], '')).toBe('WEBVTT\n\n');
});

test('[REC-5] sizes and counts have bounds, and an `<img>` may give its token in the URL', async () => {
  for (const query of ['', 'at=now', `at=${AT}&width=0`, `at=${AT}&width=100000`, `at=${AT}&format=png`]) expect((await get(`thumbnail?${query}`)).status, query).toBe(400);
  expect((await get('sprites?from=2026-11-22T10:00:00Z&to=2026-11-22T10:00:20Z&count=101')).status).toBe(400);
  const url = `${h.base}/v1/recordings/cam/thumbnail?at=${AT}`;
  expect([(await fetch(url)).status, (await fetch(`${url}&token=${token}`)).status]).toEqual([401, 200]);
  expect((await fetch(`${h.base}/v1/recordings/never/thumbnail?at=${AT}&token=${token}`)).status).toBe(404);
});
