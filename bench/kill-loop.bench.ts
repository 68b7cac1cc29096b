import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { readClip } from '../demo/mp4-clip.ts';
import { killEdge, recordedSince } from '../test/support/kill-edge.ts';
import { clip } from '../test/support/media.ts';
import { countedFrames } from '../test/support/mp4-packets.ts';
import { NotingCamera } from '../test/support/noting-camera.ts';
import { recordVerify } from '../test/support/record-verify.ts';
import { closedSegments, filesOf } from '../test/support/recordings.ts';
import { RetentionWitness } from '../test/support/retention-witness.ts';
import { S3Server } from '../test/support/s3-server.ts';
import { TestServer, until } from '../test/support/server.ts';
import { smallDisk } from '../test/support/test-disks.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';

const CAMERAS = 5;
const KILLS = 50;
/** The supervisor waits up to 15 s before it starts what dies young again: a quarter of an hour in all. */
const RECORD_MS = 2_000;
const PART_MS = 200;
const FRAME_MS = 1000 / 30;
const BUCKET = 'recordings';
const ARCHIVED_WITHIN_MS = 300_000;
/** Of the disk with the recordings, half of it kept free: what is recorded beyond the rest, some 50 s of the cameras, is deleted at once. */
const DISK_MIB = 128;
const MIN_FREE_MIB = 64;
/** After so many kills, what was recorded since is linked to a product, every second time: it goes to the archive while the next ones come. */
const KILLS_PER_LINK = 5;
/** After so many kills the next one comes while retention deletes. */
const KILLS_PER_DELETION = 5;
const DELETES_WITHIN_MS = 120_000;

/** SHA-256 of every object of the archive. */
const archivedHashes = async (s3: S3Server): Promise<Set<string>> => {
  const client = s3.client();
  const hashes = new Set<string>();
  for (let token: string | undefined, more = true; more;) {
    const page = await client.send(new ListObjectsV2Command({ Bucket: BUCKET, ContinuationToken: token }));
    for (const { Key } of page.Contents ?? []) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key }));
      hashes.add(createHash('sha256').update(await Body?.transformToByteArray() ?? '').digest('hex'));
    }
    token = page.NextContinuationToken;
    more = token !== undefined;
  }
  client.destroy();
  return hashes;
};

export const bench: Bench = {
  what: `kill -9 of the edge, ${KILLS} times, while it records ${CAMERAS} RTSP cameras (720p30), their disk has room for 50 s of them, so that retention deletes files, also while the kill comes, and ranges linked to work orders go to an archive by S3: pictures sent before a kill that are in no file, by kill and camera; afterwards every file is decoded, the archive compared with the index, and the signed chains verified`,
  async run() {
    await using stack = new AsyncDisposableStack();
    const s3 = stack.use(await S3Server.start('versitygw'));
    await s3.bucket(BUCKET);
    const folder = await mkdtemp(join(tmpdir(), 'imageflow-kill-loop-'));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    const dataDir = join(folder, 'data');
    stack.use(await smallDisk(join(dataDir, 'recordings'), DISK_MIB));
    const server = stack.use(await TestServer.start({
      dataDir,
      env: {
        IMAGEFLOW_SESSION_GRACE_SECONDS: '2', IMAGEFLOW_RECORDER_MIN_FREE_BYTES: String(MIN_FREE_MIB << 20), IMAGEFLOW_ARCHIVE_URL: `s3://${BUCKET}/plant-1`, IMAGEFLOW_ARCHIVE_ENDPOINT: s3.endpoint,
        IMAGEFLOW_ARCHIVE_ACCESS_KEY_ID: s3.credentials.accessKeyId, IMAGEFLOW_ARCHIVE_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
      },
    }));
    const pictures = await readClip(clip('vtest-720p30-baseline.mp4'));
    const cameras: NotingCamera[] = [];
    for (let i = 0; i < CAMERAS; i++) cameras.push(stack.use(new NotingCamera(pictures, server, await server.addCamera(`camera-${i}`, { pipelines: [] }))));
    await recordedSince(server, cameras, 0);
    const witness = new RetentionWitness(() => server, cameras.map(({ id }) => id));
    const lost: number[] = [];
    let linkedUntil = Date.now();
    for (let i = 1; i <= KILLS; i++) {
      await witness.note();
      await sleep(RECORD_MS + Math.random() * PART_MS);
      if (i % KILLS_PER_DELETION === 0) await until('retention deletes', () => witness.deletes(), DELETES_WITHIN_MS);
      lost.push(...(await killEdge(server, cameras)).map((after) => after.lost));
      if (i % KILLS_PER_LINK !== 0) continue;
      const since = linkedUntil;
      linkedUntil = Date.now();
      if (i % (2 * KILLS_PER_LINK) === 0) await witness.link(since, linkedUntil);
    }
    await witness.note();
    for (const camera of cameras) await camera[Symbol.asyncDispose]();
    await until('what is linked is archived', async () => (await server.request<{ waiting: { segments: number } }>('GET', '/v1/archive')).waiting.segments === 0, ARCHIVED_WITHIN_MS);
    const objects = await archivedHashes(s3);
    let files = 0;
    let broken = 0;
    let archived = 0;
    let notThere = 0;
    for (const { id } of cameras) {
      const listed = new Map((await closedSegments(server, id)).map((segment) => [segment.id, segment]));
      for (const segment of listed.values()) {
        if (!segment.archived) continue;
        archived++;
        if (segment.sha256 === null || !objects.has(segment.sha256)) notThere++;
      }
      for (const file of await filesOf(server.dataDir, id)) {
        if (!listed.has(file.id)) continue; // just expired
        files++;
        if (await countedFrames(file.path).catch(() => 0) === 0 && existsSync(file.path)) broken++;
      }
    }
    const { checked, problems } = await recordVerify(server.dataDir);
    const { deleted, gone, linked, linkedGone } = await witness.fates();
    const linkedLost = linkedGone.length + linked.filter((segment) => !segment.archived).length;
    const p50 = quantile(lost, 0.5) * FRAME_MS;
    const most = Math.max(...lost) * FRAME_MS;
    return [
      { figure: 'lost at a kill, p50', value: round(p50, 0), unit: 'ms', target: '200 ms at most', met: p50 <= 200 },
      { figure: 'lost at a kill, worst', value: round(most, 0), unit: 'ms', target: '500 ms at most', met: most <= 500 },
      { figure: 'kills × cameras', value: lost.length, unit: '' },
      { figure: 'files that do not play', value: broken, unit: `of ${files}`, target: 'none', met: broken === 0 },
      { figure: 'archived segments that are not in the archive as recorded', value: notThere, unit: `of ${archived}`, target: 'none', met: archived > 0 && notThere === 0 },
      { figure: 'deleted by retention meanwhile', value: deleted.length, unit: `files, ${gone.length} of them for good`, target: 'more than none, also for good', met: gone.length > 0 },
      { figure: 'linked segments that are not listed or not archived', value: linkedLost, unit: `of ${linked.length + linkedGone.length}`, target: 'none', met: linked.length > 0 && linkedLost === 0 },
      { figure: 'problems found by record verify', value: problems.length, unit: `in ${checked} segments`, target: 'none', met: problems.length === 0 },
    ];
  },
};
