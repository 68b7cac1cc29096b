/** Why something is missing between recordings, as a whole server tells it: a camera that leaves, one that loses pictures, one that sends VP8 for a while. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../../support/chromium.ts';
import { blankPage, publishCamera, receivedByServer } from '../../support/live-peers.ts';
import { clip, ffmpegPush } from '../../support/media.ts';
import { readClip } from '../../support/mp4-source.ts';
import { expectPlaysEverywhere } from '../../support/plays-everywhere.ts';
import { closedSegments, endOf, playbackPath, recordedPictures, segmentsOf, startOf } from '../../support/recordings.ts';
import type { Segment } from '../../support/recordings.ts';
import { playScript } from '../../support/scripted-camera.ts';
import { TestServer, until } from '../../support/server.ts';
import type { Camera } from '../../support/server.ts';

interface Gap { readonly duration: number; readonly cause: string | null }

const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;
let page: Page;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-gaps-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '2' } }));
  const browser = stack.use(await startChromium());
  page = await blankPage(() => browser.context.newPage(), server);
});
afterAll(() => stack.disposeAsync());

/** Once nothing is recorded any more. */
const gapsOf = async (camera: string): Promise<readonly Gap[]> => {
  await closedSegments(server, camera);
  return (await server.request<{ items: Gap[] }>('GET', `/v1/recordings/${camera}/gaps?limit=100`)).items;
};

/** A playback of everything has every picture that was recorded, and plays everywhere. */
const expectAllPlayed = async (camera: string): Promise<void> => {
  const segments = await closedSegments(server, camera);
  const response = await server.fetch(playbackPath(camera, Math.floor(startOf(segments[0]!)), Math.ceil(endOf(segments.at(-1)!)) + 1));
  const path = join(folder, `${camera}.mp4`);
  await writeFile(path, Buffer.from(await response.arrayBuffer()));
  expect((await expectPlaysEverywhere(page, path)).counted).toBe((await recordedPictures(server.dataDir, camera)).length);
};

test('[REC-4] a camera that said goodbye and came back: publisher_left', async () => {
  const camera = await server.addCamera('leaves', { pipelines: [] });
  for (let i = 0; i < 2; i++) {
    const known = i === 0 ? 0 : (await closedSegments(server, camera.id)).length;
    await using push = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { output: ['-t', '3', '-c', 'copy'] });
    expect(await push.exit).toMatchObject({ code: 0 });
    await until('it is recorded', async () => (await closedSegments(server, camera.id)).length > known);
    if (i === 0) await sleep(3_000);
  }
  const gaps = await gapsOf(camera.id);
  expect(gaps).toMatchObject([{ cause: 'publisher_left' }]);
  expect(gaps[0]?.duration).toBeGreaterThan(2);
  await expectAllPlayed(camera.id);
});

test('[REC-4] a camera that stays connected and whose pictures are missing for three seconds: network_loss', async () => {
  const camera = await server.addCamera('loses', { pipelines: [] });
  const { tracks: { video }, units } = readClip(clip('counter-720p30.mp4'));
  if (video?.codec !== 'h264') throw new Error('the clip is H.264');
  const pictures = units.filter(({ kind, at }) => kind === 'video' && at < 9_000 && (at < 3_000 || at >= 6_000));
  const script = pictures.map(({ at, data }) => ({ kind: 'video' as const, at, rtpTimestamp: Math.round(at * 90), data }));
  await playScript({ url: `${server.rtsp}/${camera.id}`, key: camera.publish_key }, { video, audio: null }, script);
  const gaps = await gapsOf(camera.id);
  expect(gaps).toMatchObject([{ cause: 'network_loss' }]);
  expect(Math.abs((gaps[0]?.duration ?? 0) - 3)).toBeLessThan(0.5);
  expect(await recordedPictures(server.dataDir, camera.id)).toHaveLength(pictures.length);
  await expectAllPlayed(camera.id);
});

test('[REC-1] [REC-4] H.264, then VP8, then H.264 of one camera: what is VP8 is not recorded, the gap says so, and a playback goes over it', async () => {
  const camera: Camera = await server.addCamera('changes', { pipelines: [] });
  const received = () => receivedByServer(server, camera.id).catch(() => 0);
  /** Publishes until `seconds` of pictures have come, and says goodbye. */
  const publish = async (name: string, codec: 'video/H264' | 'video/VP8', seconds: number): Promise<void> => {
    const location = await publishCamera(page, camera.urls['whip'] ?? '', camera.publish_key, name, codec);
    await until('pictures come', async () => (await received()) > 0);
    const before = await received();
    await until('enough have come', async () => (await received()) >= before + seconds * 20, 60_000);
    const gone = await fetch(new URL(location, camera.urls['whip']), { method: 'DELETE', headers: { authorization: `Bearer ${camera.publish_key}` } });
    expect(gone.status).toBe(200);
  };
  const begunSince = async (time: number): Promise<Segment[]> => (await segmentsOf(server, camera.id)).filter((segment) => startOf(segment) >= time);
  await publish('first', 'video/H264', 4);
  await closedSegments(server, camera.id);
  const second = Date.now();
  await publish('second', 'video/VP8', 4);
  expect(await begunSince(second)).toEqual([]);
  const third = Date.now();
  await publish('third', 'video/H264', 4);
  await until('it is recorded again', async () => (await begunSince(third)).length > 0);
  const gaps = await gapsOf(camera.id);
  expect(gaps).toMatchObject([{ cause: 'codec_not_recorded' }]);
  expect(gaps[0]?.duration).toBeGreaterThan(3);
  const segments = await closedSegments(server, camera.id);
  expect(segments.flatMap(({ tracks }) => tracks.map(({ codec }) => codec.slice(0, 4))).every((codec) => codec === 'avc1')).toBe(true);
  await expectAllPlayed(camera.id);
});
