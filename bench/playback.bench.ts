import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { clip, ffmpegMake, ffmpegPush } from '../test/support/media.ts';
import { readClip } from '../test/support/mp4-source.ts';
import { playbackPath, recordedPictures, segmentsOf } from '../test/support/recordings.ts';
import { TestServer, until } from '../test/support/server.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { recordHours } from './support/recorded-hours.ts';

const HOUR = 3_600_000;
const LONG_SEGMENTS = 3_600;
const DENSE_SEGMENTS = 60;
/** 4 Mbit/s at 30 pictures a second. */
const DENSE_PICTURE = 16_600;
const REPEATS = 5;
const THUMBNAILS = 40;
const PUSH_SECONDS = '24';

interface Answer { readonly firstByteMs: number; readonly ms: number; readonly bytes: number }

/** `take`: bytes after which the client goes away. */
const get = (server: TestServer, path: string, take = Infinity): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const began = performance.now();
    const client = request(`${server.http}${path}`, { headers: { authorization: `Bearer ${server.token}` } }, (response) => {
      if (response.statusCode !== 200) { reject(new Error(`${path}: ${String(response.statusCode)}`)); return; }
      let bytes = 0;
      let firstByteMs = NaN;
      const done = (): void => { resolve({ firstByteMs, ms: performance.now() - began, bytes }); };
      response.on('data', (chunk: Buffer) => {
        if (bytes === 0) firstByteMs = performance.now() - began;
        bytes += chunk.length;
        if (bytes >= take) { done(); client.destroy(); }
      }).on('end', done).on('error', () => undefined);
    });
    client.on('error', reject).end();
  });

/** Longest answer to a small request, asked again and again until `work` is done. */
const slowestBeside = async (server: TestServer, work: Promise<unknown>): Promise<number> => {
  let busy = true;
  void work.finally(() => { busy = false; });
  let slowest = 0;
  while (busy) {
    slowest = Math.max(slowest, (await get(server, '/v1/health')).ms);
    await sleep(2);
  }
  return slowest;
};

/** Milliseconds each of thumbnails at random moments of a camera with a key frame every 2 s, none asked twice. */
const thumbnails = async (server: TestServer, dataDir: string, { camera: id, source, bitrate }: { readonly camera: string; readonly source: string; readonly bitrate: string }): Promise<number[]> => {
  const camera = await server.addCamera(id, { pipelines: [] });
  const encoded = await ffmpegMake(['-i', source, '-t', PUSH_SECONDS, '-an', '-c:v', 'libx264', '-preset', 'fast', '-b:v', bitrate, '-bf', '0', '-g', '60', '-keyint_min', '60', '-sc_threshold', '0'], join(dataDir, `${id}.mp4`));
  await using push = ffmpegPush(encoded, server.rtspUrl(camera));
  await push.exit;
  await until('it is recorded', async () => { const all = await segmentsOf(server, id); return all.length > 0 && all.every(({ open }) => !open); });
  const walls = (await recordedPictures(dataDir, id)).map(({ wall }) => wall);
  const stills: number[] = [];
  for (let i = 0; i <= THUMBNAILS; i++) {
    const wall = walls[(i * 97 + 31) % walls.length] ?? 0;
    const { ms } = await get(server, `/v1/recordings/${id}/thumbnail?at=${new Date(wall).toISOString()}&width=320`);
    if (i > 0) stills.push(ms); // the first starts the process
  }
  return stills;
};

const stillFigures = (what: string, stills: readonly number[]): Figure[] => {
  const p50 = quantile(stills, 0.5);
  return [
    { figure: `frame-exact thumbnail of ${what}, p50`, value: round(p50, 0), unit: 'ms', target: '60 ms at most', met: p50 <= 60 },
    { figure: `frame-exact thumbnail of ${what}, p95`, value: round(quantile(stills, 0.95), 0), unit: 'ms' },
  ];
};

export const bench: Bench = {
  what: `playback over HTTP of recordings in the page cache: a camera of 10 h (${String(LONG_SEGMENTS)} files, 1.08 million pictures) and one of 10 min at 4 Mbit/s; thumbnails of cameras with a key frame every 2 s at random moments, none asked twice`,
  async run() {
    const dataDir = await mkdtemp(join(tmpdir(), 'imageflow-bench-'));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rm(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }));
    const recordings = join(dataDir, 'recordings');
    await mkdir(recordings);
    const { tracks } = readClip(clip('counter-720p30.mp4'));
    const now = Date.now();
    const [long, dense] = [now - 20 * HOUR, now - 5 * HOUR];
    await recordHours(recordings, { camera: 'long', tracks, start: long, segments: LONG_SEGMENTS, bytes: 60 });
    await recordHours(recordings, { camera: 'dense', tracks, start: dense, segments: DENSE_SEGMENTS, bytes: DENSE_PICTURE });
    const server = stack.use(await TestServer.start({ dataDir, env: { IMAGEFLOW_RECORDER_WINDOW_MINUTES: '100000', IMAGEFLOW_RECORDER_MIN_FREE_BYTES: '0' } }));
    await until('all is listed', async () => (await server.request<{ items: { segments: number }[] }>('GET', '/v1/recordings?limit=10')).items.reduce((sum, { segments }) => sum + segments, 0) === LONG_SEGMENTS + DENSE_SEGMENTS);

    // Another range each time, so that nothing made before is of use.
    const tenHours = (i: number): string => playbackPath('long', long + i * 7, long + 10 * HOUR - 1000 + i);
    const cold = await get(server, tenHours(0), 1);
    const hours: number[] = [];
    for (let i = 1; i <= REPEATS; i++) hours.push((await get(server, tenHours(i), 1)).firstByteMs);
    const beside = await slowestBeside(server, get(server, tenHours(REPEATS + 1), 1));
    const playlist = (i: number): string => playbackPath('long', long + i, long + 10 * HOUR - 1000).replace('/playback?', '/playback.m3u8?');
    const hls = [await get(server, playlist(0)), await get(server, playlist(1))] as const;
    const minutes: number[] = [];
    for (let i = 0; i < REPEATS; i++) minutes.push((await get(server, playbackPath('dense', dense + i * 7, dense + 600_000 - i), 1)).firstByteMs);
    const whole: Answer[] = [];
    for (let i = 0; i < 3; i++) whole.push(await get(server, playbackPath('dense', dense, dense + 600_000)));
    const rates = whole.map(({ bytes, ms }) => bytes / 1e6 / (ms / 1000));
    const fragmented = await get(server, `${playbackPath('dense', dense, dense + 600_000)}&format=fmp4`);

    const stills720 = await thumbnails(server, dataDir, { camera: 'seen-720', source: clip('vtest-720p30.mp4'), bitrate: '3M' });
    const stills1080 = await thumbnails(server, dataDir, { camera: 'seen-1080', source: clip('vtest-1080p30.mp4'), bitrate: '3750k' }); // the camera of the recording bench
    const [h50, m50, rate] = [quantile(hours, 0.5), quantile(minutes, 0.5), Math.max(...rates)];
    return [
      { figure: 'first byte of a 10 min range, p50', value: round(m50, 0), unit: 'ms', target: '150 ms at most', met: m50 <= 150 },
      { figure: 'first byte of a 10 h range, p50', value: round(h50, 0), unit: 'ms', target: '300 ms at most', met: h50 <= 300 },
      { figure: 'first byte of a 10 h range, the first one asked for', value: round(cold.firstByteMs, 0), unit: 'ms' },
      { figure: 'slowest answer of control to another request meanwhile', value: round(beside, 0), unit: 'ms' },
      { figure: 'HLS playlist of 10 h, the first time', value: round(hls[0].ms, 0), unit: 'ms' },
      { figure: 'HLS playlist of 10 h, again', value: round(hls[1].ms, 0), unit: 'ms' },
      { figure: 'throughput of one MP4', value: round(rate, 0), unit: 'MB/s', target: '300 MB/s at least', met: rate >= 300 },
      { figure: 'throughput of a fragmented MP4', value: round(fragmented.bytes / 1e6 / (fragmented.ms / 1000), 0), unit: 'MB/s' },
      { figure: 'first byte of a fragmented MP4', value: round(fragmented.firstByteMs, 0), unit: 'ms' },
      ...stillFigures('720p30, 3 Mbit/s', stills720),
      ...stillFigures('1080p30, 3.75 Mbit/s', stills1080),
    ];
  },
};
