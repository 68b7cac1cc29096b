/** Cameras whose clocks jump and wrap, whose pictures change under way and whose sound comes and goes: each keeps a time line that everything plays. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { toAvcc } from '../../../core/codec/h264/nal.ts';
import type { AacTrack, H264Track } from '../../../core/track.ts';
import { startChromium } from '../../support/chromium.ts';
import { blankPage } from '../../support/live-peers.ts';
import { playVod } from '../../support/hls-player.ts';
import { clip, ffmpegMake } from '../../support/media.ts';
import { countedFrames, mediabunnyTimes, packetsOf } from '../../support/mp4-packets.ts';
import type { Mp4Packet } from '../../support/mp4-packets.ts';
import { readClip } from '../../support/mp4-source.ts';
import type { Clip } from '../../support/mp4-source.ts';
import { closedSegments, endOf, filesOf, gapCausesOf, playbackPath, recordedPictures, startOf } from '../../support/recordings.ts';
import type { RecordedPicture, Segment } from '../../support/recordings.ts';
import { playScript } from '../../support/scripted-camera.ts';
import type { ScriptedUnit } from '../../support/scripted-camera.ts';
import { TestServer } from '../../support/server.ts';
import { playToEnd } from '../../support/video-player.ts';

const TEN_MINUTES_MS = 600_000;
/** In the middle of a GOP. */
const JUMP_AT_MS = 4_300;
const SECONDS = 9;
/** Pictures whose order for decoding and for showing differs lie so near the jump that either side is right. */
const NEAR_THE_JUMP_MS = 200;
/** Nobody waits two seconds for the picture after a jump: more would be a gap. */
const LONGEST_STEP_S = 2;
const ONE_TICK_S = 1.01 / 90_000;

/** One unit to be sent, and when it was captured. */
interface CapturedUnit extends ScriptedUnit {
  readonly captureMs: number;
}

interface Recorded {
  readonly pictures: readonly CapturedUnit[];
  readonly segments: readonly Segment[];
  readonly kept: readonly RecordedPicture[];
  /** A playback of everything. */
  readonly path: string;
  readonly url: string;
  readonly played: readonly Mp4Packet[];
}

interface Scene {
  readonly video: H264Track;
  readonly audio: AacTrack | null;
  readonly script: readonly CapturedUnit[];
}

interface SceneOptions {
  /** RTP timestamp of the first moment, by kind. */
  readonly base?: Readonly<Record<'video' | 'audio', number>>;
  /** What the camera's clock shows more than it did at the beginning, at a moment. */
  readonly clockAhead?: (captureMs: number) => number;
  readonly sounds?: (captureMs: number) => boolean;
}

const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;
let page: Page;
const recorded = new Map<string, Recorded>();

const sceneOf = (pieces: readonly Clip[], { base = { video: 123_456, audio: 654_321 }, clockAhead = () => 0, sounds = () => true }: SceneOptions = {}): Scene => {
  const [first] = pieces;
  const { video, audio } = first?.tracks ?? {};
  if (video?.codec !== 'h264') throw new Error('a scene begins with H.264');
  const aac = audio?.codec === 'aac' ? audio : null;
  let began = 0;
  const script = pieces.flatMap(({ tracks, units }) => {
    const since = began;
    const sets = tracks.video?.codec === 'h264' ? toAvcc([tracks.video.sps, tracks.video.pps]) : Buffer.alloc(0);
    const from = units[0]?.at ?? 0;
    const piece = units.map(({ kind, pts, at, randomAccess, data }): CapturedUnit => {
      const rate = kind === 'video' ? 90_000 : aac?.clockRate ?? 48_000;
      const captureMs = since + (pts * 1000) / rate;
      const rtpTimestamp = base[kind] + pts + Math.round(((since + clockAhead(captureMs)) * rate) / 1000);
      return { kind, at: since + at - from, captureMs, rtpTimestamp, data: kind === 'video' && randomAccess ? Buffer.concat([sets, data]) : data };
    });
    began += (units.filter(({ kind }) => kind === 'video').length * 1000) / 30;
    return piece;
  });
  return { video, audio: aac, script: script.filter(({ kind, captureMs }) => kind === 'video' || sounds(captureMs)) };
};

const record = async (id: string, { video, audio, script }: Scene): Promise<void> => {
  const camera = await server.addCamera(id, { pipelines: [] });
  await playScript({ url: `${server.rtsp}/${id}`, key: camera.publish_key }, { video, audio }, script);
  const segments = await closedSegments(server, id);
  const [from, to] = [Math.floor(startOf(segments[0]!)), Math.ceil(endOf(segments.at(-1)!)) + 1];
  const response = await server.fetch(playbackPath(id, from, to));
  if (response.status !== 200) throw new Error(`playback of ${id} was answered ${String(response.status)}`);
  const path = join(folder, `${id}-playback.mp4`);
  await writeFile(path, Buffer.from(await response.arrayBuffer()));
  recorded.set(id, {
    pictures: script.filter(({ kind }) => kind === 'video'), segments, kept: await recordedPictures(server.dataDir, id), path, played: await packetsOf(path),
    url: `${server.http}${playbackPath(id, from, to)}&token=${encodeURIComponent(server.token)}`,
  });
};

const encoded = async (name: string, start: number, seconds: number, width: number, profile: string, from = 'vtest-720p30.mp4'): Promise<Clip> =>
  readClip(await ffmpegMake(['-ss', String(start), '-i', clip(from), '-t', String(seconds), '-c:a', 'copy', '-vf', `scale=${String(width)}:-2`, '-c:v', 'libx264', '-preset', 'veryfast', '-bf', '0', '-g', '30', '-profile:v', profile], join(folder, name)));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-clocks-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const bframes = readClip(clip('vtest-720p30-bframes.mp4'));
  const sound = await encoded('sound.mp4', 0, SECONDS, 640, 'high', 'vtest-720p30-aac.mp4');
  const stages = [await encoded('a.mp4', 0, 3, 640, 'high'), await encoded('b.mp4', 10, 2, 320, 'high'), await encoded('c.mp4', 20, 2, 320, 'baseline'), await encoded('d.mp4', 30, 2, 640, 'high')];
  const leap = (ms: number) => (captureMs: number): number => (captureMs >= JUMP_AT_MS ? ms : 0);
  const scenes: Readonly<Record<string, Scene>> = {
    forward: sceneOf([bframes], { clockAhead: leap(TEN_MINUTES_MS) }),
    back: sceneOf([sound], { clockAhead: leap(-TEN_MINUTES_MS) }),
    wrap: sceneOf([sound], { base: { video: 2 ** 32 - 3 * 90_000, audio: 2 ** 32 - 5 * 48_000 } }),
    changes: sceneOf(stages),
    intermittent: sceneOf([sound], { sounds: (ms) => (ms >= 2_000 && ms < 4_500) || ms >= 6_500 }),
  };
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '4' } }));
  await Promise.all(Object.entries(scenes).map(([id, scene]) => record(id, scene)));
  const browser = stack.use(await startChromium());
  page = await blankPage(() => browser.context.newPage(), server);
});
afterAll(() => stack.disposeAsync());

/** As ffprobe writes it. */
const sha256 = (bytes: Buffer): string => `SHA256:${createHash('sha256').update(bytes).digest('hex')}`;
const recordingOf = (camera: string): Recorded => recorded.get(camera) ?? expect.fail(`${camera} was not recorded`);

describe.each(['forward', 'back', 'wrap', 'changes', 'intermittent'])('[REC-1] %s', (camera) => {
  test('every picture that was pushed is kept, once and in order, and none is missed by /segments or /gaps', async () => {
    const { pictures, kept, segments } = recordingOf(camera);
    expect(kept.map(({ hash }) => hash)).toEqual(pictures.map(({ data }) => sha256(data)));
    expect(segments.map(({ gap_before }) => gap_before)).toEqual(segments.map(() => null));
    expect(await gapCausesOf(server, camera)).toEqual([]);
    const steps = segments.slice(1).map((segment, i) => startOf(segment) - endOf(segments[i]!));
    expect(steps.filter((step) => Math.abs(step) > LONGEST_STEP_S * 1000)).toEqual([]);
  });

  test('ffprobe counts every picture in every file', async () => {
    let frames = 0;
    for (const { path } of await filesOf(server.dataDir, camera)) {
      const counted = await countedFrames(path);
      expect(counted, path).toBe((await packetsOf(path)).length);
      frames += counted;
    }
    expect(frames).toBe(recordingOf(camera).pictures.length);
  });

  test('[REC-7] every file begins with a key frame: what is kept of a marked range never needs the file before', async () => {
    const files = await filesOf(server.dataDir, camera);
    expect(files.length).toBeGreaterThan(1);
    expect(await Promise.all(files.map(async ({ path }) => (await packetsOf(path))[0]?.randomAccess))).toEqual(files.map(() => true));
  });

  test('[REC-5] a playback of everything has every picture at the distance at which the camera took it, a jump apart', () => {
    const { pictures, played } = recordingOf(camera);
    expect(played.map(({ hash }) => hash)).toEqual(pictures.map(({ data }) => sha256(data)));
    const off = played.map(({ pts }, i) => ({ at: pictures[i]!.captureMs, off: pts - pictures[i]!.captureMs / 1000 }));
    const jumps = camera === 'forward' || camera === 'back';
    const before = off.filter(({ at }) => !jumps || at < JUMP_AT_MS - NEAR_THE_JUMP_MS);
    const after = off.filter(({ at }) => jumps && at > JUMP_AT_MS + NEAR_THE_JUMP_MS);
    for (const side of [before, after]) expect(side.filter((each) => Math.abs(each.off - side[0]!.off) > ONE_TICK_S)).toEqual([]);
    expect(before.length + after.length).toBeGreaterThan(0.9 * pictures.length);
    expect(Math.abs((after[0] ?? before[0]!).off - before[0]!.off)).toBeLessThan(LONGEST_STEP_S);
  });

  test('[REC-5] ffprobe, mediabunny and Chromium play it to its end', async () => {
    const { path, url, pictures, played } = recordingOf(camera);
    expect(await countedFrames(path)).toBe(pictures.length);
    const times = await mediabunnyTimes(path);
    expect(times.length).toBe(pictures.length);
    expect(Math.max(...times.map((time, i) => Math.abs(time - played[i]!.pts)))).toBeLessThan(0.001);
    const shown = await playToEnd(page, url);
    expect(shown.error).toBeNull();
    expect(shown.pictures).toBeGreaterThanOrEqual(Math.floor(pictures.length * 0.95));
    expect(Math.abs(shown.duration - (Math.max(...times) + 1 / 30))).toBeLessThan(0.1);
  });
});

test('[REC-1] a change of size or profile within a publication begins a new init segment at that very picture', () => {
  const { segments } = recordingOf('changes');
  const formats = segments.map(({ tracks }) => `${String(tracks[0]?.width)} ${tracks[0]?.codec.slice(0, 'avc1.64'.length) ?? ''}`);
  expect(formats.filter((format, i) => format !== formats[i - 1])).toEqual(['640 avc1.64', '320 avc1.64', '320 avc1.42', '640 avc1.64']);
});

test('[REC-5] as HLS, too: hls.js goes on with each new init segment, to the end', async () => {
  const { url, pictures } = recordingOf('changes');
  const played = await playVod(page, url.replace('/playback?', '/playback.m3u8?'));
  expect(played).toMatchObject({ error: null, errors: [] });
  expect(played.pictures).toBeGreaterThanOrEqual(Math.floor(pictures.length * 0.95));
});

test('[REC-1] sound that comes and goes is where it was, and nowhere else', async () => {
  const { path, played } = recordingOf('intermittent');
  const first = Math.min(...played.map(({ pts }) => pts));
  const sound = (await packetsOf(path, 'audio')).filter(({ shown }) => shown).map(({ pts }) => pts - first);
  const between = (from: number, to: number): number => sound.filter((at) => at >= from && at < to).length;
  expect([between(0, 1.8), between(4.7, 6.3)]).toEqual([0, 0]);
  const perSecond = 48_000 / 1024;
  expect(between(2.2, 4.3)).toBeGreaterThan(2 * perSecond);
  expect(between(6.7, 8.8)).toBeGreaterThan(2 * perSecond);
});
