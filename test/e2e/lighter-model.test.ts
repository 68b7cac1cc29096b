/** Two cameras on a worker that manages less than one of them at eight pictures a second, and with a lighter model both. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startChromium } from '../support/chromium.ts';
import { clip, ffmpegMake, ffmpegPush } from '../support/media.ts';
import { openAs, sideways } from '../support/pages.ts';
import { TestServer, until } from '../support/server.ts';

const OWN = 'nanodet-g-416.int8.u8';
const LIGHTER = 'nanodet-g-320.int8.u8';
const CAMERAS = ['gate', 'yard'];
const SLOW_MS = 130;
const LIGHT_SHARE = 0.2;

interface Now { readonly fps: number; readonly level: number; readonly cause: string | null; readonly models: readonly { readonly detector: string; readonly model: string; readonly full_model: string; readonly light: readonly { readonly model: string; readonly state: string }[] }[] }
interface Rate { readonly from_fps: number; readonly to_fps: number; readonly full_fps: number; readonly cause: string; readonly models: readonly { readonly detector: string; readonly from_model: string; readonly to_model: string; readonly full_model: string }[] }
interface Seen { readonly model: string; readonly sequence: number; readonly detections: readonly { readonly track_id: string | null }[] }

const stack = new AsyncDisposableStack();
let server: TestServer;
let slowedBy: string;
let video: string;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'imageflow-lighter-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  slowedBy = join(folder, 'milliseconds');
  await writeFile(slowedBy, String(SLOW_MS));
  video = await ffmpegMake(['-t', '10', '-i', clip('vtest-720p30-baseline.mp4'), '-an', '-vf', 'scale=320:180', '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '30'], join(folder, 'small.mp4'));
  server = stack.use(await TestServer.start({ args: [join(import.meta.dirname, '..', 'support', 'slowed-server.ts')], env: { SLOWED_BY: slowedBy, LIGHT_SHARE: String(LIGHT_SHARE) } }));
});
afterAll(() => stack.disposeAsync());

const watch = async (camera: string): Promise<Seen[]> => {
  const socket = new WebSocket(`${server.http.replace('http', 'ws')}/v1/cameras/${camera}/detections/live`, [`bearer.${server.token}`]);
  stack.defer(() => { socket.terminate(); });
  const all: Seen[] = [];
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as Seen & { readonly type: string };
    if (message.type === 'detections') all.push(message);
  });
  await once(socket, 'open');
  return all;
};
const now = async (camera: string): Promise<Now | null> => (await server.request<{ now: Now | null }>('GET', `/v1/cameras/${camera}/qos`)).now;

test('[EXT-3][INF-3] under overload cameras fall to eight pictures a second and then to the lighter model, are seen by it in order and with the same tracks, and are back after it; every change is told', { timeout: 400_000 }, async () => {
  for (const id of CAMERAS) stack.use(ffmpegPush(video, server.rtspUrl(await server.addCamera(id, { pipelines: ['detect'] })), { loop: true }));
  await until('all live', async () => (await Promise.all(CAMERAS.map((id) => server.metric('imageflow_qos_fps', { camera: id })))).every((fps) => fps > 0));
  const seen = await Promise.all(CAMERAS.map(watch));

  const lowered = await until('both on the lighter model', async () => {
    const all = await Promise.all(CAMERAS.map(now));
    return all.every((each) => each?.models[0]?.model === LIGHTER) && all;
  }, 60_000);
  for (const each of lowered) expect(each).toMatchObject({ models: [{ detector: 'detect', model: LIGHTER, full_model: OWN, light: [{ model: LIGHTER, state: 'ready' }] }] });
  for (const each of lowered) {
    expect(each?.fps).toBeLessThanOrEqual(8);
    expect(each?.level).toBeGreaterThanOrEqual(2);
  }
  const [gate = []] = seen;
  await until('pictures seen by it', () => gate.some(({ model }) => model === LIGHTER));
  expect(await server.metric('imageflow_qos_model', { camera: 'gate', detector: 'detect', model: LIGHTER })).toBe(1);

  const { context } = stack.use(await startChromium({ viewport: { width: 390, height: 844 } }));
  const page = await context.newPage();
  await openAs(page, server, '/cameras/gate');
  await page.locator('[data-note="detection-rate"]').filter({ hasText: `with the lighter model ${LIGHTER}` }).waitFor({ timeout: 30_000 });
  await page.locator('.detectors').filter({ hasText: LIGHTER }).waitFor();
  expect(await sideways(page)).toBeLessThanOrEqual(0);
  await page.close();

  await writeFile(slowedBy, '0');
  await until('all back', async () => (await Promise.all(CAMERAS.map(now))).every((each) => each?.fps === 15 && each.level === 0), 240_000);

  for (const id of CAMERAS) {
    const told = await until('the last step told', async () => {
      const { items } = await server.request<{ items: { event: { camera: string; detection_rate: Rate } }[] }>('GET', '/v1/events?topic=system-metrics&limit=1000');
      const own = items.map(({ event }) => event).filter(({ camera }) => camera === id).map(({ detection_rate: rate }) => rate);
      return own.at(-1)?.to_fps === 15 && own;
    });
    const steps = told.map(({ from_fps: from, to_fps: to, models: [model] }) => [from, model?.from_model, to, model?.to_model]);
    for (const [i, [from, model]] of steps.entries()) expect([from, model]).toEqual([steps[i - 1]?.[2] ?? 15, steps[i - 1]?.[3] ?? OWN]);
    expect(steps.slice(0, 2)).toEqual([[15, OWN, 8, OWN], [8, OWN, 8, LIGHTER]]);
    expect(steps.slice(-2)).toEqual([[8, LIGHTER, 8, OWN], [8, OWN, 15, OWN]]);
    expect(told.some(({ cause }) => cause === 'worker_busy'), id).toBe(true);
    for (const { cause } of told.slice(0, 2)) expect(['worker_busy', 'queue_wait', 'extractor_busy', 'cpu_busy']).toContain(cause);
    expect(told.at(-1)?.cause).toBe('recovered');
    expect(told.every(({ full_fps: full, models }) => full === 15 && models[0]?.full_model === OWN)).toBe(true);
    expect(await server.metric('imageflow_decoders_active', { camera: id })).toBe(1);
    expect(await server.metric('imageflow_qos_model', { camera: id, detector: 'detect', model: OWN })).toBe(1);
  }
  expect(new Set(gate.map(({ model }) => model))).toEqual(new Set([OWN, LIGHTER]));
  for (const [i, { sequence }] of gate.entries()) expect(sequence).toBeGreaterThan(gate[i - 1]?.sequence ?? -1);
  // The worker says that one object fills the picture: it is the same one for both models.
  const tracksOf = (model: string) => new Set(gate.filter((picture) => picture.model === model).flatMap(({ detections }) => detections.map(({ track_id: track }) => track)));
  expect([...tracksOf(LIGHTER)].some((track) => track !== null && tracksOf(OWN).has(track))).toBe(true);
});
