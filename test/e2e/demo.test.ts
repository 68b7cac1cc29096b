/** `npm run demo` as a stranger runs it: the server, its two cameras, and an exit code that tells whether both were detected. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { processTree } from '../../bench/support/process-usage.ts';
import { until } from '../support/server.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'main.ts');
/** Start-up, 30 s for each of two cameras, and a clean stop, on a slow machine. */
const LONGEST = 120_000;

let dataDir: string;
beforeEach(async () => { dataDir = await mkdtemp(join(tmpdir(), 'imageflow-demo-')); });
afterEach(() => rm(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }));

/** The demo on free ports. Disposing kills what is left of it. */
const startDemo = (env: Readonly<Record<string, string>> = {}) => {
  const child = spawn(process.execPath, ['--title=imageflow-edge supervisor', MAIN, 'demo'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env, IMAGEFLOW_BIND: '127.0.0.1', IMAGEFLOW_DATA_DIR: dataDir, IMAGEFLOW_HTTP_PORT: '0', IMAGEFLOW_EDGE_HTTP_PORT: '0', IMAGEFLOW_RTSP_PORT: '0', IMAGEFLOW_GRPC_PORT: '0', IMAGEFLOW_WEBRTC_PORT: '0',
      IMAGEFLOW_RECORDER_MIN_FREE_BYTES: '0', ...env,
    },
  });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => { said.out += text; });
  child.stderr.setEncoding('utf8').on('data', (text: string) => { said.err = (said.err + text).slice(-200_000); });
  const exit = (once(child, 'close') as Promise<[number | null]>).then(([code]) => code);
  return {
    child, said, exit,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exit;
    },
  };
};

test('both cameras are detected and said to be, and SIGTERM ends the demo with 0 and nothing left running', async () => {
  await using demo = startDemo();
  await until('the demo says it runs, or ends', () => demo.said.out.includes('"message":"ready"') || demo.child.exitCode !== null, LONGEST);
  expect(demo.child.exitCode, demo.said.err.slice(-2000)).toBeNull();
  expect(demo.said.out).toMatch(/^Inspection belt: detecting \w/m);
  expect(demo.said.out).toMatch(/^Street: detecting \w/m);
  const url = /open (http:\S+) and log in as admin with the password (\S+)/.exec(demo.said.out);
  const login = await fetch(`${url?.[1] ?? ''}/v1/auth/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username: 'admin', password: url?.[2] }) });
  expect(login.status).toBe(200);
  const processes = processTree(demo.child.pid ?? 0).map(({ pid }) => pid);
  expect(processes.length).toBeGreaterThan(4);
  demo.child.kill('SIGTERM');
  expect(await demo.exit).toBe(0);
  await until('all its processes are gone', () => processes.every((pid) => { try { process.kill(pid, 0); return false; } catch { return true; } }));
});

test('a camera without a detection within 30 s is named, and the demo ends with another code than 0', async () => {
  await using demo = startDemo();
  // Its cameras are about to publish; from here on the detector answers nobody.
  const worker = await until('the cameras start', () => {
    const tree = processTree(demo.child.pid ?? 0);
    return tree.some(({ title }) => title.includes('push.ts')) ? tree.find(({ title }) => title.startsWith('imageflow-edge worker'))?.pid : undefined;
  }, LONGEST);
  process.kill(worker, 'SIGSTOP');
  expect(await demo.exit).toBeGreaterThan(0);
  expect(demo.said.err).toContain('Inspection belt has no detection within 30 s');
  expect(demo.said.out).not.toContain('"message":"ready"');
}, LONGEST);
