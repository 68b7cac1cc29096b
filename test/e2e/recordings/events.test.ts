/** What is told of analyses, searches and playbacks, to a client that watches while the control process is killed. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { VideoAnalysisEvent } from '../../../control-api/events/service.ts';
import type { ServerMessage } from '../../../control-api/sockets/service.ts';
import { ffmpegPush } from '../../support/media.ts';
import { closedSegments, endOf, playbackPath, startOf } from '../../support/recordings.ts';
import { TestServer, until } from '../../support/server.ts';

const CLIP = join(import.meta.dirname, '..', '..', '..', 'demo', 'clips', 'inspection-720p30.mp4');
const TOPIC = 'video-analysis-events';
type Told = Record<string, unknown> & { readonly event_id: string; readonly event_type: string };

let server: TestServer;
beforeAll(async () => { server = await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '2' } }); });
afterAll(async () => { await server[Symbol.asyncDispose](); });

/** A client as they should be written: it comes back with the last cursor, until it is disposed. */
class Watcher implements Disposable {
  readonly told: Told[] = [];
  missed = 0;
  connections = 0;
  #cursor = '0';
  #socket: WebSocket | null = null;
  #ended = false;

  constructor() { this.#connect(); }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#socket?.terminate();
  }

  #connect(): void {
    const socket = new WebSocket(`${server.http.replace('http', 'ws')}/v1/ws`, [`bearer.${server.token}`]);
    this.#socket = socket;
    socket.on('open', () => {
      this.connections++;
      socket.send(JSON.stringify({ type: 'watch', topic: TOPIC, after: this.#cursor }));
    });
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as ServerMessage;
      if (message.type === 'missed') this.missed++;
      if (message.type !== 'event') return;
      this.#cursor = message.cursor;
      this.told.push(message.event as Told);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => { if (!this.#ended) setTimeout(() => { if (!this.#ended) this.#connect(); }, 200); });
  }
}

test('[SD-56] analyses, searches and playbacks are told once each, also when control is killed meanwhile', { timeout: 240_000 }, async () => {
  const pushing = ffmpegPush(CLIP, server.rtspUrl(await server.addCamera('line', { pipelines: [] })), { input: ['-t', '12'] });
  expect((await pushing.exit).code).toBe(0);
  const segments = await closedSegments(server, 'line');
  const [first, last] = [segments[0], segments.at(-1)];
  if (!first || !last) throw new Error('nothing was recorded');
  const range = { from: new Date(startOf(first)).toISOString(), to: new Date(endOf(last)).toISOString() };
  await server.request('POST', '/v1/recordings/line/marks', { kind: 'link', ...range, work_order_id: 'WO-7', product_type: 'TYPE-A' });

  using watcher = new Watcher();
  await expect.poll(() => watcher.connections).toBe(1);
  const analysis = { ...range, fps: 30, detectors: ['inspect-320'], defect_classes: ['scratch', 'contamination', 'deformation'] };
  const { id } = await server.request<{ id: string }>('POST', '/v1/recordings/line/analyses', analysis);
  const job = () => server.request<Record<string, number | string | null>>('GET', `/v1/analyses/${id}`);
  await expect.poll(async () => (await job()).pictures, { timeout: 60_000, interval: 50 }).toBeGreaterThan(0);
  const [control] = await server.pids('control');
  if (control === undefined) throw new Error('no control');
  process.kill(control, 'SIGKILL');
  await until('control is back', async () => (await server.pids('control')).some((pid) => pid !== control) && (await server.fetch('/v1/health/ready')).status === 200, 60_000);
  // A process that was killed gives nothing back: another one takes the job over a minute later.
  await expect.poll(async () => (await job()).state, { timeout: 120_000, interval: 250 }).toBe('done');
  await expect.poll(() => watcher.told.length, { timeout: 10_000 }).toBe(1);

  const done = await job();
  expect(watcher.told[0]).toEqual({
    event_type: 'analysis_completed', event_id: expect.any(String) as string, video_id: `line/${range.from}/${range.to}`, camera: 'line', ...range,
    product_info: { work_order_id: 'WO-7', instruction_id: null, product_type: 'TYPE-A', machine_number: null },
    analysis_results: {
      analysis_id: id, models: ['inspect-320'], pictures: done['pictures'], detections: done['detections'], defect_classes: ['contamination', 'deformation', 'scratch'], defect_pictures: done['defect_pictures'],
      defect_count: done['defect_count'], quality_score: done['quality_score'], processing_time_ms: expect.any(Number) as number, error: null,
    },
    timestamp: expect.any(String) as string,
  });
  expect(done['pictures']).toBe(360);
  expect(done['defect_count']).toBeGreaterThan(0); // the belt carries some
  expect(done['quality_score']).toBeCloseTo(1 - Number(done['defect_pictures']) / 360, 10);
  expect(done['quality_score']).toBeLessThan(1);

  for (let i = 0; i < 3; i++) {
    expect((await server.request<{ items: unknown[] }>('GET', `/v1/recordings?camera=line&work_order_id=WO-7`)).items).toHaveLength(1);
    expect((await server.fetch(playbackPath('line', startOf(first), endOf(last)), { headers: { range: `bytes=${String(i * 100)}-${String(i * 100 + 99)}` } })).status).toBe(206);
    expect((await server.fetch(playbackPath('line', startOf(first), endOf(last)).replace('/playback?', '/playback.m3u8?'))).status).toBe(200);
  }
  await expect.poll(() => watcher.told.length, { timeout: 10_000 }).toBe(4);
  const what = ({ playback, search_results: found }: Told): string => (playback === undefined ? `${String((found as { hits: number }).hits)} hit` : (playback as { format: string }).format);
  expect(watcher.told.slice(1).map((event) => `${event.event_type} ${String(event['camera'])} ${what(event)}`).sort()).toEqual(['playback_started line hls', 'playback_started line mp4', 'search_completed line 1 hit']);
  expect(watcher.told.every(({ product_info }) => (product_info as { work_order_id: string }).work_order_id === 'WO-7')).toBe(true);
  for (const event of watcher.told) expect(VideoAnalysisEvent.parse(event)).toEqual(event); // by the published schema, and nothing beside it
  expect(new Set(watcher.told.map(({ event_id }) => event_id)).size).toBe(4);
  expect([watcher.missed, watcher.connections]).toEqual([0, 2]);
  const listed = await server.request<{ items: { event: Told }[] }>('GET', `/v1/events?topic=${TOPIC}`);
  expect(listed.items.map(({ event }) => event)).toEqual(watcher.told);
});
