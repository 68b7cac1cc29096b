/** The inspection belt by RTSP through the whole server: what its database says of each picture against what is really in it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { join } from 'node:path';
import { LiveDetections, storedDetections } from '../support/detections.ts';
import { InspectionTruth } from '../support/inspection-truth.ts';
import { ffmpegPush } from '../support/media.ts';
import { pictureKey as key, recordedFramesOf } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';

const CAMERA = 'belt';
const MODEL = 'inspect-320';
const CLIP = join(import.meta.dirname, '..', '..', 'demo', 'clips', 'inspection-720p30.mp4');
const CONFIDENCE = 0.45;
/** More than one round of the clip at the detector's 15 pictures a second. */
const INFERRED = 400;

const stack = new AsyncDisposableStack();
let server: TestServer;

beforeAll(async () => { server = stack.use(await TestServer.start()); });
afterAll(() => stack.disposeAsync());

test('[EXT-5] [INF-2] inspect-320 finds the defects of the belt: recall and precision of what GET /v1/detections has are at least 0.85', { timeout: 300_000 }, async () => {
  const camera = await server.addCamera(CAMERA, { pipelines: [MODEL] });
  // The database has no row where nothing was found: which pictures were looked at, only the live messages tell.
  using live = await LiveDetections.open(camera.urls['websocket'] ?? '', server.token);
  await using push = ffmpegPush(CLIP, server.rtspUrl(camera), { loop: true });
  await until(`${String(INFERRED)} pictures are inferred`, () => live.messages.length >= INFERRED, 180_000);
  await push[Symbol.asyncDispose]();
  const told = await until('everything that was told live is stored', async () => {
    const heard = live.messages.flatMap((message) => message.detections);
    const stored = await storedDetections(server, `camera=${CAMERA}&model=${MODEL}`);
    return stored.length === heard.length && live.messages.length >= INFERRED && [...live.messages];
  });
  const inferred = told.map(({ epoch, rtp_timestamp: rtpTimestamp }) => key(epoch, rtpTimestamp));
  const clipFrame = await until('every inferred picture is recorded', async () => {
    const frames = await recordedFramesOf(CLIP, server.dataDir, CAMERA);
    return inferred.every((picture) => frames.has(picture)) && frames;
  });

  const stored = Map.groupBy(await storedDetections(server, `camera=${CAMERA}&model=${MODEL}&min_confidence=${String(CONFIDENCE)}`), (each) => key(each.stream_epoch, each.rtp_timestamp));
  expect([...stored.keys()].filter((picture) => !inferred.includes(picture))).toEqual([]);
  const truth = new InspectionTruth();
  for (const picture of inferred) truth.compare(clipFrame.get(picture) ?? -1, (stored.get(picture) ?? []).map(({ class_id: classId, bbox }) => ({ classId, bbox })));
  console.info('inspection belt:', JSON.stringify({ pictures: inferred.length, defects: truth.defects, wanted: truth.wanted, recall: truth.recall, said: truth.said, precision: truth.precision }));
  expect(new Set(inferred).size).toBe(inferred.length);
  expect(truth.defects).toBe(truth.allDefects);
  expect(truth.wanted).toBeGreaterThan(300);
  expect(truth.recall).toBeGreaterThanOrEqual(0.85);
  expect(truth.precision).toBeGreaterThanOrEqual(0.85);
});
