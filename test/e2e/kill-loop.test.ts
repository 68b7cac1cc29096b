/**
 * kill -9 of the edge again and again, while five cameras are recorded on a disk too small for it all: retention deletes files, a mark keeps one of
 * them there, others go to the archive. `bench/kill-loop` does it fifty times, with an archive on S3.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readClip } from '../../demo/mp4-clip.ts';
import { killEdge, recordedSince } from '../support/kill-edge.ts';
import { clip, ffmpegMake } from '../support/media.ts';
import type { SentPicture } from '../support/noting-camera.ts';
import { NotingCamera } from '../support/noting-camera.ts';
import { seededRandom } from '../support/random.ts';
import { recordVerify } from '../support/record-verify.ts';
import { archivedFile, closedSegments, endOf, gapCausesOf, idsOnDisk, listedWithoutFile, playbackPath, recordedPictures, segmentsOf, startOf } from '../support/recordings.ts';
import type { Segment } from '../support/recordings.ts';
import { RetentionWitness } from '../support/retention-witness.ts';
import { TestServer, until } from '../support/server.ts';
import type { Camera } from '../support/server.ts';
import { smallDisk } from '../support/test-disks.ts';

const CAMERAS = Array.from({ length: 5 }, (_, i) => `camera-${String(i)}`);
/** The supervisor waits twice as long each time the edge dies young: the server is started anew after five, which is 6.2 s of waiting. */
const ROUNDS = 2;
const KILLS = 5;
const LOOP_MS = 300_000;
const SEGMENT_SECONDS = 4;
/** It comes while retention deletes. */
const DELETING_KILL = 3;
const DELETES_WITHIN_MS = 60_000;
const DISK_MIB = 16;
/** Kept free: about half of what is recorded has no room, but what was recorded since the last kill has. */
const MAX_BYTES = 3 << 19;
/** Half a second: more than the part under way, less than any segment. */
const MOST_LOST_PICTURES = 15;

const stack = new AsyncDisposableStack();
const lost: number[] = [];
/** Every picture that was in a file after some kill, by camera and RTP timestamp. */
const recorded = new Map(CAMERAS.map((id) => [id, new Set<number>()]));
const publications = new Map(CAMERAS.map((id): [string, SentPicture[][]] => [id, []]));
const witness = new RetentionWitness(() => server, CAMERAS);
let server: TestServer;
let pinned: Segment;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'imageflow-kill-loop-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const pictures = await readClip(await ffmpegMake(['-i', clip('vtest-720p30-baseline.mp4'), '-vf', 'scale=320:-2', '-c:v', 'libx264', '-preset', 'veryfast', '-bf', '0', '-g', '30'], join(folder, 'small.mp4')));
  const dataDir = join(folder, 'data');
  stack.use(await smallDisk(join(dataDir, 'recordings'), DISK_MIB));
  const env = { IMAGEFLOW_SESSION_GRACE_SECONDS: '2', IMAGEFLOW_RECORDER_SEGMENT_SECONDS: String(SEGMENT_SECONDS), IMAGEFLOW_RECORDER_MIN_FREE_BYTES: String((DISK_MIB << 20) - MAX_BYTES) };
  const random = seededRandom(20261128);
  const known: Camera[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) await server.stop();
    const began = Date.now();
    server = stack.use(await TestServer.start({ dataDir, env }));
    if (round === 0) for (const id of CAMERAS) known.push(await server.addCamera(id, { pipelines: [] }));
    await using publishing = new AsyncDisposableStack();
    const cameras = known.map((camera) => publishing.use(new NotingCamera(pictures, server, camera)));
    await recordedSince(server, cameras, began);
    if (round === 0) {
      pinned = await until('a segment to pin', async () => (await segmentsOf(server, 'camera-0')).find(({ open }) => !open));
      await server.request('POST', '/v1/recordings/camera-0/marks', { kind: 'pin', from: pinned.start, to: new Date(endOf(pinned)).toISOString() });
    }
    let linked = Date.now();
    for (let kill = 0; kill < KILLS; kill++) {
      await witness.note();
      await sleep(200 + random() * 1_000); // anywhere in a part
      if (kill === DELETING_KILL) await until('retention deletes', async () => await witness.deletes(), DELETES_WITHIN_MS); // and in the middle of that
      for (const after of await killEdge(server, cameras)) {
        lost.push(after.lost);
        for (const picture of after.recorded) recorded.get(after.camera)?.add(picture);
      }
      if (kill > 0 && kill % 2 === 0) await witness.link(linked, Date.now());
      linked = Date.now();
    }
    for (const { id, publications: sent } of cameras) publications.get(id)?.push(...sent);
  }
  for (const id of CAMERAS) {
    await closedSegments(server, id);
    for (const { frame } of await recordedPictures(server.dataDir, id)) recorded.get(id)?.add(frame.rtpTs);
  }
  await witness.note();
  await until('what is linked is archived', async () => (await server.request<{ waiting: { segments: number } }>('GET', '/v1/archive')).waiting.segments === 0);
}, LOOP_MS);
afterAll(() => stack.disposeAsync());

test('[REC-3] a kill costs at most half a second, the end of what was being written, and nothing in the middle', () => {
  console.info(`pictures lost, by kill and camera: ${lost.join(' ')}`);
  expect(lost).toHaveLength(ROUNDS * KILLS * CAMERAS.length);
  expect(Math.max(...lost)).toBeLessThanOrEqual(MOST_LOST_PICTURES);
  for (const [id, all] of publications) {
    for (const sent of all) expect(sent.map(({ rtpTimestamp }) => (recorded.get(id)?.has(rtpTimestamp) ? 1 : 0)).join(''), id).toMatch(/^1*0*$/);
  }
});

test('[REC-3] [REC-8] [REC-10] afterwards the index is the files, on disk and in the archive, each plays to its end, and nothing is missing in the chain', async () => {
  for (const id of CAMERAS) {
    expect(await listedWithoutFile(server, id)).toEqual([]);
    expect(await gapCausesOf(server, id)).toContain('restart');
  }
  const { checked, problems } = await recordVerify(server.dataDir);
  expect(problems).toEqual([]);
  expect(checked).toBeGreaterThan(0);
});

test('[REC-2] [REC-7] [REC-8] meanwhile retention has deleted files, but not what a mark keeps, and nothing linked without an archived copy', async () => {
  const { deleted, gone, linked, linkedGone } = await witness.fates();
  console.info(`${String(deleted.length)} files deleted, ${String(gone.length)} of them for good; ${String(linked.length)} segments linked`);
  expect(gone.length).toBeGreaterThan(0);
  expect(linkedGone).toEqual([]);
  expect(linked.length).toBeGreaterThan(ROUNDS * CAMERAS.length);
  for (const { id, archived, bytes, sha256 } of linked) expect([id, archived, await archivedFile(server.dataDir, id)]).toMatchObject([id, true, { bytes, sha256 }]);
  expect((await segmentsOf(server, 'camera-0')).find(({ id }) => id === pinned.id)).toMatchObject({ sha256: pinned.sha256, pinned: true });
  expect(await idsOnDisk(server.dataDir, 'camera-0')).toContain(pinned.id);
});

test('[REC-5] what is left of a camera is one file to play, from disk and archive, whatever was killed within', async () => {
  for (const id of CAMERAS.slice(1)) {
    const segments = await segmentsOf(server, id);
    const response = await server.fetch(playbackPath(id, Math.floor(startOf(segments[0]!)), Math.ceil(endOf(segments.at(-1)!)) + 1));
    expect(response.status).toBe(200);
    expect((await response.arrayBuffer()).byteLength).toBe(Number(response.headers.get('content-length')));
  }
});
