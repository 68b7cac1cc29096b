/** Starts that cannot work end in words and with an exit code, and harm nobody else. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openDatabase } from '../../platform/database/open.ts';
import { TestServer } from '../support/server.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'main.ts');
const stack = new AsyncDisposableStack();
afterAll(() => stack.disposeAsync());

const start = async (dataDir: string, env: Record<string, string> = {}): Promise<{ readonly code: number | null; readonly text: string }> => {
  const child = spawn(process.execPath, [MAIN, 'start'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, IMAGEFLOW_BIND: '127.0.0.1', IMAGEFLOW_DATA_DIR: dataDir, IMAGEFLOW_HTTP_PORT: '0', IMAGEFLOW_EDGE_HTTP_PORT: '0', IMAGEFLOW_RTSP_PORT: '0', IMAGEFLOW_GRPC_PORT: '0', IMAGEFLOW_WEBRTC_PORT: '0', ...env },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (chunk: string) => { text += chunk; });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, text };
};

const hasAdmin = async (dataDir: string): Promise<boolean> => {
  const path = join(dataDir, 'imageflow.db');
  if (!existsSync(path)) return false;
  const database = await openDatabase(path);
  try {
    return (await database.selectFrom('users').select('id').execute()).length > 0;
  } finally {
    await database.destroy();
  }
};

test.each(['IMAGEFLOW_HTTP_PORT', 'IMAGEFLOW_RTSP_PORT', 'IMAGEFLOW_GRPC_PORT'])('%s taken by another program: the start ends with an exit code and names the port', async (variable) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const dataDir = await mkdtemp(join(tmpdir(), 'imageflow-start-'));
  try {
    const { code, text } = await start(dataDir, { [variable]: String(port) });
    expect(code, text).toBe(1);
    expect(text).toMatch(new RegExp(`EADDRINUSE.*${String(port)}`));
    // A first password that was made before the edge failed is not lost.
    expect(/log in as admin with the password \S{8,} \(shown this once\)/.test(text), text).toBe(await hasAdmin(dataDir));
  } finally {
    other.close();
    await rm(dataDir, { recursive: true, force: true });
  }
});

test('a second server on the same data_dir is refused in words, and the first one goes on undisturbed', async () => {
  const server = stack.use(await TestServer.start());
  const pids = [server.pids('edge'), server.pids('control')];
  const { code, text } = await start(server.dataDir);
  expect(code).toBe(1);
  expect(text).toContain(`Another server (supervisor) runs on the folder ${server.dataDir}`);
  expect([server.pids('edge'), server.pids('control')]).toEqual(pids);
  expect((await server.fetch('/v1/health/ready')).status).toBe(200);
  await server.addCamera('still-there');
});
