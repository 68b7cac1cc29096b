/** From something seen to evidence: a detected class makes a clip by itself, its range is archived, and it plays when the disk has none of it any more. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { settledDetections } from '../../support/detections.ts';
import { ffmpegMake, ffmpegPush } from '../../support/media.ts';
import { decodedPictures, packetsOf } from '../../support/mp4-packets.ts';
import { closedSegments, endOf, playbackPath, segmentsOf, startOf } from '../../support/recordings.ts';
import { TestServer, until } from '../../support/server.ts';

const CAMERA = 'belt';
const BELT = join(import.meta.dirname, '..', '..', '..', 'demo', 'clips', 'inspection-720p30.mp4');
const SEEN = { class_name: 'scratch', min_confidence: 0.6 };
const ROLL = { pre_seconds: 1.5, post_seconds: 1.5 };
/** Black, four seconds of the belt with a scratch on it, black; a key frame each second. */
const SCENE = 'trim=start_frame=300:end_frame=420,setpts=PTS-STARTPTS,tpad=start_duration=4:stop_duration=4';

interface Mark { readonly kind: string; readonly created_by: string; readonly archive: boolean; readonly tags: readonly string[]; readonly from: string; readonly to: string }

test('[REC-7] [REC-8] [REC-9] a class seen with enough confidence becomes a clip with what came before and after, is archived from the key frame before it on, and plays from there', { timeout: 150_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'imageflow-detected-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const scene = await ffmpegMake(['-i', BELT, '-an', '-vf', SCENE, '-c:v', 'libx264', '-preset', 'veryfast', '-bf', '0', '-g', '30', '-sc_threshold', '0'], join(folder, 'scene.mp4'));
  const server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '1', IMAGEFLOW_RECORDER_WINDOW_MINUTES: '0.1' } }));
  // Nothing is ever as certain as the second class asks for.
  const camera = await server.addCamera(CAMERA, { pipelines: ['inspect-320'], recording: { policy: 'on-event', window_minutes: 60, on_event: { ...ROLL, detected: [SEEN, { class_name: 'deformation', min_confidence: 1 }] } } });
  {
    await using push = ffmpegPush(scene, server.rtspUrl(camera));
    expect(await push.exit).toMatchObject({ code: 0 });
  }
  const segments = await closedSegments(server, CAMERA);
  const detections = await settledDetections(server, `camera=${CAMERA}&source=live`);
  const seen = detections.filter(({ class_name, confidence }) => class_name === SEEN.class_name && confidence >= SEEN.min_confidence).map(({ captured_at }) => Date.parse(captured_at));
  expect(seen.length).toBeGreaterThan(10);
  expect(new Set(detections.map(({ class_name }) => class_name))).toContain('deformation');

  // One clip, from its pre-roll before the first sighting to its post-roll after the last.
  const [from, to] = [seen[0]! - ROLL.pre_seconds * 1000, seen.at(-1)! + ROLL.post_seconds * 1000];
  const mark = await until('the clip has grown to its end', async () => {
    const { items } = await server.request<{ items: Mark[] }>('GET', `/v1/marks?camera=${CAMERA}&limit=100`);
    expect(items.length).toBeLessThanOrEqual(1);
    return items.find((each) => Date.parse(each.to) >= to - 1);
  });
  expect(mark).toMatchObject({ kind: 'clip', created_by: 'policy: detected', archive: true, tags: [SEEN.class_name] });
  expect([Math.abs(Date.parse(mark.from) - from), Math.abs(Date.parse(mark.to) - to)].every((off) => off <= 1)).toBe(true);

  // Whole files of it are archived, each of which begins with a key frame, and no others.
  const wanted = segments.filter((segment) => startOf(segment) < to && endOf(segment) > from).map(({ id }) => id);
  expect([startOf(segments.find(({ id }) => id === wanted[0])!) <= from, endOf(segments.find(({ id }) => id === wanted.at(-1))!) >= to]).toEqual([true, true]);
  expect([segments[0]?.id, segments.at(-1)?.id].some((id) => wanted.includes(id ?? ''))).toBe(false);
  await until('it is archived', async () => (await segmentsOf(server, CAMERA)).filter(({ archived }) => archived).map(({ id }) => id).join() === wanted.join());
  const fromDisk = Buffer.from(await (await server.fetch(playbackPath(CAMERA, from, to))).arrayBuffer());

  // The server's window of six seconds instead of the camera's hour gives up everything. The files, which late readers could still use for a minute, go at once here.
  await server.request('PATCH', `/v1/cameras/${CAMERA}`, { recording: { policy: 'always' } });
  const database = new Database(join(server.dataDir, 'imageflow.db'), { readonly: true });
  stack.defer(() => { database.close(); });
  await until('the disk has given up all of it', async () => {
    const local = database.prepare('select count(*) as many from segments where camera_id = ? and local = 1 and expired_at is null').get(CAMERA) as { many: number };
    return local.many === 0 && (await segmentsOf(server, CAMERA)).map(({ id }) => id).join() === wanted.join();
  }, 60_000);
  await rm(join(server.dataDir, 'recordings', CAMERA), { recursive: true });

  const response = await server.fetch(playbackPath(CAMERA, from, to));
  expect(response.status).toBe(200);
  const path = join(folder, 'clip.mp4');
  await writeFile(path, Buffer.from(await response.arrayBuffer()));
  const packets = await packetsOf(path);
  expect(packets[0]?.randomAccess).toBe(true);
  const shown = packets.filter((packet) => packet.shown);
  expect(Math.abs(shown.length / 30 - (to - from) / 1000)).toBeLessThan(0.3); // the burst ffmpeg begins with bends the first seconds
  expect(await decodedPictures(path)).toBe(shown.length);
  expect((await packetsOf(await saved(join(folder, 'before.mp4'), fromDisk))).map(({ hash }) => hash)).toEqual(packets.map(({ hash }) => hash));
});

const saved = async (path: string, bytes: Buffer): Promise<string> => {
  await writeFile(path, bytes);
  return path;
};
