/** Every recorded file and every range of a camera that changed its codec, its size and its sound, and was away in between: ffprobe, ffmpeg, mediabunny and Chromium play them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import { playVod } from '../support/hls-player.ts';
import { blankPage } from '../support/live-peers.ts';
import { clip, ffmpegMake, ffmpegPush } from '../support/media.ts';
import { decodedPictures, packetsOf } from '../support/mp4-packets.ts';
import type { Mp4Packet } from '../support/mp4-packets.ts';
import { expectPlaysEverywhere } from '../support/plays-everywhere.ts';
import { seededRandom } from '../support/random.ts';
import { closedSegments, endOf, filesOf, playbackPath, segmentsOf, startOf, wallTimesOf } from '../support/recordings.ts';
import type { Segment } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';
import { playToEnd } from '../support/video-player.ts';
import type { VideoPlayed } from '../support/video-player.ts';

const CAMERA = 'changes';
const FRAME_MS = 1000 / 30;
const RANGES = 6;

const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;
let page: Page;
let segments: readonly Segment[];
let walls: ReadonlyMap<string, number>;
/** Wall times of each file's first picture and of the end of its last: what an index says is media time, which a publisher's burst has slewed. */
const spans: { readonly from: number; readonly to: number }[] = [];
/** What was pushed one after the other: High with AAC; Baseline, smaller, with Opus; B-frames without sound. */
const publications: { readonly pictures: number; readonly size: string; readonly sound: 'mp4a' | 'Opus' | null }[] = [];

const seconds = ['-t', '6'];
const encode = (...more: readonly string[]): string[] => ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '30', ...more];
const pushAndWait = async (path: string): Promise<void> => {
  const camera = server.rtspUrl(cameraOf);
  const known = (await segmentsOf(server, CAMERA)).length;
  await using push = ffmpegPush(path, camera);
  const { code, stderr } = await push.exit;
  if (code !== 0) throw new Error(`ffmpeg ended with ${String(code)}: ${stderr}`);
  await until('it is recorded', async () => { const all = await segmentsOf(server, CAMERA); return all.length > known && all.every(({ open }) => !open); });
};
let cameraOf: Awaited<ReturnType<TestServer['addCamera']>>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-plays-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '4' } }));
  const tone = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'];
  const clips = await Promise.all([
    ffmpegMake(['-i', clip('counter-720p30.mp4'), ...tone, ...seconds, '-map', '0:v', '-map', '1:a', '-c:v', 'copy', '-c:a', 'aac'], join(folder, 'high-aac.mp4')),
    ffmpegMake(['-i', clip('vtest-720p30.mp4'), ...tone, ...seconds, '-map', '0:v', '-map', '1:a', '-vf', 'scale=640:360', ...encode('-profile:v', 'baseline'), '-c:a', 'libopus', '-ac', '2'], join(folder, 'baseline-opus.mp4')),
    ffmpegMake(['-i', clip('vtest-720p30-bframes.mp4'), ...seconds, '-c', 'copy', '-an'], join(folder, 'bframes.mp4')),
  ]);
  cameraOf = await server.addCamera(CAMERA, { pipelines: [] });
  for (const [i, path] of clips.entries()) {
    publications.push({ pictures: (await packetsOf(path)).length, size: i === 1 ? '640x360' : '1280x720', sound: (['mp4a', 'Opus', null] as const)[i] ?? null });
    await pushAndWait(path);
    await new Promise((resolve) => { setTimeout(resolve, 1000); }); // the gap
  }
  segments = await closedSegments(server, CAMERA);
  walls = await wallTimesOf(server.dataDir, CAMERA);
  for (const { path } of await filesOf(server.dataDir, CAMERA)) {
    const times = (await packetsOf(path)).map(({ hash }) => walls.get(hash) ?? NaN);
    spans.push({ from: Math.min(...times), to: Math.max(...times) + FRAME_MS });
  }
  const browser = stack.use(await startChromium());
  page = await blankPage(() => browser.context.newPage(), server);
});
afterAll(() => stack.disposeAsync());

const expectPlayed = (played: VideoPlayed, pictures: number, what: string): void => {
  expect(played.error, what).toBeNull();
  expect(played.pictures, `${what}: pictures`).toBeGreaterThanOrEqual(Math.floor(pictures * 0.95) - 1);
};
const download = async (from: number, to: number): Promise<string> => {
  const response = await server.fetch(playbackPath(CAMERA, from, to));
  expect(response.status).toBe(200);
  const path = join(folder, `${String(from)}-${String(to)}.mp4`);
  await writeFile(path, Buffer.from(await response.arrayBuffer()));
  return path;
};
const playbackUrl = (from: number, to: number): string => `${server.http}${playbackPath(CAMERA, from, to)}&token=${encodeURIComponent(server.token)}`;

/** Within one frame: no other picture was recorded between this one and the moment that was asked for. A frame lasts longer or shorter on the wall while a burst is slewed. */
const expectNextTo = (moment: number, picture: Mp4Packet | undefined, what: string): void => {
  const wall = walls.get(picture?.hash ?? '') ?? Infinity;
  expect(Math.abs(wall - moment), what).toBeLessThanOrEqual(1.5 * FRAME_MS);
  const [low, high] = [Math.min(wall, moment) + 1, Math.max(wall, moment) - 1];
  expect([...walls.values()].filter((other) => other > low && other < high), what).toEqual([]);
};

test('[REC-4] the camera was recorded three times over, with gaps on record, each time with its own codec, size and sound', () => {
  const starts = segments.filter(({ gap_before: gap }, i) => i === 0 || gap !== null);
  expect(starts).toHaveLength(publications.length);
  expect(starts.map(({ tracks }) => tracks.find(({ kind }) => kind === 'video')).map((track) => `${String(track?.width)}x${String(track?.height)}`)).toEqual(publications.map(({ size }) => size));
  expect(new Set(starts.map(({ tracks }) => tracks.find(({ kind }) => kind === 'video')?.codec)).size).toBeGreaterThanOrEqual(2);
  expect(starts.map(({ tracks }) => tracks.find(({ kind }) => kind === 'audio')?.codec.slice(0, 4).toLowerCase() ?? null)).toEqual(publications.map(({ sound }) => sound?.toLowerCase() ?? null));
  expect(walls.size).toBe(publications.reduce((sum, { pictures }) => sum + pictures, 0));
});

test('[REC-1] every recorded file plays everywhere, with its sound', async () => {
  const files = await filesOf(server.dataDir, CAMERA);
  expect(files.length).toBe(segments.length);
  for (const [i, { path, id }] of files.entries()) {
    const { counted, audioBytes } = await expectPlaysEverywhere(page, path);
    expect(counted, id).toBe((await packetsOf(path)).length);
    expect(audioBytes > 0, `${id}: sound`).toBe(segments[i]?.tracks.some(({ kind }) => kind === 'audio'));
  }
});

describe('[REC-5] a range', () => {
  /** Begins and ends where something was recorded. */
  const ranges = (): [number, number][] => {
    const random = seededRandom(20261126);
    const somewhere = (): number => {
      const { from, to } = spans[Math.floor(random() * spans.length)]!;
      return Math.round(from + random() * (to - from));
    };
    const found: [number, number][] = spans.map(({ from, to }) => [Math.ceil(from), Math.floor(to)]);
    found.push([Math.ceil(spans[0]!.from), Math.floor(spans.at(-1)!.to)]);
    while (found.length < spans.length + 1 + RANGES) {
      const [from = 0, to = 0] = [somewhere(), somewhere()].toSorted((a, b) => a - b);
      if (to - from > 200) found.push([from, to]);
    }
    return found;
  };

  test('of one publication or across several, their gaps and changes: begins and ends within one frame of what was asked, decodes, and Chromium plays it to its end', async () => {
    let across = 0;
    for (const [from, to] of ranges()) {
      const what = `${String(from - startOf(segments[0]!))}..${String(to - startOf(segments[0]!))}`;
      const path = await download(from, to);
      const shown = (await packetsOf(path)).filter((packet) => packet.shown).toSorted((a, b) => a.pts - b.pts);
      const [first, last] = [shown[0], shown.at(-1)];
      expect(Math.abs(first?.pts ?? Infinity), what).toBeLessThanOrEqual(0.001);
      expectNextTo(from, first, `${what}: first`);
      expectNextTo(to, last, `${what}: last`);
      // As long as what was asked: the gaps are in it.
      expect(Math.abs((last?.pts ?? 0) * 1000 - (to - from)), `${what}: length`).toBeLessThanOrEqual(1000);
      const sizes = new Set(segments.filter((segment) => startOf(segment) < to && endOf(segment) > from).map(({ tracks }) => tracks.find(({ kind }) => kind === 'video')?.width));
      if (sizes.size > 1) {
        across++;
        await expectPlaysEverywhere(page, path);
      }
      expect(await decodedPictures(path), what).toBeGreaterThanOrEqual(shown.length);

      const played = await playToEnd(page, playbackUrl(from, to));
      expectPlayed(played, shown.length, what);
      expect(new Set(played.sizes).size, `${what}: sizes ${played.sizes.join(' ')}`).toBe(sizes.size);
    }
    expect(across).toBeGreaterThanOrEqual(2);
  });

  /** Wall time of the first picture of publication `first` and of the end of publication `last`. */
  const over = (first: number, last: number): [number, number] => {
    const begins = segments.flatMap(({ gap_before: gap }, i) => (i === 0 || gap !== null ? [i] : []));
    return [Math.ceil(spans[begins[first]!]!.from), Math.floor(spans[(begins[last + 1] ?? segments.length) - 1]!.to)];
  };

  test('as HLS over another size, another profile and another codec of the sound: hls.js plays it to its end', async () => {
    const played = await playVod(page, playbackUrl(...over(0, 1)).replace('/playback?', '/playback.m3u8?'));
    expect(played).toMatchObject({ error: null, errors: [] });
    expect(played.pictures).toBeGreaterThanOrEqual((publications[0]!.pictures + publications[1]!.pictures) * 0.95);
  });

  test('as HLS from sound to none: hls.js plays it to its end, without sound', async () => {
    const played = await playVod(page, playbackUrl(...over(0, 2)).replace('/playback?', '/playback.m3u8?'));
    expect(played).toMatchObject({ error: null, errors: [] });
    expect(played.pictures).toBeGreaterThanOrEqual(publications.reduce((sum, { pictures }) => sum + pictures, 0) * 0.95);
  });

  test('fragmented: of one publication it plays everywhere, with its sound; over a change of size it is refused before the first byte, and says where', async () => {
    for (const [i, { pictures, sound }] of publications.entries()) {
      const response = await server.fetch(`${playbackPath(CAMERA, ...over(i, i))}&format=fmp4`);
      const path = join(folder, `fragmented-${String(i)}.mp4`);
      await writeFile(path, Buffer.from(await response.arrayBuffer()));
      const { counted, audioBytes } = await expectPlaysEverywhere(page, path);
      expect([counted, audioBytes > 0]).toEqual([pictures, sound !== null]);
    }
    const refused = await server.fetch(`${playbackPath(CAMERA, ...over(0, 2))}&format=fmp4`);
    expect([refused.status, await refused.json()]).toMatchObject([422, { code: 'TRACKS_CHANGE', at: segments.filter(({ gap_before: gap }) => gap !== null)[0]!.start }]);
  });

  test('in which nothing was recorded is 404, one that is none 400', async () => {
    const gap = segments.find(({ gap_before: before }) => before !== null)!;
    const [from, to] = [Math.ceil(startOf(gap) - 1000 * (gap.gap_before ?? 0) + 100), Math.floor(startOf(gap) - 100)];
    expect((await server.fetch(playbackPath(CAMERA, from, to))).status).toBe(404);
    expect((await server.fetch(playbackPath(CAMERA, to, from))).status).toBe(400);
  });
});
