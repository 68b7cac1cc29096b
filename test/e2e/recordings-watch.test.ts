/** Every way to watch a range of a camera that was away in between, on pictures that carry their number. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import { countersOf } from '../support/frame-counters.ts';
import { playVod } from '../support/hls-player.ts';
import { blankPage } from '../support/live-peers.ts';
import { clip, ffmpegMake, ffmpegPush } from '../support/media.ts';
import { decodedPictures, packetsOf } from '../support/mp4-packets.ts';
import { expectPlaysEverywhere } from '../support/plays-everywhere.ts';
import { seededRandom } from '../support/random.ts';
import { clipFrames, closedSegments, endOf, recordedPictures, segmentsOf, startOf } from '../support/recordings.ts';
import type { Segment } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';
import { playToEnd } from '../support/video-player.ts';

const CAMERA = 'watched';
const FRAME_MS = 1000 / 30;
const SECONDS = '8';

const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;
let page: Page;
let segments: readonly Segment[];
let numbers: ReadonlyMap<string, number>;
/** Every recorded picture in order: its number in the clip and its wall time. */
let pictures: readonly { readonly number: number; readonly wall: number }[];
/** The first and the one past the last moment of each publication. */
let spans: readonly { readonly from: number; readonly to: number; readonly pictures: number }[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-watch-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '2' } }));
  const camera = await server.addCamera(CAMERA, { pipelines: [] });
  const source = clip('counter-720p30.mp4');
  for (let publication = 0; publication < 2; publication++) {
    const known = (await segmentsOf(server, CAMERA)).length;
    await using push = ffmpegPush(source, server.rtspUrl(camera), { output: ['-t', SECONDS, '-c', 'copy'] });
    const { code, stderr } = await push.exit;
    if (code !== 0) throw new Error(`ffmpeg ended with ${String(code)}: ${stderr}`);
    await until('it is recorded', async () => { const all = await segmentsOf(server, CAMERA); return all.length > known && all.every(({ open }) => !open); });
    if (publication === 0) await new Promise((resolve) => { setTimeout(resolve, 2500); }); // the gap
  }
  segments = await closedSegments(server, CAMERA);
  numbers = await clipFrames(source);
  pictures = (await recordedPictures(server.dataDir, CAMERA)).map(({ hash, wall }) => ({ number: numbers.get(hash) ?? NaN, wall }));
  const second = pictures.findIndex(({ number }, i) => i > 0 && number === 0);
  const span = (some: typeof pictures) => ({ from: Math.ceil(some[0]?.wall ?? NaN), to: Math.floor((some.at(-1)?.wall ?? NaN) + FRAME_MS), pictures: some.length });
  spans = [span(pictures.slice(0, second)), span(pictures.slice(second))];
  const browser = stack.use(await startChromium());
  page = await blankPage(() => browser.context.newPage(), server);
});
afterAll(() => stack.disposeAsync());

const url = (what: string, from: number, to: number, more = ''): string =>
  `${server.http}/v1/recordings/${CAMERA}/${what}?from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}${more}&token=${encodeURIComponent(server.token)}`;
/** Numbers of the pictures from the last key frame at or before `from` on, up to `to`. */
const between = (from: number, to: number): number[] => pictures.filter(({ wall }) => wall >= from && wall < to).map(({ number }) => number);

test('the camera was recorded twice, with a gap between, in several files each', () => {
  expect(segments.filter(({ gap_before: gap }, i) => i === 0 || gap !== null)).toHaveLength(2);
  expect(segments.length).toBeGreaterThanOrEqual(6);
  expect(spans.map((span) => span.pictures)).toEqual([240, 240]);
});

describe('[REC-5] HLS', () => {
  test('hls.js plays everything across the gap with the token of the URL alone, and knows what time it is', async () => {
    const [first, second] = [spans[0]!, spans[1]!];
    const played = await playVod(page, url('playback.m3u8', first.from, second.to));
    expect(played).toMatchObject({ error: null, errors: [] });
    expect(played.pictures).toBeGreaterThanOrEqual(470 * 0.95);
    // The gap is a discontinuity: the playlist is as long as what was recorded, and the date jumps.
    expect(Math.abs(played.duration - 16)).toBeLessThan(0.5);
    expect(Math.abs(played.firstDate - first.from)).toBeLessThanOrEqual(2 * FRAME_MS);
    expect(Math.abs(played.lastDate - second.to)).toBeLessThanOrEqual(500);
  });

  test('hls.js begins with the asked picture, within a segment', async () => {
    const from = spans[0]!.from + 3_300;
    const played = await playVod(page, url('playback.m3u8', from, spans[0]!.from + 6_000));
    expect(played).toMatchObject({ error: null, errors: [] });
    expect(Math.abs(played.firstDate - from)).toBeLessThanOrEqual(2 * FRAME_MS);
    expect(played.begin).toBeGreaterThan(0);
    expect(played.begin).toBeLessThanOrEqual(1.1); // key frames are a second apart
  });

  // ffmpeg's own decoding leaves out the first part behind a discontinuity whose media time goes back; what it reads is whole.
  test('ffmpeg reads every picture of the range, in order, and at most a key frame interval before and a part behind it', async () => {
    const [from, to] = [spans[0]!.from + 1_500, spans[1]!.from + 5_300];
    const shown = (await packetsOf(url('playback.m3u8', from, to))).map(({ hash }) => numbers.get(hash));
    const wanted = between(from, to);
    const begin = shown.indexOf(wanted[0] ?? -1);
    expect(begin).toBeGreaterThanOrEqual(0);
    expect(begin).toBeLessThanOrEqual(30);
    expect(shown.slice(begin, begin + wanted.length)).toEqual(wanted);
    expect(shown.length - begin - wanted.length).toBeLessThanOrEqual(7);
  });

  test('the recorded files are there as they are, by range, and not without a token', async () => {
    const { id, bytes } = segments[0]!;
    const path = `/v1/recordings/${CAMERA}/segments/${id.slice(CAMERA.length + 1)}.mp4`;
    const whole = await server.fetch(path);
    expect([whole.status, whole.headers.get('content-type'), whole.headers.get('content-length')]).toEqual([200, 'video/mp4', String(bytes)]);
    expect((await whole.arrayBuffer()).byteLength).toBe(bytes);
    expect((await fetch(`${server.http}${path}`)).status).toBe(401);
    expect((await server.fetch(`/v1/recordings/${CAMERA}/segments/1-nothere1-0.mp4`)).status).toBe(404);
    expect((await server.fetch(`/v1/recordings/${CAMERA}/segments/..%2f..%2fcontrol.db`)).status).toBe(400);
  });

  test('a range in which nothing was recorded is 404', async () => {
    expect((await server.fetch(`/v1/recordings/${CAMERA}/playback.m3u8?from=${new Date(endOf(segments.at(-1)!) + 1000).toISOString()}&to=${new Date(startOf(segments[0]!) + 3_600_000).toISOString()}`)).status).toBe(404);
  });
});

describe('[REC-5] one file, whole and fragmented', () => {
  test.each(['mp4', 'fmp4'])('%s across the gap: every picture once and in order, on one time line, for ffprobe, mediabunny and Chromium', async (format) => {
    const [from, to] = [spans[0]!.from + 1_500, spans[1]!.from + 5_300];
    const response = await server.fetch(`/v1/recordings/${CAMERA}/playback?format=${format}&from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}`);
    expect([response.status, response.headers.get('content-type'), response.headers.get('accept-ranges'), response.headers.has('content-length')]).toEqual([200, 'video/mp4', format === 'mp4' ? 'bytes' : 'none', format === 'mp4']);
    const path = join(folder, `${format}.mp4`);
    await writeFile(path, Buffer.from(await response.arrayBuffer()));
    const packets = await packetsOf(path);
    const all = packets.map(({ hash }) => numbers.get(hash));
    const wanted = between(from, to);
    const begin = all.indexOf(wanted[0]);
    expect(packets[0]?.randomAccess).toBe(true);
    expect(begin).toBeLessThanOrEqual(30);
    expect(all.slice(begin, begin + wanted.length)).toEqual(wanted);
    expect(all.length - begin - wanted.length).toBeLessThanOrEqual(6); // the rest of the last part
    // The gap stands in it as long as it was.
    const [first, last] = [packets[begin], packets[begin + wanted.length - 1]];
    const walls = pictures.filter(({ wall }) => wall >= from && wall < to).map(({ wall }) => wall);
    expect(Math.abs(((last?.pts ?? 0) - (first?.pts ?? 0)) * 1000 - ((walls.at(-1) ?? 0) - (walls[0] ?? 0)))).toBeLessThan(1000);
    expect(packets.every(({ pts }, i) => i === 0 || pts > (packets[i - 1]?.pts ?? Infinity))).toBe(true);
    expect((await expectPlaysEverywhere(page, path)).counted).toBeGreaterThanOrEqual(wanted.length);
    const played = await playToEnd(page, url('playback', from, to, `&format=${format}`));
    expect(played.error).toBeNull();
    expect(played.pictures).toBeGreaterThanOrEqual(wanted.length * 0.95);
  });

  test('a fragmented one has no ranges, and HEAD says so', async () => {
    const path = `/v1/recordings/${CAMERA}/playback?format=fmp4&from=${new Date(spans[0]!.from).toISOString()}&to=${new Date(spans[0]!.to).toISOString()}`;
    const head = await server.fetch(path, { method: 'HEAD' });
    expect([head.status, head.headers.get('accept-ranges'), head.headers.get('content-length')]).toEqual([200, 'none', null]);
    const part = await server.fetch(path, { headers: { range: 'bytes=0-9' } });
    expect(part.status).toBe(200);
    const whole = join(folder, 'whole.mp4');
    await writeFile(whole, Buffer.from(await part.arrayBuffer()));
    expect(await decodedPictures(whole)).toBe(spans[0]!.pictures);
  });
});

describe('[REC-5] pictures', () => {
  const still = async (path: string, headers: Record<string, string> = {}): Promise<{ readonly status: number; readonly headers: Headers; readonly path: string }> => {
    const response = await server.fetch(`/v1/recordings/${CAMERA}/${path}`, { headers });
    const file = join(folder, 'still');
    await writeFile(file, Buffer.from(await response.arrayBuffer()));
    return { status: response.status, headers: response.headers, path: file };
  };

  test('a thumbnail is the very picture of its moment, wherever in the GOP and in whichever file', async () => {
    const random = seededRandom(20261128);
    for (let i = 0; i < 12; i++) {
      const { number, wall } = pictures[Math.floor(random() * pictures.length)]!;
      const { status, headers, path } = await still(i % 2 === 0 ? `thumbnail?at=${new Date(wall).toISOString()}&width=640` : `snapshot?at=${new Date(wall).toISOString()}&format=webp`);
      expect([status, headers.get('content-type')]).toEqual([200, i % 2 === 0 ? 'image/jpeg' : 'image/webp']);
      expect(await countersOf(path), `picture ${String(number)}`).toEqual([number]);
      expect(Math.abs(Date.parse(headers.get('x-picture-time') ?? '') - wall)).toBeLessThanOrEqual(1);
    }
  });

  test('asked again it is the same, and not sent to who has it; in the gap there is none', async () => {
    const query = `thumbnail?at=${new Date(spans[0]!.from + 700).toISOString()}`;
    const [first, second] = [await still(query), await still(query)];
    const etag = first.headers.get('etag') ?? '';
    expect(second.headers.get('etag')).toBe(etag);
    expect((await still(query, { 'if-none-match': etag })).status).toBe(304);
    expect((await still(`thumbnail?at=${new Date(spans[0]!.to + 500).toISOString()}`)).status).toBe(404);
  });

  test('a sprite sheet has a key frame for each part of the range in which something was recorded, and the map says where', async () => {
    const query = `?from=${new Date(spans[0]!.from).toISOString()}&to=${new Date(spans[1]!.to).toISOString()}&count=16&width=320`;
    const map = await (await server.fetch(`/v1/recordings/${CAMERA}/sprites.vtt${query}`)).text();
    const places = [...map.matchAll(/^([\d:.]+) --> .*\n.*#xywh=(\d+),(\d+),(\d+),(\d+)$/gm)].map(([, time = '', x, y, w, h]) => ({ ms: Date.parse(`1970-01-01T${time}Z`), crop: [w, h, x, y].join(':') }));
    expect(places.length).toBeGreaterThanOrEqual(10);
    expect(places.length).toBeLessThan(16);
    const { status, path } = await still(`sprites${query}`);
    expect(status).toBe(200);
    for (const { ms, crop } of places) {
      const tile = await ffmpegMake(['-i', path, '-vf', `crop=${crop}`], join(folder, 'tile.png'));
      const [number] = await countersOf(tile);
      const shown = pictures.findLast(({ wall }) => wall <= spans[0]!.from + ms + 1);
      expect(number, `at ${String(ms)}`).toBe(Math.floor((shown?.number ?? NaN) / 30) * 30);
    }
  });
});
