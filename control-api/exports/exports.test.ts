import { existsSync } from 'node:fs';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import type { AnnotatedExporter, ExportWork } from '../../recorder/port.ts';
import { fakeReader, startApi } from '../testing/harness.ts';
import type { Harness, HarnessOptions } from '../testing/harness.ts';
import type { Export } from './schemas.ts';
import type { z } from '@hono/zod-openapi';

type Job = z.output<typeof Export>;
const T0 = 1_749_999_000_000;
const iso = (at: number): string => new Date(at).toISOString();
const RANGE = { from: iso(T0), to: iso(T0 + 10_000) };
const FRAME = { stream: 'cam', epoch: 7, rtpTs: 90, captureNtp: null, seq: 0 };

/** Makes files of five bytes; `wait` holds it up. */
const exporter = (works: ExportWork[], wait: () => Promise<void> = () => Promise.resolve()): AnnotatedExporter => async (work, signal) => {
  works.push(work);
  await writeFile(work.path, 'movie');
  signal.throwIfAborted();
  await Promise.race([wait(), new Promise((_, reject) => { signal.addEventListener('abort', () => { reject(signal.reason as Error); }); })]);
  return { bytes: 5, pictures: 3, undecodable: 1, boxes: 2, missing: 1 };
};

const start = async (annotatedExporter: AnnotatedExporter, more: HarnessOptions = {}) => {
  const h = await startApi({
    annotatedExporter, config: { recorder: { min_free_bytes: 0 }, ...more.config }, ...(more.db === undefined ? {} : { db: more.db }),
    segmentReader: fakeReader({ pictures: () => Promise.resolve({
      length: 10_000, missing: 0,
      runs: [{ segmentId: 's', sessionId: 'a', decoderConfig: Buffer.alloc(1), pictures: [{ frame: FRAME, wall: T0, at: 0 }], read: async function* () { await Promise.resolve(); yield Buffer.alloc(1); } }],
    }) }),
  });
  if (more.db === undefined) {
    await h.db.insertInto('segments').values({
      id: `cam/${String(T0)}-a-0`, camera_id: 'cam', session_id: 'a', epoch: 7, start_ms: T0, end_ms: T0 + 10_000, bytes: 1, sha256: 'ab', open: 0 as const, tracks: '[]', gap_before: null, expired_at: null,
    }).execute();
  }
  return { h, token: (await h.login()).access_token };
};
const ask = async (h: Harness, token: string, json: object = RANGE): Promise<Job> => (await h.call<Job>('POST', '/v1/recordings/cam/exports', { token, json })).body;
const look = async (h: Harness, token: string, id: string): Promise<Job> => (await h.call<Job>('GET', `/v1/exports/${id}`, { token })).body;
const becomes = (h: Harness, token: string, id: string, state: Job['state']): Promise<unknown> => expect.poll(async () => (await look(h, token, id)).state).toBe(state);

test('[REC-5] an export runs, says what came of it, can be fetched by parts, and is forgotten with its file after a day', async () => {
  const works: ExportWork[] = [];
  const { h, token } = await start(exporter(works));
  await using _h = h;
  await h.db.insertInto('detections').values([[90, 'cup', null], [91, 'person', null], [90, 'other', 'a']].map(([rtp, name, analysis], i) => ({
    camera_id: 'cam', stream_epoch: 7, rtp_timestamp: rtp as number, captured_at_ms: T0 + 15, sequence: i, class_name: name as string, class_id: 4, confidence: 0.5, x: 1, y: 2, width: 3, height: 4, track_id: null, model: 'm', model_digest: 'd', analysis_id: analysis as string | null,
  }))).execute();
  const { id } = await ask(h, token);
  await becomes(h, token, id, 'done');
  expect(await look(h, token, id)).toMatchObject({ camera: 'cam', ...RANGE, progress: 1, pictures: 3, undecodable: 1, missing_segments: 1, boxes: 2, bytes: 5, error: null, created_by: 'admin', expires_at: iso(h.clock.now() + 24 * 3_600_000) });
  const [work] = works;
  const run = work?.pictures.runs[0];
  expect(run && [...(await work.boxesOf(run))]).toEqual([['7 90', [{ className: 'cup', classId: 4, confidence: 0.5, trackId: null, x: 1, y: 2, width: 3, height: 4 }]], ['7 91', [expect.objectContaining({ className: 'person' })]]]);

  const part = await h.call<string>('GET', `/v1/exports/${id}/file?token=${token}`, { headers: { range: 'bytes=1-3' } });
  expect([part.status, part.body, part.headers.get('content-range'), part.headers.get('content-type')]).toEqual([206, 'ovi', 'bytes 1-3/5', 'video/mp4']);
  expect(part.headers.get('content-disposition')).toContain('cam-2025-06-15T14-50-00-000Z-boxes.mp4');
  expect((await h.call('GET', `/v1/exports/${id}/file`, { token, headers: { 'if-none-match': part.headers.get('etag') ?? '' } })).status).toBe(304);
  expect((await h.call<{ items: Job[] }>('GET', '/v1/exports?camera=cam&state=done', { token })).body.items.map((each) => each.id)).toEqual([id]);

  h.clock.advance(25 * 3_600_000);
  await expect.poll(async () => (h.clock.advance(60_000), await h.db.selectFrom('exports').select('id').execute())).toEqual([]);
  expect((await h.db.selectFrom('audit').select('action').where('target', '=', 'cam').execute()).map(({ action }) => action)).toContain('recording:export');
  await expect.poll(() => existsSync(join(h.directory, 'exports', `${id}.mp4`))).toBe(false); // the file goes after the row
});

test('[REC-5] one that is cancelled ends at once and leaves no file; there is none to fetch', async () => {
  const { h, token } = await start(exporter([], () => new Promise(() => undefined)));
  await using _h = h;
  const { id } = await ask(h, token);
  const second = await ask(h, token);
  await becomes(h, token, id, 'running');
  expect((await look(h, token, second.id)).state).toBe('queued'); // one at a time
  expect((await h.call('DELETE', `/v1/exports/${second.id}`, { token })).status).toBe(204);
  expect((await h.call('DELETE', `/v1/exports/${id}`, { token })).status).toBe(204);
  expect((await look(h, token, id)).state).toBe('cancelled');
  expect((await h.call('GET', `/v1/exports/${id}/file`, { token })).status).toBe(409);
  await expect.poll(() => readdir(join(h.directory, 'exports'))).toEqual([]);
  expect((await h.call('DELETE', `/v1/exports/${id}`, { token })).status).toBe(204);
  expect((await h.call('GET', `/v1/exports/${id}`, { token })).status).toBe(404);
});

test('[REC-5] an export under way at a stop begins again at the next start', async () => {
  const works: ExportWork[] = [];
  const first = await start(exporter(works, () => new Promise(() => undefined)));
  await using _first = { [Symbol.asyncDispose]: async () => { await first.h.db.destroy(); } };
  const { id } = await ask(first.h, first.token);
  await becomes(first.h, first.token, id, 'running');
  await first.h.api[Symbol.asyncDispose]();
  const { h, token } = await start(exporter(works), { db: first.h.db });
  h.clock.advance(2_000);
  await becomes(h, token, id, 'done');
  expect(works).toHaveLength(2);
  await h.api[Symbol.asyncDispose]();
});

test('[REC-5] an export of a process that has died is taken over after a minute, and no sooner', async () => {
  const works: ExportWork[] = [];
  const { h, token } = await start(exporter(works));
  await using _h = h;
  await h.db.insertInto('exports').values({
    id: 'left', camera_id: 'cam', from_ms: T0, to_ms: T0 + 10_000, analysis_id: null, state: 'running', progress: 0.4, pictures: 0, undecodable: 0, missing_segments: 0, boxes: 0, bytes: null,
    error: null, heartbeat_at: h.clock.now(), created_at: h.clock.now(), created_by: 'admin', finished_at: null,
  }).execute();
  const { id } = await ask(h, token);
  await becomes(h, token, id, 'done');
  expect((await look(h, token, 'left')).state).toBe('running');
  h.clock.advance(61_000);
  await expect.poll(async () => (h.clock.advance(2_000), (await look(h, token, 'left')).state)).toBe('done');
  expect(works).toHaveLength(2);
});

test('[REC-5] an export that fails says why, and files no job knows are deleted', async () => {
  const { h, token } = await start(async (work) => {
    await writeFile(work.path, 'half');
    throw new MediaError('RESOURCE_EXHAUSTED', 'The export of camera cam does not fit on the disk.');
  });
  await using _h = h;
  const { id } = await ask(h, token);
  await becomes(h, token, id, 'failed');
  expect((await look(h, token, id)).error).toBe('The export of camera cam does not fit on the disk.');
  const folder = join(h.directory, 'exports');
  await writeFile(join(folder, 'nobody.mp4'), '');
  await writeFile(join(folder, `${id}.1.part`), '');
  await writeFile(join(folder, 'notes.txt'), '');
  await becomes(h, token, (await ask(h, token)).id, 'failed');
  expect(await readdir(folder)).toEqual(['notes.txt']);
  expect((await stat(folder)).isDirectory()).toBe(true);
});

test('[REC-5] a disk that is almost full has no room for exports, and says so', async () => {
  const { h, token } = await start(exporter([]), { config: { recorder: { min_free_bytes: Number.MAX_SAFE_INTEGER } } });
  await using _h = h;
  const { id } = await ask(h, token);
  await becomes(h, token, id, 'failed');
  expect((await look(h, token, id)).error).toMatch(/camera cam .*disk is almost full/);
});

test('[REC-5] what cannot be exported is refused: too long, nothing there, too many, somebody else’s to delete', async () => {
  const { h, token } = await start(exporter([], () => new Promise(() => undefined)));
  await using _h = h;
  const post = (json: object, camera = 'cam', as = token) => h.call<{ code: string }>('POST', `/v1/recordings/${camera}/exports`, { token: as, json });
  expect((await post({ from: iso(T0 - 3_600_000), to: RANGE.to })).body.code).toBe('RANGE_TOO_LONG');
  expect((await post({ from: iso(T0 - 2_000), to: iso(T0 - 1_000) })).body.code).toBe('NOTHING_RECORDED');
  expect((await post(RANGE, 'other')).status).toBe(404);
  expect((await post({ ...RANGE, analysis: 'none' })).body.code).toBe('ANALYSIS_NOT_FOUND');
  expect((await post({ ...RANGE, fps: 1 })).status).toBe(400);
  const ids = [];
  for (let i = 0; i < 20; i++) ids.push((await ask(h, token)).id);
  expect((await post(RANGE)).body.code).toBe('TOO_MANY_EXPORTS');
  await h.call('DELETE', `/v1/exports/${ids[19] ?? ''}`, { token });
  expect((await h.call('POST', '/v1/users', { token, json: { username: 'vera', password: 'a-long-password', role: 'viewer' } })).status).toBe(201);
  const viewer = (await h.login('vera', 'a-long-password')).access_token;
  expect((await h.call('DELETE', `/v1/exports/${ids[0] ?? ''}`, { token: viewer })).status).toBe(403);
  const own = await post(RANGE, 'cam', viewer);
  expect(own.status).toBe(202);
  expect((await h.call('DELETE', `/v1/exports/${(own.body as unknown as Job).id}`, { token: viewer })).status).toBe(204);
});
