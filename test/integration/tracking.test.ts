/** The inspection belt by RTSP through the whole server: every defect is one object, from where it comes into the picture to where it leaves. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { trackingQuality } from '../../bench/support/tracking-quality.ts';
import type { TrackedPicture } from '../../bench/support/tracking-quality.ts';
import { LiveDetections, storedDetections } from '../support/detections.ts';
import { InspectionTruth, MIN_IOU } from '../support/inspection-truth.ts';
import { ffmpegPush } from '../support/media.ts';
import { pictureKey, recordedFramesOf } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';

const CLIP = join(import.meta.dirname, '..', '..', 'demo', 'clips', 'inspection-720p30.mp4');
const MODEL = 'inspect-320';

const stack = new AsyncDisposableStack();
let server: TestServer;

beforeAll(async () => { server = stack.use(await TestServer.start()); });
afterAll(() => stack.disposeAsync());

test('[INF-6] on the belt a defect keeps its id from entering to leaving, at viewers as in the database', { timeout: 180_000 }, async () => {
  const camera = await server.addCamera('belt', { pipelines: [MODEL] });
  using live = await LiveDetections.open(camera.urls['websocket'] ?? '', server.token);
  const { code } = await ffmpegPush(CLIP, server.rtspUrl(camera)).exit;
  expect(code).toBe(0);
  const stored = await until('everything that was told live is stored', async () => {
    const heard = live.messages.flatMap(({ detections }) => detections);
    const rows = await storedDetections(server, `camera=belt&model=${MODEL}`);
    return rows.length === heard.length && heard.length > 200 && rows;
  });
  const told = [...live.messages];
  const key = (epoch: number, rtpTimestamp: number, id: string | null): string => `${pictureKey(epoch, rtpTimestamp)} ${String(id)}`;
  const liveIds = told.flatMap(({ epoch, rtp_timestamp: at, detections }) => detections.map(({ track_id: id }) => key(epoch, at, id)));
  expect(liveIds.filter((id) => id.endsWith('null'))).toEqual([]);
  expect(new Set(liveIds).size).toBe(liveIds.length); // none twice in a picture
  expect(stored.map(({ stream_epoch: epoch, rtp_timestamp: at, track_id: id }) => key(epoch, at, id)).sort()).toEqual(liveIds.toSorted());

  const clipFrame = await until('every inferred picture is recorded', async () => {
    const frames = await recordedFramesOf(CLIP, server.dataDir, 'belt');
    return told.every(({ epoch, rtp_timestamp: at }) => frames.has(pictureKey(epoch, at))) && frames;
  });
  const truth = new InspectionTruth();
  const quality = trackingQuality(told.map(({ epoch, rtp_timestamp: at, detections }): TrackedPicture => ({
    truth: truth.objects(clipFrame.get(pictureKey(epoch, at)) ?? -1),
    tracked: detections.map(({ class_id: classId, bbox, track_id: id }) => ({ id: Number(id), classId, bbox })),
  })), MIN_IOU);
  console.info('tracks of the inspection belt:', JSON.stringify({ pictures: told.length, ...quality }));
  expect(quality.objects - quality.misses).toBeGreaterThan(200);
  // `bench tracker` says 0.997 and 0.905. Where a machine is too slow for half of the pictures, they are 0.95 and 0.88 at least.
  expect(quality.kept).toBeGreaterThanOrEqual(0.9);
  expect(quality.idf1).toBeGreaterThanOrEqual(0.8);
});
