/** WebRTC and RTSP stacks that are not ours and not Chromium's: aiortc, GStreamer's webrtcbin and rtspclientsink, against the whole server. What they sent is read from the pictures. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { countersIn, countersOf } from '../support/frame-counters.ts';
import { FIXTURES, clip, ffmpegPush, run } from '../support/media.ts';
import { packetsOf } from '../support/mp4-packets.ts';
import { closedSegments, endOf, playbackPath, startOf } from '../support/recordings.ts';
import type { Segment } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';

const CLIP = 'counter-720p30.mp4';
const CLIP_FRAMES = 900;
const SECONDS = 8;
/** Debian's Python, for which its aiortc and GStreamer are. */
const PYTHON = '/usr/bin/python3';

const stack = new AsyncDisposableStack();
let server: TestServer;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-stacks-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '4' } }));
});
afterAll(() => stack.disposeAsync());

/** Runs a script of the fixtures; resolves with what it printed. */
const python = async (script: string, ...args: readonly string[]): Promise<string> => {
  const { stdout } = await promisify(execFile)(PYTHON, [join(FIXTURES, script), ...args], { timeout: 90_000 });
  return stdout;
};
const session = async (camera: string): Promise<{ phase: string; protocol: string; reason: string | null }> =>
  (await server.request<{ session: { phase: string; protocol: string; reason: string | null } }>('GET', `/v1/cameras/${camera}`)).session;

/** What was recorded of a camera that has left, as one file. */
const recordingOf = async (camera: string): Promise<{ readonly path: string; readonly segments: readonly Segment[] }> => {
  const segments = await closedSegments(server, camera);
  const response = await server.fetch(playbackPath(camera, Math.floor(startOf(segments[0]!)), Math.ceil(endOf(segments.at(-1)!)) + 1));
  expect(response.status).toBe(200);
  const path = join(folder, `${camera}.mp4`);
  await writeFile(path, Buffer.from(await response.arrayBuffer()));
  return { path, segments };
};

/** Every picture can be read, and from the first to the last none is missing. */
const expectEveryFrame = (counters: readonly (number | null)[], atLeast: number): void => {
  expect(counters.length).toBeGreaterThanOrEqual(atLeast);
  const first = counters[0] ?? 0;
  expect(counters).toEqual(counters.map((_, i) => (first + i) % CLIP_FRAMES));
};

test('[ING-1] aiortc publishes by WHIP through the front door: every frame it sent is recorded', async () => {
  const camera = await server.addCamera('aiortc-publishes', { pipelines: [] });
  expect(await python('aiortc/publish.py', camera.urls['whip']!, camera.publish_key, clip(CLIP), String(SECONDS))).toBe('POST 201\nDELETE 200\n');
  expect(await until('the session has ended', async () => { const now = await session(camera.id); return now.phase === 'ended' && now; })).toMatchObject({ reason: 'DELETE' });
  const { path, segments } = await recordingOf(camera.id);
  expect(segments.map(({ gap_before }) => gap_before)).toEqual(segments.map(() => null));
  expectEveryFrame(await countersOf(path), (SECONDS - 3) * 20);
});

test('[DIS-1] aiortc plays by WHEP what ffmpeg pushes: it decodes every frame', async () => {
  const camera = await server.addCamera('aiortc-plays', { pipelines: [] });
  await using _push = ffmpegPush(clip(CLIP), server.rtspUrl(camera), { loop: true });
  await until('the camera is live', async () => (await session(camera.id)).phase === 'live');
  const rows = join(folder, 'rows');
  const [post, played, removed] = (await python('aiortc/play.py', camera.urls['whep']!, server.token, String(SECONDS * 30), rows)).split('\n');
  expect(post).toBe('POST 201');
  expect(JSON.parse(played ?? '')).toEqual({ frames: SECONDS * 30, sizes: [[1280, 720]] });
  expect(removed).toBe('DELETE 200');
  expectEveryFrame(countersIn(await readFile(rows), 1280, 1), SECONDS * 30);
  await until('the viewer is gone', async () => (await server.metric('imageflow_viewers', { camera: camera.id, protocol: 'webrtc' })) === 0);
});

test('[ING-1] GStreamer\'s webrtcbin publishes H.264 High and Opus by WHIP: every frame is recorded, the sound too', async () => {
  const camera = await server.addCamera('webrtcbin', { pipelines: [] });
  expect(await python('gstreamer/publish.py', camera.urls['whip']!, camera.publish_key, clip(CLIP), String(SECONDS))).toBe('POST 201\nconnected\nDELETE 200\n');
  const { path, segments } = await recordingOf(camera.id);
  expect(segments.map(({ gap_before }) => gap_before)).toEqual(segments.map(() => null));
  expect(segments[0]?.tracks.map(({ kind, codec }) => `${kind} ${codec.slice(0, 4)}`)).toEqual(['video avc1', expect.stringMatching(/^audio opus/i)]);
  expectEveryFrame(await countersOf(path), (SECONDS - 2) * 30);
  expect((await packetsOf(path, 'audio')).length).toBeGreaterThan((SECONDS - 2) * 50);
});

/** SHA-256 of each picture's slices. What stands around them is the parser's: GStreamer adds delimiters and parameter sets. */
const slicesOf = async (path: string): Promise<string[]> => {
  const { stdout } = await promisify(execFile)('ffmpeg', ['-v', 'error', '-i', path, '-map', '0:v:0', '-c', 'copy', '-bsf:v', 'filter_units=pass_types=1-5', '-f', 'framehash', '-hash', 'sha256', '-']);
  return stdout.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.slice(line.lastIndexOf(',') + 1).trim());
};

test('[ING-4] GStreamer\'s rtspclientsink publishes by RTSP: every picture is kept as it was', async () => {
  const camera = await server.addCamera('rtspclientsink', { pipelines: [] });
  await using _push = run('gst-launch-1.0', ['-q', 'filesrc', `location=${clip('vtest-720p30-baseline.mp4')}`, '!', 'qtdemux', '!', 'h264parse', '!', 'rtspclientsink', 'protocols=tcp', 'user-id=any', `user-pw=${camera.publish_key}`, `location=${server.rtsp}/${camera.id}`]);
  await until('the camera is live', async () => { const now = await session(camera.id); return now.phase === 'live' && now.protocol === 'rtsp'; });
  // At its end rtspclientsink either closes its connection without a TEARDOWN, or (one time in ten on a busy machine) waits for its own
  // RTCP for ever though every picture is sent: then the server ends the session of the silent publisher.
  await until('the session has ended', async () => (await session(camera.id)).phase === 'ended', 60_000);
  const { path } = await recordingOf(camera.id);
  const kept = await slicesOf(path);
  expect(kept).toHaveLength(300);
  expect(kept).toEqual(await slicesOf(clip('vtest-720p30-baseline.mp4')));
});
