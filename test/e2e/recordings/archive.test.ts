import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { startChromium } from '../../support/chromium.ts';
import { blankPage } from '../../support/live-peers.ts';
import { clip, ffmpegPush } from '../../support/media.ts';
import { expectPlaysEverywhere } from '../../support/plays-everywhere.ts';
import { closedSegments, endOf, playbackPath, startOf } from '../../support/recordings.ts';
import { S3Server } from '../../support/s3-server.ts';
import { TestServer, until } from '../../support/server.ts';

interface Archive {
  readonly place: string;
  readonly unavailable_since: string | null;
  readonly waiting: { readonly segments: number };
}

let s3: S3Server;
let server: TestServer;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-archive-'));
  s3 = await S3Server.start('versitygw');
  await s3.bucket('recordings');
  await s3.kill();
  server = await TestServer.start({
    env: {
      IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '1', IMAGEFLOW_ARCHIVE_URL: 's3://recordings/plant-1', IMAGEFLOW_ARCHIVE_ENDPOINT: s3.endpoint,
      IMAGEFLOW_ARCHIVE_ACCESS_KEY_ID: s3.credentials.accessKeyId, IMAGEFLOW_ARCHIVE_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
      // So slow that a kill finds an upload under way.
      IMAGEFLOW_ARCHIVE_MAX_BITS_PER_SECOND: '8000000',
    },
  });
}, 900_000); // the first time the S3 server is built
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await s3[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const objects = async (): Promise<Map<string, string>> => {
  const client = s3.client();
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'recordings' }));
  const hashes = new Map<string, string>();
  for (const { Key = '' } of Contents) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: 'recordings', Key }));
    hashes.set(Key, createHash('sha256').update(await Body?.transformToByteArray() ?? '').digest('hex'));
  }
  client.destroy();
  return hashes;
};

test('[REC-7, REC-8] a linked range waits out an outage, survives kill -9 of control in the middle of uploads, and is played from the archive as from disk', async () => {
  const camera = await server.addCamera('line-1', { pipelines: [] });
  {
    await using pushing = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { input: ['-t', '20'] });
    expect(await pushing.exit).toMatchObject({ code: 0 });
  }
  const segments = await closedSegments(server, 'line-1');
  const [first, last] = [segments[2], segments.at(-3)];
  if (!first || !last) throw new Error('too little was recorded');
  const [from, to] = [startOf(first) + 500, endOf(last) - 500];
  const wanted = segments.filter((segment) => startOf(segment) < to && endOf(segment) > from);
  const fromDisk = await server.fetch(playbackPath('line-1', from, to));
  const recorded = Buffer.from(await fromDisk.arrayBuffer());

  // The store is down: everything waits, and the server says so.
  await server.request('POST', '/v1/recordings/line-1/marks', { kind: 'link', from: new Date(from).toISOString(), to: new Date(to).toISOString(), product_id: 'P-1' });
  const down = await until('the outage is told', async () => {
    const archive = await server.request<Archive>('GET', '/v1/archive');
    if (archive.unavailable_since === null || archive.waiting.segments !== wanted.length) throw new Error(JSON.stringify(archive));
    return archive;
  });
  expect(down.place).toBe(`s3://recordings/plant-1 at ${s3.endpoint}`);
  expect(JSON.stringify(down)).not.toContain(s3.credentials.secretAccessKey);

  // It comes back, hangs, and control is killed again and again while it uploads.
  await s3.start();
  for (let kill = 1; kill <= 3; kill++) {
    await until('uploads are under way', async () => (await objects()).size >= kill * 2, 60_000);
    const [pid] = await server.pids('control');
    if (pid === undefined) throw new Error('no control process');
    process.kill(pid, 'SIGKILL');
    await until('control is back', async () => { const [now] = await server.pids('control'); return now !== undefined && now !== pid && (await server.fetch('/v1/health')).ok; }, 60_000);
  }
  const archived = () => until('all of it is archived', async () => {
    const now = (await closedSegments(server, 'line-1')).filter((segment) => segment.archived);
    return now.length === wanted.length ? now : undefined;
  }, 120_000);
  expect((await archived()).map(({ id }) => id)).toEqual(wanted.map(({ id }) => id));
  const stored = await objects();
  expect([...stored.values()].toSorted()).toEqual(wanted.map(({ sha256 }) => sha256).toSorted());
  expect([...stored.keys()].every((key) => /^plant-1\/line-1\/\d{4}\/\d\d\/\d\d\/\d\d\/\d+-\w+-\d+\.mp4$/.test(key))).toBe(true);

  // The disk has it no more: the very same file comes from the archive, whole, in part, and decodable.
  await rm(join(server.dataDir, 'recordings', 'line-1'), { recursive: true });
  const [pid] = await server.pids('control');
  process.kill(pid ?? 0, 'SIGKILL');
  await until('control is back', async () => { const [now] = await server.pids('control'); return now !== undefined && now !== pid && (await server.fetch('/v1/health')).ok; }, 60_000);
  await s3.kill();
  const refused = await server.fetch(playbackPath('line-1', from, to));
  expect(refused.status).toBe(503); // no hole in the recording, but an archive that cannot be asked now
  expect(await refused.json()).toMatchObject({ code: 'ARCHIVE_UNAVAILABLE' });
  await s3.start();
  const fromArchive = await server.fetch(playbackPath('line-1', from, to));
  expect(fromArchive.status).toBe(200);
  expect(fromArchive.headers.get('etag')).toBe(fromDisk.headers.get('etag'));
  const bytes = Buffer.from(await fromArchive.arrayBuffer());
  expect(bytes.equals(recorded)).toBe(true);
  const part = await server.fetch(playbackPath('line-1', from, to), { headers: { range: 'bytes=100000-199999' } });
  expect(part.status).toBe(206);
  expect(Buffer.from(await part.arrayBuffer()).equals(recorded.subarray(100_000, 200_000))).toBe(true);
  const path = join(folder, 'archive.mp4');
  await writeFile(path, bytes);
  await using browser = await startChromium();
  expect((await expectPlaysEverywhere(await blankPage(() => browser.context.newPage(), server), path)).counted).toBeGreaterThan(10 * 30);
});
