import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clip, ffmpegPush } from '../../support/media.ts';
import type { Running } from '../../support/media.ts';
import { endOf, gapCausesOf, segmentsOf, startOf } from '../../support/recordings.ts';
import { TestServer } from '../../support/server.ts';

/** Seconds. */
const WINDOW = 15;

let server: TestServer;
const pushing: Running[] = [];

beforeAll(async () => {
  server = await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '1', IMAGEFLOW_RECORDER_WINDOW_MINUTES: String(WINDOW / 60) } });
  for (const [id, recording] of Object.entries({ rolling: { policy: 'always' }, long: { policy: 'always', window_minutes: 60 }, shift: { policy: 'always', hours: { times: [{ from: '00:00', to: '00:00' }] } } })) {
    pushing.push(ffmpegPush(clip('vtest-720p30.mp4'), server.rtspUrl(await server.addCamera(id, { pipelines: [], recording })), { loop: true }));
  }
});
afterAll(async () => {
  for (const each of pushing) await each[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const first = async (camera: string): Promise<string | undefined> => (await segmentsOf(server, camera))[0]?.id;

test('[REC-2] [REC-7] a camera\'s own window is kept, a pinned range outlives the window, and goes once nobody pins it', { timeout: 120_000 }, async () => {
  await expect.poll(async () => (await segmentsOf(server, 'rolling')).length, { timeout: 30_000 }).toBeGreaterThanOrEqual(4);
  const all = await segmentsOf(server, 'rolling');
  const [, second, third] = all;
  if (!second || !third) throw new Error('three segments are there');
  const mark = await server.request<{ id: string }>('POST', '/v1/recordings/rolling/marks', { kind: 'pin', from: new Date(startOf(second) + 500).toISOString(), to: new Date(endOf(second) - 500).toISOString(), title: 'the one to keep' });
  const began = await first('long');

  // The window goes on over it.
  await expect.poll(async () => (await segmentsOf(server, 'rolling')).map(({ id }) => id).filter((id) => all.some((each) => each.id === id)), { timeout: 60_000 }).toEqual([second.id]);
  const listed = await segmentsOf(server, 'rolling');
  expect(listed.find(({ id }) => id === second.id)).toMatchObject({ pinned: true });
  expect(listed.at(-1)).toMatchObject({ pinned: false });
  expect(existsSync(join(server.dataDir, 'recordings', `${second.id}.mp4`))).toBe(true);
  const playback = await server.fetch(`/v1/recordings/rolling/playback?from=${second.start}&to=${new Date(endOf(second)).toISOString()}`);
  expect(playback.status).toBe(200);
  await playback.arrayBuffer();
  expect(await first('long')).toBe(began);

  await server.request('DELETE', `/v1/marks/${mark.id}`);
  await expect.poll(async () => (await segmentsOf(server, 'rolling')).some(({ id }) => id === second.id), { timeout: 30_000 }).toBe(false);
});

test('[REC-9] [SD-53] recording is switched off and on by hand, and the gap says so; hours decide without anybody', { timeout: 90_000 }, async () => {
  const open = async (camera: string): Promise<boolean> => (await segmentsOf(server, camera)).some((segment) => segment.open);
  // Between two segments none may be listed as open; what is off has been without one for longer than a segment.
  const off = async (camera: string): Promise<boolean> => {
    const last = (await segmentsOf(server, camera)).at(-1);
    return last !== undefined && !last.open && endOf(last) < Date.now() - 3000;
  };
  await expect.poll(() => open('shift'), { timeout: 30_000 }).toBe(true);
  await server.request('POST', '/v1/cameras/long/recording/stop');
  await expect.poll(() => off('long'), { timeout: 15_000 }).toBe(true);
  await server.request('POST', '/v1/cameras/long/recording/start');
  await expect.poll(() => open('long'), { timeout: 30_000 }).toBe(true);
  await expect.poll(() => gapCausesOf(server, 'long'), { timeout: 15_000 }).toContain('recording_off');

  // A shift that is over: ten minutes, half a day away.
  const soon = new Date(Date.now() + 12 * 3_600_000);
  const time = (date: Date): string => date.toISOString().slice(11, 16);
  await server.request('PATCH', '/v1/cameras/shift', { recording: { policy: 'always', hours: { times: [{ from: time(soon), to: time(new Date(soon.getTime() + 600_000)) }] } } });
  await expect.poll(() => off('shift'), { timeout: 30_000 }).toBe(true);
});
