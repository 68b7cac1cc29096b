/** [DIS-2] LL-HLS over the real muxer, endpoint and HTTP server; read by ffprobe, ffmpeg, and hls.js in a real Chromium. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { HlsEndpoint } from '../../distributor/hls/hls-endpoint.ts';
import type { Publication } from '../../ingest/port.ts';
import { EdgeStreamRegistry } from '../../ingest/stream-registry.ts';
import type { Authorizer, Principal } from '../../media-control/port.ts';
import { FakeDistribution } from '../../media-control/testing-distribution.ts';
import { CameraMuxers } from '../../muxer/camera-muxers.ts';
import type { Part } from '../../muxer/port.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { MediaHttpServer } from '../../transport/http/media-http-server.ts';
import { startChromium } from '../support/chromium.ts';
import { clip } from '../support/media.ts';
import { accessUnit, readClip } from '../support/mp4-source.ts';
import type { Clip } from '../support/mp4-source.ts';

const TOKEN = 'key+with/odd=characters';
const VIEWER: Principal = { kind: 'key', id: 'k', camera: 'cam', grants: 'view' };

const authorizer: Authorizer = {
  authorize: (credential) =>
    credential === TOKEN ? Promise.resolve(VIEWER) : Promise.reject(new MediaError('UNAUTHENTICATED', credential === null ? 'no credential' : 'unknown credential')),
  digestHa1s: () => [],
  onRevoked: () => ({ [Symbol.dispose]: () => undefined }),
};

const metrics = createMetrics('test');
const distribution = new FakeDistribution();
const logger = silentLogger();
const stack = new AsyncDisposableStack();
let registry: EdgeStreamRegistry;
let muxers: CameraMuxers;
let hls: HlsEndpoint;
let base: string;
let folder: string;

beforeAll(async () => {
  const server = stack.use(new MediaHttpServer({ clock: systemClock, logger, metrics, origins: ['*'], health: () => ({}) }));
  registry = stack.use(new EdgeStreamRegistry({ graceSeconds: 15, maxSessions: 10, clock: systemClock, metrics, logger }));
  muxers = stack.use(new CameraMuxers(registry, { partMs: 200, logger, metrics }));
  hls = stack.use(new HlsEndpoint({
    infix: '', protocol: 'hls',
    router: server, authorizer, distribution, streams: muxers, clock: systemClock, metrics,
    timing: { segmentSeconds: 4, keyframeIntervalSeconds: 4 },
  }));
  await server.listen(0, '127.0.0.1');
  base = `http://127.0.0.1:${String(server.port)}/hls`;
  folder = await mkdtemp(join(tmpdir(), 'imageflow-hls-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
});
afterAll(() => stack.disposeAsync());

const publish = (camera: string): Publication =>
  registry.add({ id: camera }).beginPublication({
    protocol: 'file',
    stats: () => ({ bytes: 0, packets: 0, lostPackets: 0, jitterMs: null, rttMs: null, nacksSent: 0, plisSent: 0 }),
    requestKeyframe: () => undefined,
    close: () => undefined,
  });

/** Pushes a whole clip at once. */
const push = (publication: Publication, source: Clip): void => {
  for (const unit of source.units) {
    publication.publish(accessUnit(unit, source, { camera: publication.stream.camera, epoch: publication.epoch, seq: unit.kind === 'video' ? publication.nextSeq() : 0 }));
  }
};

/** Pushes a clip in real time, again and again, until disposed. */
const pushLive = (publication: Publication, source: Clip): Disposable => {
  const length = Math.round(Math.max(...source.units.map((unit) => unit.at)) + 1_000 / 30);
  const began = performance.now();
  let next = 0;
  let round = 0;
  const timer = setInterval(() => {
    for (;;) {
      const unit = source.units[next];
      if (!unit) { next = 0; round++; continue; }
      if (round * length + unit.at > performance.now() - began) return;
      const rate = unit.kind === 'video' ? 90 : (source.tracks.audio?.clockRate ?? 0) / 1_000;
      const shift = Math.round(round * length * rate);
      const shifted = { ...unit, pts: unit.pts + shift, dts: unit.dts + shift };
      publication.publish(accessUnit(shifted, source, { camera: publication.stream.camera, epoch: publication.epoch, seq: publication.nextSeq() }));
      next++;
    }
  }, 5);
  return { [Symbol.dispose]: () => { clearInterval(timer); } };
};

const get = (path: string, headers: Record<string, string> = { authorization: `Bearer ${TOKEN}` }): Promise<Response> => fetch(`${base}${path}`, { headers });

interface Packet { readonly pts: number; readonly dts: number; readonly size: number; readonly key: boolean }
const probe = (file: string, stream: string): { readonly packets: Packet[]; readonly frames: number; readonly rate: number } => {
  const out = JSON.parse(execFileSync('ffprobe', ['-v', 'error', '-select_streams', stream, '-count_frames', '-show_packets', '-show_streams', '-of', 'json', file], { encoding: 'utf8', maxBuffer: 64 << 20 })) as {
    packets: { pts: number; dts: number; size: string; flags: string }[];
    streams: { nb_read_frames: string; time_base: string }[];
  };
  return {
    packets: out.packets.map(({ pts, dts, size, flags }) => ({ pts, dts, size: Number(size), key: flags.includes('K') })),
    frames: Number(out.streams[0]?.nb_read_frames),
    rate: Number(out.streams[0]?.time_base.split('/')[1]),
  };
};

describe.each(['vtest-720p30-aac.mp4', 'vtest-720p30-bframes.mp4', 'counter-720p30.mp4'])('[REC-1] %s through the muxer', (name) => {
  test('init segment and parts are an MP4 that ffmpeg decodes without a complaint, with every sample, its size and its exact times', async () => {
    const source = readClip(clip(name));
    const camera = `mux-${name.replace(/[^a-z0-9]+/g, '-')}`;
    const publication = publish(camera);
    const parts: Part[] = [];
    using _sink = muxers.get(camera)?.parts.attach((part) => { parts.push(part); });
    push(publication, source);
    publication.end('left', 'end of clip');

    const first = parts[0];
    expect(first).toBeDefined();
    const file = join(folder, `${camera}.mp4`);
    await writeFile(file, Buffer.concat([first?.init.bytes ?? Buffer.alloc(0), ...parts.flatMap((part) => part.chunks)]));
    const complaints = execFileSync('ffmpeg', ['-v', 'warning', '-xerror', '-i', file, '-f', 'null', '-'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    expect(complaints).toBe('');

    for (const kind of ['video', 'audio'] as const) {
      const sent = source.units.filter((unit) => unit.kind === kind);
      if (sent.length === 0) continue;
      const seen = probe(file, kind === 'video' ? 'v' : 'a');
      const rate = kind === 'video' ? 90_000 : 48_000;
      expect(seen.rate).toBe(rate);
      const zero = Math.round(((publication.epoch - (first?.sessionStart ?? 0) + 1_000) * rate) / 1_000);
      expect(seen.packets).toEqual(sent.map((unit) => ({ pts: unit.pts + zero, dts: unit.dts + zero, size: unit.data.length, key: unit.randomAccess })));
      expect(seen.frames).toBe(sent.length);
    }
  });
});

describe('[DIS-2] the endpoint', () => {
  test('refuses without a credential (401), with a wrong one (401), and has nothing (404) before the first part', async () => {
    registry.add({ id: 'idle' });
    expect((await get('/idle/index.m3u8', {})).status).toBe(401);
    expect((await get('/idle/index.m3u8', { authorization: 'Bearer wrong' })).status).toBe(401);
    const none = await get('/idle/index.m3u8');
    expect(none.status).toBe(404);
    expect((await get('/idle/video.m3u8')).status).toBe(404);
    expect((await get('/nobody/index.m3u8')).status).toBe(404);
  });

  test('carries the token into every URI, serves all they name, and blocks until what is asked for is there', async () => {
    const source = readClip(clip('vtest-720p30-aac.mp4'));
    const publication = publish('door');
    using _feed = pushLive(publication, source);
    const query = `?token=${encodeURIComponent(TOKEN)}`;
    // The first part comes after 200 ms, the first whole segment is waited for.
    let master = await get(`/door/index.m3u8${query}`, {});
    while (master.status === 404) master = await get(`/door/index.m3u8${query}`, {});
    const variant = (await master.text()).trim().split('\n').at(-1) ?? '';
    expect(variant).toBe(`video.m3u8${query}`);

    const first = await (await get(`/door/${variant}`, {})).text();
    const msn = Number(/MEDIA-SEQUENCE:(\d+)/.exec(first)?.[1]);
    const later = await (await get(`/door/${variant}&_HLS_msn=${String(msn)}&_HLS_part=4`, {})).text();
    const parts = [...later.matchAll(/#EXT-X-PART:DURATION=([\d.]+),URI="([^"]+)"/g)].map((match) => ({ duration: Number(match[1]), uri: match[2] ?? '' }));
    expect(parts.length).toBeGreaterThanOrEqual(5);
    for (const { duration } of parts) expect(duration).toBeLessThanOrEqual(0.235);
    const init = /#EXT-X-MAP:URI="([^"]+)"/.exec(later)?.[1] ?? '';
    const hint = /#EXT-X-PRELOAD-HINT:TYPE=PART,URI="([^"]+)"/.exec(later)?.[1] ?? '';
    const files = await Promise.all([init, ...parts.map((part) => part.uri), hint].map((uri) => get(`/door/${uri}`, {})));
    expect(files.map((file) => file.status)).toEqual(files.map(() => 200));

    const path = join(folder, 'door.mp4');
    await writeFile(path, Buffer.concat(await Promise.all(files.map(async (file) => Buffer.from(await file.arrayBuffer())))));
    const seen = probe(path, 'v');
    expect(seen.frames).toBe(seen.packets.length);
    expect(seen.frames).toBeGreaterThanOrEqual(36);
    expect(hls.viewers('door')).toBe(1);

    expect((await get(`/door/video.m3u8?_HLS_part=1`)).status).toBe(400);
    expect((await get(`/door/video.m3u8?_HLS_msn=${String(msn + 100)}`)).status).toBe(400);
    expect((await get('/door/part-none-1.1.m4s')).status).toBe(404);
    expect((await get('/door/..%2f..%2fetc%2fpasswd')).status).toBe(404);
    publication.end('left', 'done');
    expect(await (await get('/door/video.m3u8?_HLS_msn=9999999999')).text()).toContain('#EXT-X-ENDLIST');
  });

  test('hls.js in Chromium plays it live at low latency, dropping next to nothing', async () => {
    const source = readClip(clip('vtest-720p30-aac.mp4'));
    const publication = publish('live');
    using _feed = pushLive(publication, source);
    await using browser = await startChromium();
    const page = await browser.context.newPage();
    await page.goto(`${base.replace('/hls', '')}/v1/health`);
    await page.setContent('<video muted autoplay></video>');
    await page.addScriptTag({ path: createRequire(import.meta.url).resolve('hls.js/dist/hls.min.js') });
    const seen = await page.evaluate(async ([url, token]) => {
      interface Player { loadSource(url: string): void; attachMedia(video: HTMLVideoElement): void; on(event: string, listener: (event: string, data: { fatal: boolean; details: string }) => void): void; readonly latency: number; readonly targetLatency: number | null }
      const { Hls } = globalThis as unknown as { Hls: new (config: object) => Player };
      const video = document.querySelector('video') as HTMLVideoElement;
      const errors: string[] = [];
      const player = new Hls({ lowLatencyMode: true, xhrSetup: (xhr: XMLHttpRequest) => { xhr.setRequestHeader('Authorization', `Bearer ${String(token)}`); } });
      player.on('hlsError', (_event, data) => { errors.push(data.details); });
      player.loadSource(String(url));
      player.attachMedia(video);
      await new Promise((resolve) => { video.addEventListener('playing', resolve, { once: true }); });
      // The player first catches up with the live edge: measured is what follows, 10 s of playing.
      const until = async (time: number): Promise<void> => {
        while (video.currentTime < time) await new Promise((resolve) => { video.addEventListener('timeupdate', resolve, { once: true }); });
      };
      // hls.js catches up only while it has more than a second in its buffer, which low latency never has: the player does it itself.
      video.addEventListener('timeupdate', () => {
        const ahead = video.buffered.length > 0 ? video.buffered.end(video.buffered.length - 1) - video.currentTime : 0;
        video.playbackRate = player.latency - (player.targetLatency ?? 1) > 0.1 && ahead > 0.35 ? 1.1 : 1;
      });
      const latencies: number[] = [];
      await until(video.currentTime + 4);
      const began = performance.now();
      const from = video.currentTime;
      const before = video.getVideoPlaybackQuality();
      video.addEventListener('timeupdate', () => { latencies.push(player.latency); });
      await until(from + 10);
      const after = video.getVideoPlaybackQuality();
      latencies.sort((a, b) => a - b);
      return {
        played: video.currentTime - from, tookMs: performance.now() - began, errors,
        shown: after.totalVideoFrames - before.totalVideoFrames, dropped: after.droppedVideoFrames - before.droppedVideoFrames,
        latency: latencies[Math.floor(latencies.length / 2)] ?? Infinity, width: video.videoWidth,
      };
    }, [`${base}/live/index.m3u8`, TOKEN]);
    console.info('hls.js:', JSON.stringify(seen));
    expect(seen.errors).toEqual([]);
    expect(seen.width).toBe(1_280);
    expect(seen.played).toBeGreaterThanOrEqual(10);
    expect(seen.shown).toBeGreaterThanOrEqual(297);
    publication.end('left', 'done');
  });
});
