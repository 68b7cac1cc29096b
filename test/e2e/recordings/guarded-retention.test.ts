/** A window made shorter by mistake, on the whole server: it asks before it deletes, and what marks keep stays whatever is answered. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { recordHours } from '../../../bench/support/recorded-hours.ts';
import { clip } from '../../support/media.ts';
import { readClip } from '../../support/mp4-source.ts';
import { endOf, idsOnDisk, playbackPath, segmentsOf, startOf } from '../../support/recordings.ts';
import { TestServer, until } from '../../support/server.ts';

const CAMERA = 'line';
const SEGMENTS = 60;
/** Of 10 s each. */
const RECORDED_MS = SEGMENTS * 10_000;
/** Minutes. */
const WIDE = 600;
const NARROW = 1;

interface Alarm { readonly code: string; readonly raised: boolean; readonly message: string; readonly at: string }
interface Hold { readonly held: { readonly since: string; readonly message: string } | null }

test('[REC-2] [REC-3] a window made too short deletes nothing before somebody confirms it, also after a kill; then all goes but what is marked', { timeout: 120_000 }, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'imageflow-guarded-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }));
  await mkdir(join(dataDir, 'recordings'));
  await recordHours(join(dataDir, 'recordings'), { camera: CAMERA, tracks: readClip(clip('counter-720p30.mp4')).tracks, start: Date.now() - 2 * RECORDED_MS, segments: SEGMENTS, bytes: 60 });
  const server = stack.use(await TestServer.start({ dataDir, env: { IMAGEFLOW_RECORDER_WINDOW_MINUTES: String(WIDE) } }));
  const listed = async (): Promise<string[]> => (await segmentsOf(server, CAMERA)).map(({ id }) => id);
  const window = (minutes: number): Promise<unknown> => server.request('PATCH', `/v1/cameras/${CAMERA}`, { recording: { policy: 'always', window_minutes: minutes } });
  const held = async (): Promise<Hold['held']> => (await server.request<Hold>('GET', '/v1/retention')).held;
  const alarm = async (raised: boolean): Promise<Alarm | undefined> =>
    (await server.request<{ items: Alarm[] }>('GET', `/v1/alarms?raised=${String(raised)}&limit=100`)).items.find(({ code }) => code === 'recording_retention_held');
  /** By itself or because it was confirmed; a restart of the edge, too, ends alarms for a moment. */
  const over = async (): Promise<boolean> => (await held()) === null && (await alarm(false))?.message === 'Nothing is held back from deletion any more.';
  const asked = (): number => server.log.filter((line) => line.includes('retention would delete more than half of everything: held')).length;
  const confirm = (since: string): Promise<Response> =>
    server.fetch('/v1/retention/confirm', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ since }) });
  const expectNothingGone = async (): Promise<void> => {
    expect(await listed()).toEqual(all);
    expect(await idsOnDisk(dataDir, CAMERA)).toEqual(all.toSorted());
  };

  await server.addCamera(CAMERA, { pipelines: [], recording: { policy: 'always', window_minutes: WIDE } });
  const all = await until('all is listed', async () => { const ids = await listed(); return ids.length === SEGMENTS && ids; });
  const kept = (await segmentsOf(server, CAMERA))[20];
  if (!kept) throw new Error('a segment is not there');
  await server.request('POST', `/v1/recordings/${CAMERA}/marks`, { kind: 'pin', from: new Date(startOf(kept) + 1000).toISOString(), to: new Date(endOf(kept) - 1000).toISOString() });
  await until('it is kept', async () => (await segmentsOf(server, CAMERA)).find(({ id }) => id === kept.id)?.pinned === true);

  await window(NARROW);
  const raised = await until('the alarm', () => alarm(true));
  expect(raised.message).toMatch(/^More than half of all recordings \(59 segments, .* before you confirm it on the recordings page/);
  expect(await held()).toEqual({ since: raised.at, message: raised.message });
  await expectNothingGone();
  const playback = await server.fetch(playbackPath(CAMERA, startOf(kept) - 100_000, startOf(kept) - 90_000));
  expect([playback.status, (await playback.arrayBuffer()).byteLength > 0]).toEqual([200, true]);

  // The word for another question is no word for this one; a restarted edge asks the same one.
  expect((await confirm(new Date(Date.parse(raised.at) - 1000).toISOString())).status).toBe(409);
  const askedSoFar = asked();
  const [pid] = await server.pids('edge');
  process.kill(pid ?? 0, 'SIGKILL');
  await until('the restarted edge asks', () => asked() > askedSoFar, 60_000);
  expect((await held())?.since).toBe(raised.at);
  await expectNothingGone();

  // The window as it was: nothing is asked any more. Too short again, and confirmed: it goes, all but what is marked.
  await window(WIDE);
  await until('nothing is held any more', over);
  await expectNothingGone();
  await window(NARROW);
  const again = await until('it is asked again', held);
  expect(again.since > raised.at).toBe(true);
  await expectNothingGone();
  expect((await confirm(again.since)).status).toBe(204);
  await until('all but what is marked has left the lists', async () => (await listed()).join() === kept.id);
  await until('the alarm is over', over);
  expect((await server.fetch(playbackPath(CAMERA, startOf(kept) - 100_000, startOf(kept) - 90_000))).status).toBe(404);
});
