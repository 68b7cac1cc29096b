import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startChromium } from '../../support/chromium.ts';
import { blankPage } from '../../support/live-peers.ts';
import { clip, ffmpegPush } from '../../support/media.ts';
import { decodedPictures, packetsOf } from '../../support/mp4-packets.ts';
import type { Mp4Packet } from '../../support/mp4-packets.ts';
import { expectPlaysEverywhere } from '../../support/plays-everywhere.ts';
import { seededRandom } from '../../support/random.ts';
import { closedSegments, endOf, filesOf, playbackPath, startOf, wallTimesOf } from '../../support/recordings.ts';
import type { Segment } from '../../support/recordings.ts';
import { TestServer } from '../../support/server.ts';

const SECONDS = '12';
const FRAME_MS = 1000 / 30;
const ONE_TICK = 1.01 / 90_000;

/** What a camera of this test pushed, and what the server has of it. */
interface Recorded {
  readonly camera: string;
  readonly clip: string;
  readonly source: readonly Mp4Packet[];
  readonly segments: readonly Segment[];
  /** Wall time of its first and just behind its last picture. */
  readonly from: number;
  readonly to: number;
}

let folder: string;
let server: TestServer;
const recorded = new Map<string, Recorded>();

const ffmpeg = (...args: readonly string[]): void => { execFileSync('ffmpeg', ['-v', 'error', '-y', ...args]); };
const cut = (name: string, source: string): string => {
  const path = join(folder, name);
  ffmpeg('-i', clip(source), '-t', SECONDS, '-c', 'copy', path);
  return path;
};
/** No two pictures are the same time apart, and a second has between 15 and 30 of them. */
const variableRate = (): string => {
  const path = join(folder, 'variable.mp4');
  const filter = "select='not(mod(floor(n/45),2)*mod(n,2))',setpts='PTS+0.012*sin(N*1.7)/TB',scale=640:-2";
  ffmpeg('-i', clip('vtest-720p30.mp4'), '-t', SECONDS, '-vf', filter, '-fps_mode', 'passthrough', '-enc_time_base', '1:90000', '-video_track_timescale', '90000',
    '-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '0', '-g', '40', '-an', path);
  return path;
};

/** A camera that pushes its clip once and says goodbye. */
const record = async (camera: string, path: string): Promise<void> => {
  await using pushing = ffmpegPush(path, server.rtspUrl(await server.addCamera(camera, { pipelines: [] })));
  const { code, stderr } = await pushing.exit;
  if (code !== 0) throw new Error(`ffmpeg ended with ${String(code)}: ${stderr}`);
  const segments = await closedSegments(server, camera);
  const [first, last] = [segments[0], segments.at(-1)];
  if (!first || !last) throw new Error(`${camera} was not recorded`);
  recorded.set(camera, { camera, clip: path, source: await packetsOf(path), segments, from: startOf(first), to: endOf(last) });
};

const recordingOf = (camera: string): Recorded => {
  const found = recorded.get(camera);
  if (!found) throw new Error(`${camera} was not recorded`);
  return found;
};

/** The bytes of a playback, and a file that holds them. */
const download = async (camera: string, from: number, to: number): Promise<{ readonly bytes: Buffer; readonly path: string }> => {
  const response = await server.fetch(playbackPath(camera, from, to));
  expect(response.status, `playback of ${camera}`).toBe(200);
  const bytes = Buffer.from(await response.arrayBuffer());
  expect(bytes.length).toBe(Number(response.headers.get('content-length')));
  const path = join(folder, `${camera}-${String(Math.round(from))}-${String(Math.round(to - from))}.mp4`);
  await writeFile(path, bytes);
  return { bytes, path };
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-recording-'));
  server = await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '4' } });
  const clips = { plain: cut('plain.mp4', 'counter-720p30.mp4'), bframes: clip('vtest-720p30-bframes.mp4'), variable: variableRate(), sound: cut('sound.mp4', 'vtest-720p30-aac.mp4') };
  await Promise.all(Object.entries(clips).map(([camera, path]) => record(camera, path)));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** Hash by hash and tick by tick. */
const expectSame = (kept: readonly Mp4Packet[], pushed: readonly Mp4Packet[], tick = ONE_TICK): void => {
  expect(kept.map(({ hash }) => hash)).toEqual(pushed.map(({ hash }) => hash));
  expect(kept.map(({ randomAccess }) => randomAccess)).toEqual(pushed.map(({ randomAccess }) => randomAccess));
  const off = kept.map(({ pts }, i) => Math.abs(pts - (kept[0]?.pts ?? 0) - ((pushed[i]?.pts ?? 0) - (pushed[0]?.pts ?? 0))));
  expect(Math.max(...off)).toBeLessThanOrEqual(tick);
};

describe('[REC-1] what was pushed by RTSP is what is kept', () => {
  test.each(['plain', 'bframes', 'variable', 'sound'])('%s: the hash of every picture read back from playback is that of the one pushed, its time within one tick', async (camera) => {
    const { source, segments, from, to } = recordingOf(camera);
    expect(segments.length).toBeGreaterThanOrEqual(2);
    expect(segments.slice(1).map((segment) => segment.gap_before)).toEqual(segments.slice(1).map(() => null));
    const { path } = await download(camera, Math.floor(from), Math.ceil(to) + 1);
    expectSame(await packetsOf(path), source);
  });

  test('sound, too', async () => {
    const { clip: pushed, from, to } = recordingOf('sound');
    const { path } = await download('sound', Math.floor(from) - 500, Math.ceil(to) + 1000);
    const source = await packetsOf(pushed, 'audio');
    const kept = await packetsOf(path, 'audio');
    // Sound of the moment before the first picture is not in a playback, which begins with a picture; sound behind the last is.
    const first = source.findIndex(({ hash }) => hash === kept[0]?.hash);
    expect(first).toBeLessThanOrEqual(4);
    expectSame(kept, source.slice(first, first + kept.length), 1.01 / 48_000);
    expect(source.length - kept.length).toBeLessThanOrEqual(8);
  });

  test('[REC-3] the index is the files: as many, as long, the same SHA-256', async () => {
    for (const { camera, segments } of recorded.values()) {
      const files = await filesOf(server.dataDir, camera);
      expect(segments.map(({ id, bytes, sha256 }) => ({ id, bytes, sha256 }))).toEqual(files.map(({ id, bytes, sha256 }) => ({ id, bytes, sha256 })));
    }
  });

  test('ffmpeg decodes every recorded file without a complaint, and finds every picture in one of them', async () => {
    for (const { camera, source } of recorded.values()) {
      let pictures = 0;
      for (const { path } of await filesOf(server.dataDir, camera)) pictures += await decodedPictures(path);
      expect(pictures, camera).toBe(source.length);
    }
  });
});

describe('[REC-5] a range of a recording', () => {
  test('begins and ends within one frame of what was asked, wherever it was cut, and decodes', async () => {
    const random = seededRandom(20261122);
    for (const { camera, from, to } of recorded.values()) {
      const shownAt = await wallTimesOf(server.dataDir, camera);
      // At a variable rate a frame lasts as long as it takes to the next.
      const frame = camera === 'variable' ? 2 * FRAME_MS + 24 : FRAME_MS;
      for (let i = 0; i < 5; i++) {
        const begin = Math.round(from + random() * (to - from - 1000));
        const end = Math.round(begin + 100 + random() * (to - begin - 100));
        const { path } = await download(camera, begin, end);
        const shown = (await packetsOf(path)).filter((packet) => packet.shown).toSorted((a, b) => a.pts - b.pts);
        const [first, last] = [shown[0], shown.at(-1)];
        const what = `${camera} ${String(begin - from)}..${String(end - from)}`;
        expect(Math.abs(first?.pts ?? Infinity), what).toBeLessThanOrEqual(ONE_TICK);
        expect(Math.abs((shownAt.get(first?.hash ?? '') ?? Infinity) - begin), what).toBeLessThanOrEqual(frame + 1);
        expect(Math.abs((shownAt.get(last?.hash ?? '') ?? Infinity) - end), what).toBeLessThanOrEqual(frame + 1);
        expect(await decodedPictures(path), what).toBe(shown.length);
      }
    }
  });

  test('is had in pieces: 206, 416, If-Range, If-None-Match and HEAD as RFC 9110 has them', async () => {
    const { camera, from, to } = recordingOf('bframes');
    const path = playbackPath(camera, from + 1500, to - 1500);
    const ask = async (headers: Record<string, string>, method = 'GET') => {
      const response = await server.fetch(path, { method, headers });
      return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) };
    };
    const whole = await ask({});
    const size = whole.body.length;
    const etag = whole.headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[^"]+"$/);
    expect(whole.headers.get('accept-ranges')).toBe('bytes');

    const random = seededRandom(7);
    for (let i = 0; i < 20; i++) {
      const start = Math.floor(random() * size);
      const end = start + Math.floor(random() * (size - start));
      const piece = await ask({ range: `bytes=${String(start)}-${String(end)}` });
      expect(piece.status).toBe(206);
      expect(piece.headers.get('content-range')).toBe(`bytes ${String(start)}-${String(Math.min(end, size - 1))}/${String(size)}`);
      expect(piece.body.equals(whole.body.subarray(start, end + 1))).toBe(true);
    }
    expect((await ask({ range: 'bytes=-1000' })).body.equals(whole.body.subarray(size - 1000))).toBe(true);
    expect((await ask({ range: `bytes=${String(size - 10)}-` })).body).toHaveLength(10);
    const beyond = await ask({ range: `bytes=${String(size)}-` });
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${String(size)}`]);
    expect((await ask({ range: 'bytes=0-9', 'if-range': etag })).status).toBe(206);
    const stale = await ask({ range: 'bytes=0-9', 'if-range': '"another"' });
    expect([stale.status, stale.body.length]).toEqual([200, size]);
    expect((await ask({ 'if-none-match': etag })).status).toBe(304);
    const head = await ask({}, 'HEAD');
    expect([head.status, head.headers.get('content-length'), head.headers.get('etag'), head.body.length]).toEqual([200, String(size), etag, 0]);
  });
});

describe('[REC-10] what was recorded', () => {
  /** A command as the shell runs it, beside the running server; throws when it fails. */
  const command = (...args: readonly string[]): string =>
    execFileSync(process.execPath, [join(import.meta.dirname, '..', '..', '..', 'main.ts'), ...args], { encoding: 'utf8', env: { ...process.env, IMAGEFLOW_DATA_DIR: server.dataDir, IMAGEFLOWCTL_URL: server.http, IMAGEFLOWCTL_TOKEN: server.token } });

  test('is a chain, segment by segment, and verifies beside the running server', () => {
    for (const { segments } of recorded.values()) expect(segments.map(({ prev_sha256 }) => prev_sha256)).toEqual(segments.map((_, i) => segments[i - 1]?.sha256 ?? null));
    expect(command('record', 'verify')).toMatch(/^\d+ segments checked, .* 0 problems\n$/);
  });

  test('is exported as evidence that checks itself with what is in it, and with the key the server tells', async () => {
    const { camera, from, to } = recordingOf('sound');
    const zip = join(folder, 'evidence.zip');
    command('export', camera, '--from', new Date(from).toISOString(), '--to', new Date(to).toISOString(), '--out', zip);
    execFileSync('unzip', ['-q', zip, '-d', join(folder, 'evidence')]);
    const { kid } = await server.request<{ kid: string }>('GET', '/v1/recordings/signing-key');
    expect(command('record', 'key')).toContain(kid);
    expect(execFileSync(process.execPath, [join(folder, 'evidence', 'verify.mjs'), '--key', kid], { encoding: 'utf8' })).toMatch(/Everything is as it was exported\.\n$/);
    await using browser = await startChromium();
    const { counted, audioBytes } = await expectPlaysEverywhere(await blankPage(() => browser.context.newPage(), server), join(folder, 'evidence', 'recording.mp4'));
    expect(counted).toBeGreaterThan(300);
    expect(audioBytes).toBeGreaterThan(0);
  });
});
