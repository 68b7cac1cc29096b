/** kill -9 of the edge again and again, while five cameras are recorded, retention eats the oldest and a mark keeps one of them. `bench/kill-loop` does it fifty times and counts milliseconds. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readClip } from '../../demo/mp4-clip.ts';
import { killEdge, recordedSince } from '../support/kill-edge.ts';
import { clip, ffmpegMake } from '../support/media.ts';
import { NotingCamera } from '../support/noting-camera.ts';
import { seededRandom } from '../support/random.ts';
import { closedSegments, endOf, gapCausesOf, listedWithoutFile, playbackPath, recordedPictures, segmentsOf, startOf } from '../support/recordings.ts';
import type { Segment } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';

const CAMERAS = 5;
/** The supervisor waits twice as long each time the edge dies young: 12.6 s in all. */
const KILLS = 6;
const LOOP_MS = 300_000;
/** A segment lasts longer than this: one that was lost whole would be noticed. */
const MOST_LOST_PICTURES = 60;
const SEGMENT_SECONDS = 4;
/** Less than what is recorded. */
const MAX_BYTES = 600_000;

const stack = new AsyncDisposableStack();
const cameras: NotingCamera[] = [];
const lost: number[] = [];
let server: TestServer;
let pinned: Segment;
/** The first segment of each other camera. */
let first: readonly string[];

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'imageflow-kill-loop-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const pictures = await readClip(await ffmpegMake(['-i', clip('vtest-720p30-baseline.mp4'), '-vf', 'scale=320:-2', '-c:v', 'libx264', '-preset', 'veryfast', '-bf', '0', '-g', '30'], join(folder, 'small.mp4')));
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_SESSION_GRACE_SECONDS: '2', IMAGEFLOW_RECORDER_SEGMENT_SECONDS: String(SEGMENT_SECONDS), IMAGEFLOW_RECORDER_MAX_BYTES: String(MAX_BYTES) } }));
  for (let i = 0; i < CAMERAS; i++) cameras.push(stack.use(new NotingCamera(pictures, server, await server.addCamera(`camera-${String(i)}`, { pipelines: [] }))));
  await recordedSince(server, cameras, 0);
  pinned = await until('a segment to pin', async () => (await segmentsOf(server, 'camera-0')).find(({ open }) => !open));
  await server.request('POST', '/v1/recordings/camera-0/marks', { kind: 'pin', from: pinned.start, to: new Date(endOf(pinned)).toISOString() });
  first = (await Promise.all(cameras.slice(1).map(({ id }) => segmentsOf(server, id)))).flatMap(([segment]) => segment?.id ?? []);
  const random = seededRandom(20261128);
  for (let i = 0; i < KILLS; i++) {
    await sleep(1_000 + random() * 2_000); // anywhere in a part
    lost.push(...await killEdge(server, cameras));
  }
  for (const camera of cameras) await camera[Symbol.asyncDispose]();
  for (const { id } of cameras) await closedSegments(server, id);
}, LOOP_MS);
afterAll(() => stack.disposeAsync());

test('[REC-3] a kill costs the end of what was being written, and nothing in the middle', async () => {
  console.info(`pictures lost, by kill and camera: ${lost.join(' ')}`);
  expect(lost).toHaveLength(KILLS * CAMERAS);
  expect(Math.max(...lost)).toBeLessThanOrEqual(MOST_LOST_PICTURES);
  for (const { id, publications } of cameras) {
    const recorded = new Set((await recordedPictures(server.dataDir, id)).map(({ frame }) => frame.rtpTs));
    for (const sent of publications) {
      const kept = sent.map(({ rtpTimestamp }) => (recorded.has(rtpTimestamp) ? 1 : 0)).join('');
      // Retention may have eaten its beginning, and a pin kept the very first: then both is there.
      expect(kept, id).toMatch(id === 'camera-0' ? /^1*0*1*0*$/ : /^0*1*0*$/);
    }
  }
});

test('[REC-3] afterwards the index is the files, and each of them plays to its end', async () => {
  for (const { id } of cameras) {
    expect(await listedWithoutFile(server, id)).toEqual([]);
    expect(await gapCausesOf(server, id)).toContain('restart');
  }
});

test('[REC-2] [REC-7] meanwhile retention has eaten the oldest, but not what a mark keeps', async () => {
  const all = async (): Promise<Segment[]> => (await Promise.all(cameras.map(({ id }) => segmentsOf(server, id)))).flat();
  await until('no more is kept than may be', async () => (await all()).reduce((sum, { bytes }) => sum + bytes, 0) <= MAX_BYTES);
  expect((await all()).filter((segment) => segment.id === pinned.id)).toMatchObject([{ sha256: pinned.sha256 }]);
  const listed = new Set((await all()).map(({ id }) => id));
  expect(first.some((id) => !listed.has(id))).toBe(true);
});

test('[REC-5] what is left of a camera is one file to play, whatever was killed within', async () => {
  for (const { id } of cameras.slice(1)) {
    const segments = await segmentsOf(server, id);
    const response = await server.fetch(playbackPath(id, Math.floor(startOf(segments[0]!)), Math.ceil(endOf(segments.at(-1)!)) + 1));
    expect(response.status).toBe(200);
    expect((await response.arrayBuffer()).byteLength).toBe(Number(response.headers.get('content-length')));
  }
});
