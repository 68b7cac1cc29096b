/** The whole server on PostgreSQL: the database comes late, goes and comes back, and a second control process serves the same cameras. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PostgresCluster } from '../../platform/testing/postgres-cluster.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { segmentsOf } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'main.ts');
const WAIT_MS = 60_000;

let cluster: PostgresCluster;
beforeAll(async () => { cluster = await PostgresCluster.start(); });
afterAll(async () => { await cluster[Symbol.asyncDispose](); });

/** A control process beside those of `server`, at another port and another place for edges to attach, with the same data folder and database. */
const startControl = async (server: TestServer, url: string): Promise<AsyncDisposable & { readonly http: string; readonly child: ChildProcess }> => {
  const child = spawn(process.execPath, [MAIN, '--role', 'control'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env, IMAGEFLOW_BIND: '127.0.0.1', IMAGEFLOW_DATA_DIR: server.dataDir, IMAGEFLOW_DATABASE_URL: url, IMAGEFLOW_HTTP_PORT: '0', IMAGEFLOW_EDGE_HTTP_PORT: new URL(server.edge).port,
      IMAGEFLOW_RTSP_PORT: new URL(server.rtsp).port, IMAGEFLOW_GRPC_PORT: '0', IMAGEFLOW_CONTROL_INTERNAL_LISTEN: `unix:${join(server.dataDir, 'second.sock')}`,
    },
  });
  const port = Promise.withResolvers<number>();
  createInterface({ input: child.stderr }).on('line', (line) => {
    const { message, port: bound } = JSON.parse(line) as { message?: string; port?: number };
    if (message === 'control ready' && bound !== undefined) port.resolve(bound);
  });
  child.once('exit', (code) => { port.reject(new Error(`the second control process ended with ${String(code)}`)); });
  return {
    child, http: `http://127.0.0.1:${await port.promise}`,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
  };
};

test('the database is there late, goes while a camera records, and comes back: the start waits, nothing recorded is missing, and the front door goes on forwarding', async () => {
  const url = await cluster.createDatabase();
  await cluster.stop();
  const waits = Promise.withResolvers<undefined>();
  const onLog = (line: string): void => { if (line.includes('the database does not answer, waiting for it')) waits.resolve(undefined); };
  const starting = TestServer.start({ env: { IMAGEFLOW_DATABASE_URL: url, IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '1' }, onLog });
  await Promise.race([waits.promise, starting]);
  await cluster.resume();
  await using server = await starting;
  const camera = await server.addCamera('line-1');
  await using _pushing = ffmpegPush(clip('vtest-720p30.mp4'), server.rtspUrl(camera), { loop: true });
  const closed = async () => (await segmentsOf(server, 'line-1')).filter((segment) => !segment.open);
  await until('segments in PostgreSQL', async () => (await closed()).length >= 2, WAIT_MS);
  await until('detections in PostgreSQL', async () => (await server.request<{ items: unknown[] }>('GET', '/v1/detections?camera=line-1')).items.length > 0, WAIT_MS);

  await cluster.stop();
  const before = await server.metric('imageflow_recorded_bytes_total', { camera: 'line-1' });
  expect((await server.fetch('/v1/recordings/line-1/segments')).status).toBe(503);
  await until('the database told as degraded', async () => {
    const ready = await server.fetch('/v1/health/ready');
    return ready.status === 200 && ((await ready.json()) as { degraded: string[] }).degraded.includes('database');
  }, WAIT_MS);
  await until('recording goes on', async () => (await server.metric('imageflow_recorded_bytes_total', { camera: 'line-1' })) > before + 1_000_000, WAIT_MS);
  expect((await server.fetch('/hls/line-1/index.m3u8')).status).toBe(200);

  await cluster.resume();
  const back = Date.now();
  const segments = await until('what was recorded since', async () => {
    const known = await closed();
    return Date.parse(known.at(-1)?.start ?? '') > back && known;
  }, WAIT_MS);
  expect(segments.slice(1).map((segment) => segment.gap_before ?? 0)).toEqual(segments.slice(1).map(() => 0));
  await expect.poll(() => server.log.some((line) => line.includes('the database answers again'))).toBe(true);
  expect(server.log.join('\n')).not.toContain(url);
});

test('a second control process on the same database and folder lists, plays and changes what the first one does', async () => {
  const url = await cluster.createDatabase();
  await using server = await TestServer.start({ env: { IMAGEFLOW_DATABASE_URL: url, IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '1' } });
  const camera = await server.addCamera('line-1', { pipelines: [] });
  await using second = await startControl(server, url);
  const ask = (path: string, init: RequestInit = {}) => fetch(`${second.http}${path}`, { ...init, headers: { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' } });
  await until('the second one ready', async () => (await ask('/v1/health/ready')).status === 200, WAIT_MS);
  const pushing = ffmpegPush(clip('vtest-720p30.mp4'), server.rtspUrl(camera), { loop: true });
  try {
    await until('segments', async () => ((await (await ask('/v1/recordings/line-1/segments')).json()) as { items: { open: boolean }[] }).items.filter(({ open }) => !open).length >= 2, WAIT_MS);
    const [first] = (await segmentsOf(server, 'line-1')).filter((segment) => !segment.open);
    const played = await ask(`/v1/recordings/line-1/playback?from=${first?.start ?? ''}&to=${new Date().toISOString()}`);
    expect([played.status, played.headers.get('content-type')]).toEqual([200, 'video/mp4']);
    expect((await played.arrayBuffer()).byteLength).toBeGreaterThan(100_000);
    // Media goes through its front door to the same edge, whose publisher it ends by removing the camera.
    expect((await ask('/hls/line-1/index.m3u8')).status).toBe(200);
    expect((await ask('/v1/cameras/line-1', { method: 'DELETE' })).status).toBe(204);
    await pushing.exit;
  } finally {
    await pushing[Symbol.asyncDispose]();
  }
  expect((await server.fetch('/v1/cameras/line-1')).status).toBe(404);
});
