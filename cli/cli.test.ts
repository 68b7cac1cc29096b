import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../core/clock.ts';
import { fakeFile, fakeReader, startApi } from '../control-api/testing/harness.ts';
import { openDatabase } from '../platform/database/open.ts';
import { cameraCommand } from './camera.ts';
import { checkCommand } from './check.ts';
import { doctorCommand } from './doctor.ts';
import { exportCommand } from './export.ts';
import type { CliIo } from './io.ts';
import { recordCommand } from './record.ts';
import { userCommand } from './user.ts';

let directory: string;
beforeEach(() => { directory = mkdtempSync(join(tmpdir(), 'cli-')); });
afterEach(() => { rmSync(directory, { recursive: true, force: true }); });

/** Runs a command as the shell would; its lines and whether it failed. */
const run = async (make: (io: CliIo) => Command, args: readonly string[], options: { readonly env?: Record<string, string>; readonly secret?: string } = {}) => {
  const lines: string[] = [];
  let failed = false;
  const io: CliIo = {
    env: { IMAGEFLOW_DATA_DIR: directory, ...options.env },
    out: (line) => { lines.push(line); }, err: (line) => { lines.push(line); }, progress: () => undefined,
    secret: () => Promise.resolve(options.secret ?? ''), fail: () => { failed = true; },
  };
  await make(io).exitOverride().parseAsync([...args], { from: 'user' });
  return { text: lines.join('\n'), failed };
};

test('check says what is wrong with the configuration and fails', async () => {
  expect(await run(checkCommand, [])).toEqual({ text: 'the configuration is right', failed: false });
  const file = join(directory, 'edge.yaml');
  writeFileSync(file, 'http:\n  port: eighty\n');
  const wrong = await run(checkCommand, ['--config', file]);
  expect(wrong.failed).toBe(true);
  expect(wrong.text).toContain('http.port');
  writeFileSync(file, 'admin:\n  password: very secret\ncontrol:\n  internal_token: very secret indeed\nwebrtc:\n  ice_servers: [{urls: "turn:t.example", credential: very secret too}]\n');
  const printed = await run(checkCommand, ['--config', file, '--print']);
  expect(printed.text).toContain('port: 8080');
  expect(printed.text).not.toContain('very secret');
});

test('user adds, lists and changes users with the server down', async () => {
  expect(await run(userCommand, ['add', 'olga', '--role', 'operator'], { secret: 'long enough' })).toEqual({ text: 'olga added', failed: false });
  expect(await run(userCommand, ['add', 'olga'], { secret: 'long enough' })).toMatchObject({ failed: true });
  expect(await run(userCommand, ['add', 'kurt'], { secret: 'short' })).toMatchObject({ failed: true });
  expect(await run(userCommand, ['passwd', 'nobody'], { secret: 'long enough' })).toMatchObject({ failed: true });
  expect((await run(userCommand, ['passwd', 'olga', '--random'])).text).toMatch(/^password of olga is now [\w-]{16}$/);
  expect((await run(userCommand, ['list'])).text).toBe('olga\toperator\tenabled');
});

test('a password set on the command line ends log-ins of a running server, once it reads the database again', async () => {
  await using h = await startApi({ db: await openDatabase(join(directory, 'imageflow.db')), clock: systemClock });
  const { access_token: token, refresh_token } = await h.login();
  expect((await run(userCommand, ['passwd', 'admin'], { secret: 'another one' })).failed).toBe(false);
  await h.api.desiredState.refresh();
  expect((await h.call('GET', '/v1/auth/me', { token })).body['code']).toBe('TOKEN_REVOKED');
  expect((await h.call('POST', '/v1/auth/refresh', { json: { refresh_token } })).status).toBe(401);
  expect((await h.login('admin', 'another one')).user.username).toBe('admin');
});

test('keys of access tokens are rotated under a running server: old tokens go on, new ones have the new key', async () => {
  await using h = await startApi({ db: await openDatabase(join(directory, 'imageflow.db')), clock: systemClock });
  const kidOf = (token: string): string => (JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }).kid;
  const before = (await h.login()).access_token;
  const [, kid = ''] = /the key ([\w-]{12}) from now on/.exec((await run(userCommand, ['rotate-keys'])).text) ?? [];
  await h.api.desiredState.refresh();
  const after = (await h.login()).access_token;
  expect(kidOf(after)).toBe(kid);
  expect(kidOf(before)).not.toBe(kid);
  for (const token of [before, after]) expect((await h.call('GET', '/v1/auth/me', { token })).status).toBe(200);
  expect(h.api.desiredState.current().tokenKeys.map((key) => key.kid)).toEqual([kid, kidOf(before)]);
});

test('camera adds, lists, keys and removes over the REST API', async () => {
  await using h = await startApi();
  const { access_token: token } = await h.login();
  const env = { IMAGEFLOWCTL_URL: h.base, IMAGEFLOWCTL_TOKEN: token };
  const added = await run(cameraCommand, ['add', 'line-1', '--name', 'Line 1', '--no-pipelines', '--no-recording'], { env });
  expect(added.text).toMatch(/publish key {2}pk_[\w-]{32}/);
  expect(h.api.desiredState.current().cameras).toMatchObject([{ id: 'line-1', name: 'Line 1', detectors: [], recording: 'off' }]);
  expect((await run(cameraCommand, ['list'], { env })).text).toBe('line-1\tidle\tLine 1');
  expect((await run(cameraCommand, ['key', 'line-1'], { env })).text).toMatch(/^vk_/);
  const keys = (await run(cameraCommand, ['key', 'line-1', '--list'], { env })).text.split('\n').map((line) => line.split('\t'));
  const view = keys.find((key) => key[1] === 'view')?.[0] ?? '';
  expect((await run(cameraCommand, ['key', 'line-1', '--revoke', view], { env })).failed).toBe(false);
  expect(h.api.desiredState.current().keys.map((key) => key.grants)).toEqual(['publish']);
  expect((await run(cameraCommand, ['remove', 'line-1'], { env })).failed).toBe(false);
  const missing = await run(cameraCommand, ['remove', 'line-1'], { env });
  expect(missing).toEqual({ text: 'the server answered 404: There is no camera line-1.', failed: true });
  expect((await run(cameraCommand, ['list', '--url', h.base], { secret: 'wrong' })).text).toContain('401');
  expect((await run(cameraCommand, ['list', '--url', h.base], { secret: 'correct horse' })).failed).toBe(false);
});

test('camera says when there is no server', async () => {
  const answer = await run(cameraCommand, ['list', '--url', 'http://127.0.0.1:1', '--token', 'x']);
  expect(answer.failed).toBe(true);
  expect(answer.text).toContain('no server at http://127.0.0.1:1');
});

test('[REC-10] record verify finds files that differ from the index, are missing or unknown', async () => {
  const db = await openDatabase(join(directory, 'imageflow.db'));
  const folder = join(directory, 'recordings', 'cam');
  mkdirSync(folder, { recursive: true });
  const bytes = readFileSync(join(import.meta.dirname, '../test/fixtures/media/counter-720p30.mp4'));
  const row = (name: string, sha256: string) => ({ id: `cam/${name}`, camera_id: 'cam', session_id: 's', epoch: 1, start_ms: 1, end_ms: 2, bytes: bytes.byteLength, sha256, open: 0 as const, tracks: '[]', gap_before: null, expired_at: null });
  writeFileSync(join(folder, '1-aaaaaaaa-1.mp4'), bytes);
  writeFileSync(join(folder, '3-aaaaaaaa-3.mp4'), bytes);
  await db.insertInto('segments').values([row('1-aaaaaaaa-1', createHash('sha256').update('other').digest('hex')), row('2-aaaaaaaa-2', 'x')]).execute();
  await db.destroy();
  const { text, failed } = await run(recordCommand, ['verify']);
  expect(failed).toBe(true);
  expect(text).toContain('cam/1-aaaaaaaa-1: SHA-256 differs');
  expect(text).toContain('cam/2-aaaaaaaa-2: the recorded file is gone');
  expect(text).toContain('cam/3-aaaaaaaa-3: not in the index');
});

test('[REC-10] export saves the evidence of a range under its name only when it is whole', async () => {
  const out = join(directory, 'evidence.zip');
  const row = { id: 'cam/1750000000000-a-0', camera_id: 'cam', session_id: 's', epoch: 1, start_ms: 1_750_000_000_000, end_ms: 1_750_000_010_000, bytes: 10_000, sha256: 'ab', open: 0 as const, tracks: '[]', gap_before: null, expired_at: null };
  const file = fakeFile(Buffer.alloc(10_000, 7));
  let breaks = false;
  const reader = fakeReader({ playback: () => Promise.resolve(file), file: () => ({ ...file, read: (start, end, signal) => { if (breaks) throw new Error('gone'); return file.read(start, end, signal); } }) });
  await using h = await startApi({ segmentReader: reader });
  await h.db.insertInto('segments').values(row).execute();
  const env = { IMAGEFLOWCTL_URL: h.base, IMAGEFLOWCTL_TOKEN: (await h.login()).access_token };
  const range = ['cam', '--from', '2025-06-15T15:06:40Z', '--to', '2025-06-15T15:06:50Z', '--out', out];
  expect((await run(exportCommand, range, { env })).text).toMatch(/evidence\.zip: 0\.0 MB; README\.txt/);
  expect(readFileSync(out).subarray(0, 4).toString('latin1')).toBe('PK\u0003\u0004');
  rmSync(out);
  breaks = true;
  expect(await run(exportCommand, range, { env })).toEqual({ text: expect.stringMatching(/^the server broke off/) as string, failed: true });
  expect(readdirSync(directory).filter((name) => name.startsWith('evidence'))).toEqual([]);
  expect((await run(exportCommand, ['cam', '--from', 'yesterday', '--to', 'today'], { env })).text).toContain('--from must be a time');
  expect((await run(exportCommand, ['none', ...range.slice(1)], { env })).text).toContain('404');
});

test('doctor names a port that is taken and fails', { timeout: 60_000 }, async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as AddressInfo;
  const env = { IMAGEFLOW_BIND: '127.0.0.1', IMAGEFLOW_HTTP_PORT: String(port), IMAGEFLOW_EDGE_HTTP_PORT: '0', IMAGEFLOW_RTSP_PORT: '0', IMAGEFLOW_GRPC_PORT: '0', IMAGEFLOW_WEBRTC_PORT: '0', IMAGEFLOW_RECORDER_MIN_FREE_BYTES: '0' };
  const bad = await run(doctorCommand, [], { env });
  await new Promise((resolve) => { taken.close(resolve); });
  expect(bad.failed).toBe(true);
  expect(bad.text).toMatch(new RegExp(`FAIL {2}http.port ${String(port)}/tcp: .*EADDRINUSE`));
  for (const name of ['better-sqlite3', 'node-datachannel', 'node-av', 'onnxruntime-node']) expect(bad.text).toContain(`ok    package ${name}`);
  expect(bad.text).toContain('ok    default model nanodet-g-416.int8.u8');
});
