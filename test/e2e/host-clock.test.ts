/** The clock of the host is set while a camera is recorded: pictures stay what and where they are, and everything plays. On real processes, by libfaketime. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import { clip, ffmpegMake } from '../support/media.ts';
import { countedFrames, mediabunnyTimes, packetsOf } from '../support/mp4-packets.ts';
import { readClip } from '../support/mp4-source.ts';
import type { Clip } from '../support/mp4-source.ts';
import { closedSegments, endOf, filesOf, playbackPath, recordedPictures, segmentsOf, startOf } from '../support/recordings.ts';
import type { RecordedPicture, Segment } from '../support/recordings.ts';
import { playScript } from '../support/scripted-camera.ts';
import type { ScriptedUnit } from '../support/scripted-camera.ts';
import { SettableClock } from '../support/settable-clock.ts';
import { TestServer, until } from '../support/server.ts';
import { playToEnd } from '../support/video-player.ts';

const HOUR = 3_600;
/** So much of the clock's change is followed at once; less, or back, is slewed. */
const STEP_S = 5;
const FRAME_MS = 1000 / 30;
const CASES = [
  { camera: 'forward', step: HOUR, what: 'an hour forward' },
  { camera: 'back', step: -HOUR, what: 'an hour back' },
  { camera: 'overlap', step: -2, what: 'back by two seconds, so that the next session begins within the one before' },
] as const;

interface Gap { readonly duration: number; readonly cause: string | null }

/** What the server has of a camera that was pushed twice, in two sessions; the clock was set during the first. */
interface Recorded {
  readonly server: TestServer;
  readonly pushed: number;
  readonly segments: readonly Segment[];
  readonly gaps: readonly Gap[];
  readonly sessions: readonly (readonly RecordedPicture[])[];
}

const stack = new AsyncDisposableStack();
const recordings = new Map<string, Recorded>();
let folder: string;
let page: Page;

const firstSeconds = (media: Clip, seconds: number): ScriptedUnit[] =>
  media.units.filter(({ at }) => at < seconds * 1000).map(({ kind, at, pts, data }) => ({ kind, at, rtpTimestamp: pts + 1_000, data }));

const recordTwice = async (media: Clip, camera: string, step: number): Promise<Recorded> => {
  const clock = stack.use(await SettableClock.create());
  const server = stack.use(await TestServer.start({ env: { ...clock.env, IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '2', IMAGEFLOW_RECORDER_WINDOW_MINUTES: '100000', IMAGEFLOW_SESSION_GRACE_SECONDS: '1' } }));
  if (media.tracks.video?.codec !== 'h264') throw new Error('the clip is H.264');
  const announced = { video: media.tracks.video, audio: null };
  const target = { url: `${server.rtsp}/${camera}`, key: (await server.addCamera(camera, { pipelines: [] })).publish_key };
  const scripts = [firstSeconds(media, 7), firstSeconds(media, 2)] as const;
  const playing = playScript(target, announced, scripts[0]);
  await until('the second segment', async () => (await segmentsOf(server, camera)).length > 1);
  clock.set(step);
  await playing;
  await server.logIn(); // tokens are older than they may be, or not valid yet
  await closedSegments(server, camera);
  await playScript(target, announced, scripts[1]);
  const pushed = scripts[0].length + scripts[1].length;
  const pictures = await until('everything is recorded', async () => { const all = await recordedPictures(server.dataDir, camera); return all.length === pushed && all; });
  const epochs = [...new Set(pictures.map(({ frame }) => frame.epoch))].sort((a, b) => a - b);
  return {
    server, pushed, segments: await closedSegments(server, camera),
    gaps: (await server.request<{ items: Gap[] }>('GET', `/v1/recordings/${camera}/gaps?limit=100`)).items,
    sessions: epochs.map((epoch) => pictures.filter(({ frame }) => frame.epoch === epoch)),
  };
};

const download = async (server: TestServer, camera: string, from: number, to: number): Promise<string> => {
  const response = await server.fetch(playbackPath(camera, from, to));
  expect(response.status).toBe(200);
  const path = join(folder, `${camera}-${String(from)}.mp4`);
  await writeFile(path, Buffer.from(await response.arrayBuffer()));
  return path;
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-host-clock-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const media = readClip(await ffmpegMake(['-i', clip('vtest-720p30-baseline.mp4'), '-vf', 'scale=320:-2', '-c:v', 'libx264', '-preset', 'veryfast', '-bf', '0', '-g', '30'], join(folder, 'small.mp4')));
  for (const [i, recorded] of (await Promise.all(CASES.map(({ camera, step }) => recordTwice(media, camera, step)))).entries()) recordings.set(CASES[i]!.camera, recorded);
  const browser = stack.use(await startChromium());
  page = await browser.context.newPage();
});
afterAll(() => stack.disposeAsync());

describe.each(CASES)('[REC-1] the host\'s clock is set $what', ({ camera, step }) => {
  const recorded = (): Recorded => recordings.get(camera) ?? expect.fail(`${camera} was not recorded`);

  test('every picture is kept once and in order, and only a step forward shows in its wall time', () => {
    const { sessions } = recorded();
    expect(sessions).toHaveLength(2);
    const [first = []] = sessions;
    const steps = first.slice(1).map(({ wall, frame }, i) => ({ wall: wall - first[i]!.wall, rtp: frame.rtpTs - first[i]!.frame.rtpTs }));
    expect(steps.map(({ rtp }) => rtp)).toEqual(steps.map(() => 3_000));
    expect(steps.filter(({ wall }) => wall <= 0)).toEqual([]);
    const leaps = steps.filter(({ wall }) => wall > 2 * FRAME_MS);
    if (step > STEP_S) {
      expect(leaps).toHaveLength(1);
      expect(Math.abs(leaps[0]!.wall / 1000 - step)).toBeLessThan(1);
    } else expect(leaps).toEqual([]);
  });

  test('[REC-4] the hour that was skipped is a gap with its cause, an hour lived twice is none', () => {
    const set = recorded().gaps.filter(({ cause }) => cause === 'clock_set');
    if (step > STEP_S) {
      expect(set).toHaveLength(1);
      expect(Math.abs(set[0]!.duration - step)).toBeLessThan(1);
    } else expect(set).toEqual([]);
  });

  test('ffprobe counts every picture in every file, and all of them in a playback of everything', async () => {
    const { server, segments, pushed } = recorded();
    let frames = 0;
    for (const { path } of await filesOf(server.dataDir, camera)) frames += await countedFrames(path);
    expect(frames).toBe(pushed);
    const path = await download(server, camera, Math.floor(Math.min(...segments.map(startOf))), Math.ceil(Math.max(...segments.map(endOf))) + 1);
    expect(await countedFrames(path)).toBe(pushed);
    const times = await mediabunnyTimes(path);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(new Set((await packetsOf(path)).map(({ pts }) => pts)).size).toBe(pushed);
  });

  test('[REC-5] Chromium plays what was recorded before and after', async () => {
    const { server, sessions: [first, second] } = recorded();
    await page.goto(`${server.http}/v1/health`);
    await page.setContent('<body></body>');
    const around = first!.findIndex(({ wall }, i) => i > 0 && wall - first![i - 1]!.wall > STEP_S * 1000);
    const stretches = around > 0 ? [first!.slice(0, around), first!.slice(around), second!] : [first!, second!];
    for (const stretch of stretches) {
      const [from, to] = [Math.ceil(stretch[0]!.wall), Math.ceil(stretch.at(-1)!.wall) + 1];
      const shown = await playToEnd(page, `${server.http}${playbackPath(camera, from, to)}&token=${encodeURIComponent(server.token)}`);
      expect(shown.error).toBeNull();
      expect(shown.pictures).toBeGreaterThanOrEqual(Math.floor(stretch.length * 0.95));
    }
  });
});
