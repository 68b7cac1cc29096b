import { afterAll, beforeAll, expect, test } from 'vitest';
import { clip, ffmpegPush } from '../../support/media.ts';
import { closedSegments, endOf, startOf } from '../../support/recordings.ts';
import { TestServer } from '../../support/server.ts';

interface Analysis { readonly id: string; readonly state: string; readonly pictures: number; readonly undecodable: number; readonly detections: number; readonly progress: number; readonly error: string | null; readonly created_at: string; readonly finished_at: string | null }
interface Item { readonly id: number; readonly analysis: string | null; readonly rtp_timestamp: number; readonly class_name: string; readonly model_digest: string; readonly confidence: number; readonly bbox: Readonly<Record<string, number>> }

interface Hit { readonly camera: string; readonly detections: { readonly count: number; readonly source: string; readonly model: string | null } }

let server: TestServer;
beforeAll(async () => { server = await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '2' } }); });
afterAll(async () => { await server[Symbol.asyncDispose](); });

const detections = async (query: string): Promise<Omit<Item, 'id' | 'analysis'>[]> => {
  const all: Item[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: { items: Item[]; next_cursor: string | null } = await server.request('GET', `/v1/detections?camera=line&order=asc&limit=1000&${query}${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`);
    all.push(...page.items);
    cursor = page.next_cursor;
  }
  // The order of boxes of the same moment is that of their ids, which a repetition gives anew.
  return all.map(({ id: _, analysis: __, ...rest }) => rest).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
};

test('[REC-6] a recorded range is looked at by detectors, with the same answer each time, beside what was said live, and searches find it', { timeout: 300_000 }, async () => {
  const pushing = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(await server.addCamera('line', { pipelines: ['detect'] })), { input: ['-t', '6'] });
  expect((await pushing.exit).code).toBe(0);
  const segments = await closedSegments(server, 'line');
  const [first, last] = [segments[0], segments.at(-1)];
  if (!first || !last) throw new Error('nothing was recorded');
  const [from, to] = [startOf(first), endOf(last)];

  const analyse = async (): Promise<Analysis> => {
    const { id } = await server.request<Analysis>('POST', '/v1/recordings/line/analyses', { from: new Date(from).toISOString(), to: new Date(to + 1).toISOString(), fps: 30, detectors: ['detect', 'inspect-320'] });
    const ended = async (): Promise<Analysis> => await server.request<Analysis>('GET', `/v1/analyses/${id}`);
    await expect.poll(ended, { timeout: 120_000, interval: 250 }).toMatchObject({ state: 'done' });
    return await ended();
  };
  const one = await analyse();
  expect(one).toMatchObject({ state: 'done', progress: 1, undecodable: 0, error: null });
  expect(one.pictures).toBe(180); // every picture, once
  const live = await detections('');
  const found = await detections(`analysis=${one.id}`);
  expect(found).toHaveLength(one.detections);
  expect(found.length).toBeGreaterThan(0);
  expect(found.every(({ model_digest }) => /^[0-9a-f]{64}$/.test(model_digest))).toBe(true);

  const search = async () => {
    const hits = await Promise.all([...new Set(found.map(({ class_name }) => class_name))].sort().map((name) => server.request<{ items: Hit[] }>('GET', `/v1/recordings?class=${encodeURIComponent(name)}&source=analysis&limit=100`)));
    return hits.flatMap(({ items }) => items);
  };
  const hits = await search();
  expect(hits.every(({ camera, detections: seen }) => camera === 'line' && seen.source === 'analysis')).toBe(true);
  expect(hits.reduce((sum, { detections: seen }) => sum + seen.count, 0)).toBe(one.detections);

  const two = await analyse();
  expect(await search()).toEqual(hits);
  expect(await detections(`analysis=${two.id}`)).toEqual(found);
  expect(await detections('source=analysis')).toEqual(found); // in place of the first, not beside it
  expect(await detections('')).toEqual(live);

  // What the default detector said live of a picture, it says of the recorded one.
  const known = (item: Omit<Item, 'id' | 'analysis'>): string => JSON.stringify({ ...item, captured_at: null, track_id: null }); // a part has one wall clock, a live picture its own: some ms; tracks are live only
  const recorded = new Set(found.map(known));
  expect(live.length).toBeGreaterThan(0);
  expect(live.filter((item) => recorded.has(known(item))).length / live.length).toBeGreaterThan(0.99);
});

test('[EXT-1] [REC-6] every recorded picture is decoded once, by one detector as by three, whatever number of pictures they look at', { timeout: 300_000 }, async () => {
  const pushing = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(await server.addCamera('once', { pipelines: [] })), { input: ['-t', '6'] });
  expect((await pushing.exit).code).toBe(0);
  const segments = await closedSegments(server, 'once');
  const range = { from: segments[0]!.start, to: new Date(endOf(segments.at(-1)!) + 1).toISOString() };
  for (const detectors of [['inspect-320'], ['inspect-320', 'detect', 'nanodet-g-416.int8.u8']]) {
    const decoded = await server.metric('imageflow_analysis_decoded_frames_total', { camera: 'once' });
    const { id } = await server.request<Analysis>('POST', '/v1/recordings/once/analyses', { ...range, fps: 5, detectors });
    await expect.poll(() => server.request<Analysis>('GET', `/v1/analyses/${id}`), { timeout: 120_000, interval: 250 }).toMatchObject({ state: 'done', pictures: 30, undecodable: 0 });
    expect(await server.metric('imageflow_analysis_decoded_frames_total', { camera: 'once' }) - decoded).toBe(180);
  }
});

test('an analysis is refused where nothing was recorded, and of a detector that is not there', async () => {
  await server.addCamera('empty');
  const range = { from: new Date(Date.now() - 60_000).toISOString(), to: new Date().toISOString() };
  const post = (body: unknown): Promise<Response> => server.fetch('/v1/recordings/empty/analyses', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  expect((await post(range)).status).toBe(404);
  expect((await post({ ...range, detectors: ['no-such'] })).status).toBe(422);
  expect((await post({ ...range, fps: 0 })).status).toBe(400);
});
