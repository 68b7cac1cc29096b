import { afterAll, beforeAll, expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { VideoAnalysisEvent } from '../events/service.ts';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';

const TUESDAY = Date.parse('2026-11-24T09:00:00.000Z');
const at = (seconds: number): string => new Date(TUESDAY + seconds * 1000).toISOString();

let h: Harness;
let token: string;
let seen = 0;
beforeAll(async () => {
  h = await startApi({ clock: new FakeClock(TUESDAY + 3_600_000) });
  token = (await h.login()).access_token;
  await h.call('POST', '/v1/cameras', { token, json: { id: 'press' } });
  await h.db.insertInto('segments').values({
    id: 'press/1', camera_id: 'press', session_id: 's', epoch: 1, start_ms: TUESDAY, end_ms: TUESDAY + 60_000, bytes: 1000, sha256: 'ab', open: 0, tracks: '[]', gap_before: null, gap_cause: null, expired_at: null, prev_sha256: null, archived_at: null,
  }).execute();
  for (const [from, to, product] of [
    [0, 10, { work_order_id: 'WO-1', product_type: 'A', machine_number: 'M-1' }], [5, 20, { work_order_id: 'WO-1', product_type: 'B' }], [30, 40, { work_order_id: 'WO-2', instruction_id: 'I-2' }],
  ] as const) expect((await h.call('POST', '/v1/recordings/press/marks', { token, json: { kind: 'link', from: at(from), to: at(to), ...product } })).status).toBe(201);
});
afterAll(async () => { await h[Symbol.asyncDispose](); });

/** What was told since the last time, by its schema. */
const told = async (): Promise<VideoAnalysisEvent[]> => {
  h.clock.advance(500);
  let items: { event: unknown }[] = [];
  await expect.poll(async () => {
    ({ items } = (await h.call<{ items: { event: unknown }[] }>('GET', '/v1/events?topic=video-analysis-events', { token })).body);
    return items.length;
  }).toBeGreaterThan(seen);
  const news = items.slice(seen).map(({ event }) => VideoAnalysisEvent.parse(event));
  seen = items.length;
  return news;
};
const get = async (path: string, headers: Record<string, string> = {}): Promise<number> => (await h.call('GET', path, { token, headers })).status;

test('[SD-56] a search is told with what was asked and how much was found; further pages and repetitions are not', async () => {
  const query = `/v1/recordings?camera=press&from=${at(0)}&work_order_id=WO-1&q=wo&limit=1`;
  const page = await h.call<{ next_cursor: string }>('GET', query, { token });
  expect([page.status, await get(`${query}&cursor=${page.body.next_cursor}`), await get(query)]).toEqual([200, 200, 200]);
  expect(await get('/v1/recordings?camera=press,dock&class=dent&min_count=2')).toBe(200);
  expect(await get('/v1/recordings?camera=press&from=yesterday')).toBe(400);
  expect(await get(`/v1/recordings?camera=press&from=${at(0)}`)).toBe(200); // a list, as the pages ask for it every few seconds
  expect(await told()).toEqual([
    expect.objectContaining({
      event_type: 'search_completed', video_id: `press/${at(0)}/..`, camera: 'press', from: at(0), to: null, timestamp: at(3600),
      product_info: { work_order_id: 'WO-1', instruction_id: null, product_type: null, machine_number: null }, search_results: { hits: 1, more: true, processing_time_ms: 0, filters: { work_order_id: 'WO-1', q: 'wo' } },
    }),
    expect.objectContaining({
      video_id: '*/../..', camera: null, search_results: { hits: 0, more: false, processing_time_ms: 0, filters: { camera: ['press', 'dock'], class: 'dent', min_count: 2 } },
    }),
  ]);
});

test('[SD-56] a playback is told once, with the product that the marks in its range agree upon', async () => {
  const play = (from: number, to: number, more = ''): Promise<number> => get(`/v1/recordings/press/playback?from=${at(from)}&to=${at(to)}${more}`);
  expect([await play(0, 20), await play(0, 20), await play(12, 40), await play(30, 31), await play(50, 60, '&format=fmp4')]).toEqual([200, 200, 200, 200, 200]);
  expect(await get(`/v1/recordings/press/playback.m3u8?from=${at(0)}&to=${at(4)}`)).toBe(404); // the reader here has no files: nothing to tell
  const none = { work_order_id: null, instruction_id: null, product_type: null, machine_number: null };
  expect((await told()).map((event) => [event.video_id, event.product_info, event.event_type === 'playback_started' && event.playback.format])).toEqual([
    [`press/${at(0)}/${at(20)}`, { ...none, work_order_id: 'WO-1', machine_number: 'M-1' }, 'mp4'],
    [`press/${at(12)}/${at(40)}`, { ...none, instruction_id: 'I-2', product_type: 'B' }, 'mp4'],
    [`press/${at(30)}/${at(31)}`, { ...none, work_order_id: 'WO-2', instruction_id: 'I-2' }, 'mp4'],
    [`press/${at(50)}/${at(60)}`, none, 'fmp4'],
  ]);
});
