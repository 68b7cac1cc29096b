import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { startChromium } from '../test/support/chromium.ts';
import { playHls } from '../test/support/hls-player.ts';
import { blankPage } from '../test/support/live-peers.ts';
import { clip, ffmpegPush } from '../test/support/media.ts';
import { TestServer, until } from '../test/support/server.ts';
import { LIVE_HLS_SETTINGS, LOOK_MS, catchUpRate } from '../web/src/live/live-edge.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { HlsPlayers } from './support/hls-players.ts';
import { cpuMilliseconds } from './support/process-usage.ts';

const PLAYERS = 50;
const SETTLE_MS = 8_000;
const SECONDS = 20;
const ALONE_SECONDS = 10;
/** hls.js begins at another distance each time, so it is started several times. */
const STARTS = 4;
const START_MS = 3_000;
const WATCH_SECONDS = 5;

interface Player { readonly latency: number; readonly targetLatency: number | null }

/** As the watch page does (`live-player.ts`), from now on. */
const catchUp = async (page: Page): Promise<void> => {
  await page.addScriptTag({ content: `globalThis.catchUpRate = ${String(catchUpRate)};` });
  await page.evaluate((lookMs) => {
    const scope = globalThis as unknown as { readonly hls: Player; readonly catchUpRate: typeof catchUpRate; catchingUp?: number };
    window.clearInterval(scope.catchingUp);
    scope.catchingUp = window.setInterval(() => {
      const video = document.querySelector('video');
      if (!video || video.buffered.length === 0) return;
      const { latency, targetLatency } = scope.hls;
      video.playbackRate = scope.catchUpRate({ latency, target: targetLatency ?? 0, buffered: video.buffered.end(video.buffered.length - 1) - video.currentTime });
    }, lookMs);
  }, LOOK_MS);
};

export const bench: Bench = {
  what: `LL-HLS on the media port, one 1080p30 camera by RTSP: ${PLAYERS} players that ask for each playlist blocking and for each part; after them hls.js in Chromium as the watch page sets it up, ${STARTS} times. Players run on the same machine, their CPU is not counted`,
  async run() {
    await using server = await TestServer.start();
    const camera = await server.addCamera('one', { pipelines: [], recording: { policy: 'off' } });
    const [edge] = await server.pids('edge');
    if (edge === undefined) throw new Error('no edge');
    const url = camera.direct_urls['hls'] ?? '';
    await using _push = ffmpegPush(clip('vtest-1080p30.mp4'), server.rtspUrl(camera), { loop: true });
    await until('there is a playlist', async () => (await fetch(url, { headers: { authorization: `Bearer ${server.token}` } })).status === 200);
    await sleep(SETTLE_MS);

    const measure = async (seconds: number): Promise<{ cpu: number; seconds: number }> => {
      const [cpu, at] = [cpuMilliseconds(edge), performance.now()];
      await sleep(seconds * 1000);
      return { cpu: cpuMilliseconds(edge) - cpu, seconds: (performance.now() - at) / 1000 };
    };
    const alone = await measure(ALONE_SECONDS);
    const players = new HlsPlayers(url, server.token, PLAYERS);
    await sleep(SETTLE_MS);
    const before = await players.report();
    const busy = await measure(SECONDS);
    const after = await players.report();
    await players[Symbol.asyncDispose]();
    const requests = after.requests - before.requests;
    const net = ((busy.cpu - (alone.cpu * busy.seconds) / alone.seconds) * 1000) / requests;

    await using browser = await startChromium();
    const page = await blankPage(() => browser.context.newPage(), server);
    const latencies: number[] = [];
    for (let start = 0; start < STARTS; start++) {
      await playHls(page, url, server.token, LIVE_HLS_SETTINGS);
      await catchUp(page);
      await sleep(START_MS);
      for (let i = 0; i < WATCH_SECONDS * 2; i++) {
        latencies.push(await page.evaluate(() => (globalThis as unknown as { hls: { latency: number } }).hls.latency));
        await sleep(500);
      }
    }
    const p50 = quantile(latencies, 0.5);
    return [
      { figure: 'CPU per request, net of ingest and muxing', value: round(net, 0), unit: 'µs', target: '150 µs at most', met: net <= 150 },
      { figure: 'CPU per request, all of the edge', value: round((busy.cpu * 1000) / requests, 0), unit: 'µs' },
      { figure: 'requests', value: round(requests / busy.seconds, 0), unit: 'per second' },
      { figure: 'parts', value: round((after.parts - before.parts) / busy.seconds / PLAYERS), unit: 'per second and player' },
      { figure: 'failed requests', value: after.failures - before.failures, unit: 'requests' },
      { figure: 'hls.js latency p50', value: round(p50), unit: 's', target: '0.9 s at most', met: p50 <= 0.9 },
      { figure: 'hls.js latency p95', value: round(quantile(latencies, 0.95)), unit: 's' },
    ];
  },
};
