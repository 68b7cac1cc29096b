/**
 * kill -9 and SIGSTOP of workers and extractors, one after the other, in an order that a seed decides, while three cameras are recorded, detected and watched:
 * it costs detections for a moment, and nothing else. Every picture that a camera sends is counted.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readClip } from '../../demo/mp4-clip.ts';
import { LiveDetections } from '../support/detections.ts';
import { clip, ffmpegMake } from '../support/media.ts';
import { NotingCamera } from '../support/noting-camera.ts';
import { seededRandom } from '../support/random.ts';
import { gapCausesOf, recordedPictures } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';

const CAMERAS = ['left', 'middle', 'right'];
const SEED = 20261130;
/** Of each role, so many are killed and so many stopped. */
const TIMES = 3;
/** Pictures from one random access picture to the next: what a new decoder begins with, though the one before it may have decoded some of it. */
const GOP = 30;
/** A worker is started again after a wait that doubles, and loads its model, on a machine that may be busy. */
const RESUMED_MS = 30_000;
const STOPPED_MS = { least: 300, more: 3_000 };
const SAMPLE_MS = 200;

const stack = new AsyncDisposableStack();
let server: TestServer;
let cameras: readonly NotingCamera[];
let watched: readonly LiveDetections[];

/** What the metrics say of a camera at one moment. */
interface Sample { readonly camera: string; readonly decoders: number; readonly decoded: number; readonly came: number; /** Extractors that had been ended by then. */ readonly lost: number }
const samples: Sample[] = [];
let lost = 0;

const sample = async (): Promise<void> => {
  const ended = lost;
  const text = await (await server.fetch('/metrics')).text();
  const value = (name: string, camera: string): number => Number(new RegExp(`^${name}\\{[^}]*camera="${camera}"[^}]*\\} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  for (const camera of CAMERAS) {
    samples.push({ camera, decoders: value('imageflow_decoders_active', camera), decoded: value('imageflow_decoded_frames_total', camera), came: value('imageflow_access_units_total', camera), lost: ended });
  }
};
const sampleUntil = async (signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    await sample();
    await sleep(SAMPLE_MS);
  }
};

/** Each camera has a result of a picture captured from now on. */
const allAreDetected = async (): Promise<void> => {
  const since = Date.now();
  await until('detections of all cameras', () => watched.every(({ messages }) => Date.parse(messages.at(-1)?.captured_at ?? '') > since), RESUMED_MS);
};

/** The process ids of the edge and control, which nothing of this may end. */
const lasting = async (): Promise<readonly (readonly number[])[]> => Promise.all(['edge', 'control'].map((role) => server.pids(role)));

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'imageflow-kill-workers-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  // Small: it is not this machine's decoding that is looked at.
  const pictures = await readClip(await ffmpegMake(['-t', '10', '-i', clip('vtest-720p30-baseline.mp4'), '-an', '-vf', 'scale=320:-2', '-c:v', 'libx264', '-preset', 'veryfast', '-bf', '0', '-g', String(GOP), '-sc_threshold', '0'], join(folder, 'small.mp4')));
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '4' } }));
  const known = await Promise.all(CAMERAS.map((id) => server.addCamera(id, { pipelines: [{ id: 'detect', fps: 5 }] })));
  watched = await Promise.all(CAMERAS.map(async (id) => stack.use(await LiveDetections.open(`${server.edge.replace('http', 'ws')}/v1/cameras/${id}/detections/live`, server.token))));
  cameras = known.map((camera) => stack.use(new NotingCamera(pictures, server, camera)));
  await allAreDetected();
});
afterAll(() => stack.disposeAsync());

test('[EXT-1] [EXT-6] [EXT-7] [INF-1] whatever is killed or stopped of workers and extractors, detections come again; never two decoders, no edge anew, no recorded picture lost', { timeout: 400_000 }, async () => {
  const before = await lasting();
  const random = seededRandom(SEED);
  const rounds = ['worker', 'extractor'].flatMap((role) => ['SIGKILL', 'SIGSTOP'].flatMap((signal) => Array.from({ length: TIMES }, () => ({ role, signal: signal as NodeJS.Signals, order: random() }))))
    .toSorted((a, b) => a.order - b.order);
  const lastStop = rounds.findLastIndex(({ role, signal }) => role === 'extractor' && signal === 'SIGSTOP');
  const ending = new AbortController();
  const sampling = sampleUntil(ending.signal);
  for (const [i, { role, signal }] of rounds.entries()) {
    const pids = await until(`a ${role} to be stopped`, async () => { const all = await server.pids(role); return all.length > 0 && all; }, RESUMED_MS);
    const pid = pids[Math.floor(random() * pids.length)] ?? 0;
    const began = performance.now();
    if (role === 'extractor' && (signal === 'SIGKILL' || i === lastStop)) lost++;
    process.kill(pid, signal);
    // One extractor is never continued: the edge has to notice that it hangs.
    if (i === lastStop) await until('the extractor that hangs is given up', async () => !(await server.pids('extractor')).includes(pid), RESUMED_MS);
    else if (signal === 'SIGSTOP') {
      await sleep(STOPPED_MS.least + random() * STOPPED_MS.more);
      process.kill(pid, 'SIGCONT');
    } else await until(`the ${role} is gone`, async () => !(await server.pids(role)).includes(pid), RESUMED_MS);
    await allAreDetected();
    console.info(`${signal} of the ${role}: all detected again after ${String(Math.round(performance.now() - began))} ms`);
    expect(await lasting()).toEqual(before);
  }
  ending.abort();
  await sampling;

  expect(samples.filter(({ decoders }) => decoders > 1)).toEqual([]);
  for (const id of CAMERAS) {
    const own = samples.filter(({ camera }) => camera === id);
    expect(own.at(-1)?.decoded).toBeGreaterThan(100);
    for (const [i, { decoded, came, lost: ended }] of own.entries()) {
      // Each is counted once a second: the very next count of what came holds all that was decoded until now.
      const next = own.slice(i).find((later) => later.came !== came);
      if (next) expect(decoded, `${id}: decoded of what came`).toBeLessThanOrEqual(next.came + ended * GOP);
    }
  }

  const ready = await server.fetch('/v1/health/ready');
  expect([ready.status, await ready.json()]).toEqual([200, { status: 'ready', missing: [], degraded: [] }]);
  await until('each camera has its decoder', async () => (await Promise.all(CAMERAS.map((camera) => server.metric('imageflow_decoders_active', { camera })))).every((active) => active === 1));
  for (const { open, messages } of watched) {
    expect(open, 'a viewer that was there from the beginning').toBe(true);
    const captured = messages.map(({ captured_at: at }) => Date.parse(at));
    expect(captured.filter((at, i) => at <= (captured[i - 1] ?? -Infinity))).toEqual([]);
  }
});

test('[REC-1] every picture that the cameras sent meanwhile is recorded', async () => {
  for (const camera of cameras) {
    expect(camera.publications).toHaveLength(1);
    const sent = camera.sent.map(({ rtpTimestamp }) => rtpTimestamp);
    const last = sent.at(-1) ?? NaN;
    const recorded = await until('the last of them is recorded', async () => {
      const all = (await recordedPictures(server.dataDir, camera.id)).map(({ frame }) => frame.rtpTs);
      return all.includes(last) && all;
    });
    console.info(`${camera.id}: ${String(sent.length)} pictures sent`);
    expect(sent.length).toBeGreaterThan(500);
    expect(recorded.slice(0, sent.length)).toEqual(sent);
    expect(await gapCausesOf(server, camera.id)).toEqual([]);
  }
});
