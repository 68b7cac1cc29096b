/** Pictures of the inspection belt with a defect go to the archive: the very picture of the detection, through the whole server. */
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ffmpegPush } from '../../support/media.ts';
import { countedFrames } from '../../support/mp4-packets.ts';
import { recordedPictures } from '../../support/recordings.ts';
import { TestServer, until } from '../../support/server.ts';

const CAMERA = 'belt';
const CLIP = join(import.meta.dirname, '..', '..', '..', 'demo', 'clips', 'inspection-720p30.mp4');

interface Frame { id: string; captured_at: string; state: string; key: string; sha256: string; classes: string[]; reason: string }
interface Description { captured_at: string; image: { key: string; sha256: string; width: number; height: number }; detections: { class_name: string; confidence: number; model: string; frame: { epoch: number; rtp_timestamp: number } }[] }

const stack = new AsyncDisposableStack();
let server: TestServer;

beforeAll(async () => { server = stack.use(await TestServer.start()); });
afterAll(() => stack.disposeAsync());

const frames = async (): Promise<Frame[]> => (await server.request<{ items: Frame[] }>('GET', `/v1/frames?camera=${CAMERA}`)).items;

test('[SD-51] what a camera\'s rule names goes to the archive as the very picture in which it was detected; off it goes no more; kill -9 of control loses none', { timeout: 180_000 }, async () => {
  const camera = await server.addCamera(CAMERA, { pipelines: ['inspect-320'] });
  await using _push = ffmpegPush(CLIP, server.rtspUrl(camera), { loop: true });
  await until('something is detected', async () => (await server.request<{ items: unknown[] }>('GET', `/v1/detections?camera=${CAMERA}&limit=1`)).items.length > 0, 60_000);
  expect(await frames()).toEqual([]);
  const classes = [...new Set((await server.request<{ items: { class_name: string }[] }>('GET', `/v1/detections?camera=${CAMERA}&limit=500`)).items.map(({ class_name }) => class_name))];
  await server.request('PATCH', `/v1/cameras/${CAMERA}`, { recording: { policy: 'always', archive_frames: { detected: classes.map((class_name) => ({ class_name, min_confidence: 0.4 })), every_seconds: 1 } } });
  await until('some are stored', async () => (await frames()).filter(({ state }) => state === 'stored').length >= 3, 60_000);

  const [control] = await server.pids('control');
  process.kill(control ?? 0, 'SIGKILL');
  await until('control is back', async () => (await server.fetch('/v1/health').catch(() => undefined))?.status === 200, 30_000);
  const before = (await frames()).length;
  await until('more are chosen', async () => (await frames()).length > before + 1, 60_000);
  await server.request('PATCH', `/v1/cameras/${CAMERA}`, { recording: { policy: 'always' } });
  const all = await until('all are stored', async () => { const listed = await frames(); return listed.every(({ state }) => state === 'stored') && listed; }, 60_000);

  const recorded = new Map((await recordedPictures(server.dataDir, CAMERA)).map(({ frame, wall }) => [`${String(frame.epoch)}/${String(frame.rtpTs)}`, wall]));
  for (const { key, sha256, captured_at, reason, classes: chosenBy } of all) {
    const jpeg = await readFile(join(server.dataDir, 'archive', key));
    const description = JSON.parse(await readFile(join(server.dataDir, 'archive', key.replace('.jpg', '.json')), 'utf8')) as Description;
    expect(createHash('sha256').update(jpeg).digest('hex')).toBe(sha256);
    expect([reason, description.captured_at, description.image]).toEqual(['detected', captured_at, { key, sha256, width: 1280, height: 720 }]);
    expect(await countedFrames(join(server.dataDir, 'archive', key))).toBe(1);
    expect(description.detections.map(({ class_name }) => class_name)).toEqual(expect.arrayContaining(chosenBy));
    // The frame that the detections name, found in the recording by its identity, gives the same bytes.
    const [first] = description.detections;
    const wall = recorded.get(`${String(first?.frame.epoch)}/${String(first?.frame.rtp_timestamp)}`);
    if (wall === undefined) throw new Error('the picture of the detection is recorded');
    const snapshot = await server.fetch(`/v1/recordings/${CAMERA}/snapshot?at=${new Date(Math.round(wall)).toISOString()}&format=jpeg`);
    expect(Buffer.from(await snapshot.arrayBuffer()).equals(jpeg), `${key} is the picture of its detections`).toBe(true);
  }
  const image = await server.fetch(`/v1/frames/${all[0]?.id ?? ''}/image`);
  expect([image.status, image.headers.get('content-type')]).toEqual([200, 'image/jpeg']);
  expect(await readdir(join(server.dataDir, 'frames'))).toEqual([]);
  const count = all.length;
  await until('more was detected since', async () => (await server.request<{ items: { captured_at: string }[] }>('GET', `/v1/detections?camera=${CAMERA}&limit=1`)).items.some(({ captured_at }) => Date.parse(captured_at) > Date.parse(all[0]?.captured_at ?? '') + 5_000), 30_000);
  expect((await frames()).length).toBe(count);
});
