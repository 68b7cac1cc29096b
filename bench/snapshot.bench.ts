import { setTimeout as sleep } from 'node:timers/promises';
import { clip, ffmpegPush } from '../test/support/media.ts';
import { readParts } from '../test/support/mjpeg-reader.ts';
import { TestServer, until } from '../test/support/server.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { cpuMilliseconds } from './support/process-usage.ts';

const CAMERA = 'bench';
const COLD = 10;
const WARM = 40;
const MEASURED_MS = 15_000;
const FPS = 10;
const VIEWERS = 10;

/** CPU of the extractor and of the edge within a while. Milliseconds. */
const cpuDuring = async (server: TestServer, work: () => Promise<void>): Promise<{ readonly extractor: number; readonly edge: number }> => {
  const [extractor = 0] = await server.pids('extractor');
  const [edge = 0] = await server.pids('edge');
  const before = [cpuMilliseconds(extractor), cpuMilliseconds(edge)] as const;
  await work();
  return { extractor: cpuMilliseconds(extractor) - before[0], edge: cpuMilliseconds(edge) - before[1] };
};

/** Viewers who read all they get until disposed of. */
const watch = (server: TestServer, query: string, count: number): AsyncDisposable => {
  const stop = new AbortController();
  const reading = Array.from({ length: count }, async () => {
    const response = await fetch(`${server.edge}/v1/cameras/${CAMERA}/mjpeg?${query}`, { headers: { authorization: `Bearer ${server.token}` }, signal: stop.signal });
    for await (const _part of readParts(response)); // read and thrown away
  });
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.allSettled(reading);
    },
  };
};

export const bench: Bench = {
  what: `pictures of a live camera of 720p30 (H.264, 2 s GOP) over HTTP on one machine: JPEG snapshots of its own size with the decoder to be started and with it running; CPU of MJPEG at ${String(FPS)} pictures a second, quality 80, without a detector`,
  async run() {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await TestServer.start());
    const camera = await server.addCamera(CAMERA, { pipelines: [], recording: { policy: 'off' } });
    stack.use(ffmpegPush(clip('vtest-720p30-baseline.mp4'), server.rtspUrl(camera), { loop: true }));
    await until('it is live', async () => (await server.request<{ phase: string }>('GET', `/v1/cameras/${CAMERA}`)).phase === 'live');
    const snapshot = async (format = 'jpeg'): Promise<number> => {
      const began = performance.now();
      const response = await fetch(`${server.edge}/v1/cameras/${CAMERA}/snapshot?format=${format}`, { headers: { authorization: `Bearer ${server.token}` } });
      const bytes = await response.arrayBuffer();
      if (!response.ok) throw new Error(`a snapshot was answered ${String(response.status)}: ${Buffer.from(bytes).toString()}`);
      return performance.now() - began;
    };
    const cold: number[] = [];
    for (let i = 0; i < COLD; i++) {
      await until('no extractor', async () => (await server.pids('extractor')).length === 0);
      await sleep(Math.random() * 1000); // at any phase of the group of pictures
      cold.push(await snapshot());
    }
    const figures: Figure[] = [{ figure: 'first snapshot, decoder and its process to be started: p50', value: round(quantile(cold, 0.5), 0), unit: 'ms' }, { figure: 'the same, slowest', value: round(Math.max(...cold), 0), unit: 'ms' }];
    for (const format of ['jpeg', 'webp', 'png']) {
      await snapshot(format);
      const warm: number[] = [];
      for (let i = 0; i < WARM; i++) {
        await sleep(40); // another picture each time
        warm.push(await snapshot(format));
      }
      figures.push({ figure: `snapshot, decoder running, ${format}: p50`, value: round(quantile(warm, 0.5), 1), unit: 'ms' }, { figure: `the same, ${format}: p95`, value: round(quantile(warm, 0.95), 1), unit: 'ms' });
    }

    const encoded = (): Promise<number> => server.metric('imageflow_encoded_pictures_total', { camera: CAMERA, format: 'jpeg' });
    // One picture in ten seconds: the decoder alone, as for a detector.
    const measure = async (query: string, viewers: number): Promise<{ readonly extractor: number; readonly edge: number; readonly pictures: number }> => {
      await using _watching = watch(server, query, viewers);
      await sleep(3_000);
      const before = await encoded();
      const cpu = await cpuDuring(server, () => sleep(MEASURED_MS));
      return { ...cpu, pictures: await encoded() - before };
    };
    const idle = await measure('fps=0.1', 1);
    const one = await measure(`fps=${String(FPS)}`, 1);
    const many = await measure(`fps=${String(FPS)}`, VIEWERS);
    return [
      ...figures,
      { figure: 'extractor: decoding alone', value: round(idle.extractor / MEASURED_MS * 1000, 1), unit: 'ms CPU a second' },
      { figure: 'extractor: a picture scaled and encoded beside it, 720p', value: round((one.extractor - idle.extractor) / one.pictures, 2), unit: 'ms CPU a picture' },
      { figure: `extractor: the same with ${String(VIEWERS)} viewers`, value: round((many.extractor - idle.extractor) / many.pictures, 2), unit: 'ms CPU a picture' },
      { figure: `pictures encoded a second for ${String(VIEWERS)} viewers`, value: round(many.pictures / MEASURED_MS * 1000, 1), unit: '/s', target: `${String(FPS)} at most, as for one viewer`, met: many.pictures / MEASURED_MS * 1000 <= FPS + 0.5 },
      { figure: 'edge: a picture passed on, one viewer', value: round((one.edge - idle.edge) / one.pictures, 2), unit: 'ms CPU a picture' },
      { figure: `edge: a picture passed on to one of ${String(VIEWERS)} viewers`, value: round((many.edge - idle.edge) / many.pictures / VIEWERS, 2), unit: 'ms CPU a picture' },
    ];
  },
};
