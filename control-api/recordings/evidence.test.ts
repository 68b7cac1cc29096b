import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toWireSegment } from '../../media-control/wire-events.ts';
import { silentLogger } from '../../platform/logging.ts';
import { PublicSigningKey } from '../../platform/signing-key.ts';
import { readChainFile } from '../../recorder/integrity/chain-manifest.ts';
import { TestInstallation } from '../../recorder/integrity/testing-recordings.ts';
import type { SegmentRecord } from '../../recorder/port.ts';
import { LocalSegments } from '../../recorder/segment-file.ts';
import { LocalSegmentReader } from '../../recorder/segment-reader.ts';
import { upsertSegments } from '../edges/segment-rows.ts';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';

const T0 = 1_750_000_000_000;
const at = (ms: number): string => new Date(T0 + ms).toISOString();
const range = `from=${at(0)}&to=${at(2_000)}`;

let installation: TestInstallation;
let records: readonly SegmentRecord[];
let h: Harness;
let token: string;

beforeAll(async () => {
  installation = await TestInstallation.create();
  {
    await using recorder = await installation.start();
    await recorder.record(6);
    records = recorder.segments();
    await recorder.close();
    records = recorder.segments();
  }
  h = await startApi({
    config: { data_dir: installation.folder }, segmentReader: new LocalSegmentReader(new LocalSegments(installation.recordings), silentLogger()),
    chain: async () => (await readChainFile(installation.recordings)) ?? null,
  });
  await upsertSegments(h.db, records.map(toWireSegment));
  const detection = { camera_id: 'cam', stream_epoch: T0, rtp_timestamp: 1, sequence: 1, class_name: 'bolt', class_id: 3, confidence: 0.5, x: 1, y: 2, width: 3, height: 4, track_id: null, model: 'm', model_digest: 'd1' };
  await h.db.insertInto('detections').values([...Array.from({ length: 1_001 }, () => ({ ...detection, captured_at_ms: T0 + 100 })), { ...detection, captured_at_ms: T0 + 9_000 }]).execute();
  token = (await h.login()).access_token;
});
afterAll(async () => {
  await h[Symbol.asyncDispose]();
  await installation[Symbol.asyncDispose]();
});

/** Downloads an export and unpacks it with Debian's unzip. */
const exported = async (name: string): Promise<string> => {
  const response = await fetch(`${h.base}/v1/recordings/cam/evidence?${range}`, { headers: { authorization: `Bearer ${token}` } });
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/zip']);
  const zip = join(installation.folder, `${name}.zip`);
  writeFileSync(zip, Buffer.from(await response.arrayBuffer()));
  const folder = join(installation.folder, name);
  mkdirSync(folder);
  execFileSync('unzip', ['-q', zip, '-d', folder]);
  return folder;
};
const verify = (folder: string, ...args: readonly string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, 'verify.mjs'), ...args], { encoding: 'utf8' });
  return { status, stdout, stderr, failed: stdout.split('\n').filter((line) => line.startsWith('FAIL')) };
};

test('[REC-10] the export has everything to check it by, and checks', async () => {
  const folder = await exported('whole');
  expect(readdirSync(folder).sort()).toEqual(['README.txt', 'SHA256SUMS', 'chain.jws', 'detections.jsonl', 'manifest.json', 'manifest.jws', 'public-key.pem', 'recording.mp4', 'segments', 'verify.mjs']);
  const { status, stdout, stderr, failed } = verify(folder, '--key', installation.key.public.kid);
  expect([status, failed, stderr]).toEqual([0, [], '']);
  expect(stdout).toContain('4 of 4 recordings name the one before them');
  const files = records.slice(0, 5).map(({ id }) => id.split('/')[1] ?? '');
  expect(readdirSync(join(folder, 'segments')).sort()).toEqual(files.map((name) => `${name}.mp4`));
  for (const name of files) expect(readFileSync(join(folder, 'segments', `${name}.mp4`)).equals(readFileSync(installation.path(`cam/${name}`)))).toBe(true);
  expect(readFileSync(join(folder, 'detections.jsonl'), 'utf8').trim().split('\n').map((line) => (JSON.parse(line) as { class_name: string }).class_name)).toEqual(Array(1_001).fill('bolt'));
  expect(JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'))).toMatchObject({
    camera: 'cam', from: at(0), to: at(2_000), exported_by: 'admin', key_id: installation.key.public.kid, chain: 'chain.jws',
    detections: { count: 1_001, models: [{ model: 'm', digests: ['d1'] }] }, segments: records.slice(0, 5).map(({ id, sha256, bytes }) => ({ id, sha256, bytes, indexed_sha256: sha256 })),
  });
  const played = await h.call('GET', `/v1/recordings/cam/playback?${range}`, { token });
  expect(readFileSync(join(folder, 'recording.mp4')).length).toBe(Number(played.headers.get('content-length')));
  await h.api.desiredState.refresh();
  expect((await h.call<{ items: { action: string }[] }>('GET', '/v1/audit?limit=50', { token })).body.items.map(({ action }) => action)).toContain('recording:export');
});

test('[REC-10] one changed byte in any of its files is found and named; so is a file that is gone or was added', async () => {
  const whole = await exported('to-change');
  const names = readdirSync(whole, { recursive: true, encoding: 'utf8' }).filter((name) => name !== 'segments' && name !== 'verify.mjs');
  expect(names.length).toBeGreaterThan(12);
  for (const [i, name] of names.entries()) {
    const folder = join(installation.folder, `changed-${String(i)}`);
    cpSync(whole, folder, { recursive: true });
    const bytes = readFileSync(join(folder, name));
    const where = name === 'public-key.pem' ? 40 : bytes.length >> 1;
    bytes[where] = (bytes[where] ?? 0) ^ 1;
    writeFileSync(join(folder, name), bytes);
    const { status, failed, stderr } = verify(folder);
    expect(status, `${name}: ${stderr}`).toBe(1);
    if (name !== 'public-key.pem') expect(failed.join('\n')).toContain(name);
  }
  const folder = join(installation.folder, 'more-and-less');
  cpSync(whole, folder, { recursive: true });
  rmSync(join(folder, 'recording.mp4'));
  appendFileSync(join(folder, 'segments', 'another.mp4'), 'x');
  expect(verify(folder).failed).toEqual(['FAIL  recording.mp4: is missing', 'FAIL  segments/another.mp4: is not part of the export']);
  expect(verify(whole, '--key', 'another').failed).toHaveLength(1);
});

test('[REC-10] a recording that was changed on the server before the export is exported as it is, and the verifier names it', async () => {
  const { id = '' } = records[2] ?? {};
  const original = readFileSync(installation.path(id));
  const changed = Buffer.from(original);
  const sample = changed.indexOf('mdat') + 12;
  changed[sample] = (changed[sample] ?? 0) ^ 1;
  writeFileSync(installation.path(id), changed);
  const { failed } = verify(await exported('changed-before'));
  writeFileSync(installation.path(id), original);
  expect(failed).toHaveLength(2);
  for (const line of failed) expect(line).toContain(id.split('/')[1]);
});

test('[REC-10] the commands of its README check it with openssl and sha256sum', async () => {
  const folder = await exported('by-hand');
  const commands = readFileSync(join(folder, 'README.txt'), 'utf8').split('\n').filter((line) => /^ {4}(cut|\{|openssl|sha256sum)/.test(line)).map((line) => line.trim().replaceAll('/tmp/', './'));
  expect(commands).toHaveLength(4);
  expect(execFileSync('sh', ['-e', '-c', commands.join('\n')], { cwd: folder, encoding: 'utf8' })).toContain('Signature Verified Successfully');
});

test('[REC-10] the public key is told to anybody; an export to whoever may see recordings', async () => {
  const { body, status } = await h.call<{ kid: string; pem: string }>('GET', '/v1/recordings/signing-key');
  expect([status, body.kid, PublicSigningKey.fromPem(body.pem).kid]).toEqual([200, installation.key.public.kid, installation.key.public.kid]);
  expect((await h.call('GET', `/v1/recordings/cam/evidence?${range}`)).status).toBe(401);
  expect((await h.call('GET', `/v1/recordings/cam/evidence?from=${at(60_000)}&to=${at(70_000)}`, { token })).status).toBe(404);
  expect((await h.call('GET', `/v1/recordings/cam/evidence?from=${at(2_000)}&to=${at(1_000)}`, { token })).status).toBe(400);
});

test('[REC-10] a recorded file that goes while it is exported breaks the export off: no ZIP that looks whole', async () => {
  const { id = '' } = records[4] ?? {};
  const file = readFileSync(installation.path(id));
  await h.call('GET', `/v1/recordings/cam/playback?${range}`, { token }); // what it is made of is known
  rmSync(installation.path(id));
  const answer = fetch(`${h.base}/v1/recordings/cam/evidence?${range}`, { headers: { authorization: `Bearer ${token}` } }).then((response) => response.arrayBuffer());
  await expect(answer).rejects.toThrow();
  writeFileSync(installation.path(id), file);
});
