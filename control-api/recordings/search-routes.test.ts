import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';

const TUESDAY = Date.parse('2026-11-24T00:00:00.000Z');
const at = (hours: number, seconds = 0): string => new Date(TUESDAY + hours * 3_600_000 + seconds * 1000).toISOString();

interface Item { camera: string; start: string; end: string; segments: number; mark: Record<string, unknown> | null; detections: Record<string, unknown> | null; playback: string }
interface Page { items: Item[]; next_cursor: string | null }

describe('GET /v1/recordings', () => {
  let h: Harness;
  let token: string;
  beforeAll(async () => {
    h = await startApi({ clock: new FakeClock(TUESDAY + 30 * 3_600_000) });
    token = (await h.login()).access_token;
    for (const [id, name] of [['press', 'Press 4'], ['dock', 'Loading dock']] as const) await h.call('POST', '/v1/cameras', { token, json: { id, name } });
    // An hour of segments of 10 s from 9 o'clock on each camera.
    for (const camera of ['press', 'dock']) {
      const start = TUESDAY + 9 * 3_600_000;
      await h.db.insertInto('segments').values(Array.from({ length: 360 }, (_, i) => ({
        id: `${camera}/${String(i)}`, camera_id: camera, session_id: `s-${camera}`, epoch: 1, start_ms: start + i * 10_000, end_ms: start + (i + 1) * 10_000, bytes: 1000, sha256: 'ab', open: 0 as const, tracks: '[]',
        gap_before: null, gap_cause: null, expired_at: null, prev_sha256: null, archived_at: null,
      }))).execute();
    }
    const link = async (camera: string, from: string, to: string, more: object) => {
      expect((await h.call('POST', `/v1/recordings/${camera}/marks`, { token, json: { kind: 'link', from, to, ...more } })).status).toBe(201);
    };
    await link('press', at(9, 600), at(9, 660), { work_order_id: 'WO-77', inspection_result: 'NG', title: 'Deep scratch', tags: ['rework'], production_date: '2026-11-24' });
    await link('press', at(9, 1200), at(9, 1230), { work_order_id: 'WO-77', inspection_result: 'OK' });
    await link('press', at(9, -15), at(9, 15), { work_order_id: 'WO-77', title: 'Begins before the recording' });
    await link('press', at(-20), at(-19), { work_order_id: 'WO-77', title: 'On Monday, not recorded' });
    await link('dock', at(9, 605), at(9, 640), { work_order_id: 'WO-78', inspection_result: 'NG' });
    await h.db.insertInto('sightings').values([
      { camera_id: 'press', class_name: 'scratch', first_ms: Date.parse(at(9, 612)), last_ms: Date.parse(at(9, 615)), count: 12, at_once: 2, max_confidence: 0.875 },
      { camera_id: 'dock', class_name: 'person', first_ms: Date.parse(at(9, 1005)), last_ms: Date.parse(at(9, 1095)), count: 300, at_once: 4, max_confidence: 0.75 },
    ]).execute();
  });
  afterAll(async () => { await h[Symbol.asyncDispose](); });
  const get = (query: string, headers: Record<string, string> = {}) => h.call<Page>('GET', `/v1/recordings?${query}`, { token, headers });
  const found = async (query: string): Promise<string[]> => {
    const { status, body } = await get(query);
    expect([query, status]).toEqual([query, 200]);
    return body.items.map(({ camera, start }) => `${camera} ${start.slice(11, 19)}`);
  };

  test('[REC-6] the inspections of a work order on Tuesday, newest first, as far as they are recorded', async () => {
    expect(await found(`work_order_id=WO-77&from=${at(0)}&to=${at(24)}`)).toEqual(['press 09:20:00', 'press 09:10:00', 'press 09:00:00']);
    const { body } = await get(`work_order_id=WO-77&inspection_result=NG`);
    expect(body).toEqual({ items: [{
      camera: 'press', session_id: 's-press', start: at(9, 600), end: at(9, 660), duration: 60, bytes: 6000, segments: 6, open: false, playback: `/v1/recordings/press/playback?from=${at(9, 600)}&to=${at(9, 660)}`,
      mark: expect.objectContaining({ kind: 'link', work_order_id: 'WO-77', title: 'Deep scratch', tags: ['rework'], from: at(9, 600), to: at(9, 660) }), detections: null,
    }], next_cursor: null });
    expect((await get('work_order_id=WO-77&q=before')).body.items).toMatchObject([{ start: at(9), end: at(9, 15), segments: 2, mark: { from: at(9, -15) } }]);
  });

  test('[REC-6] filters combine', async () => {
    expect(await found('inspection_result=NG')).toEqual(['dock 09:10:05', 'press 09:10:00']);
    expect(await found('inspection_result=NG&camera=press')).toEqual(['press 09:10:00']);
    expect(await found('inspection_result=NG&camera=press&camera=dock')).toHaveLength(2);
    expect(await found('q=scratch rework')).toEqual(['press 09:10:00']);
    expect(await found('q=loading ng')).toEqual(['dock 09:10:05']);
    expect(await found('tags=rework&production_date_from=2026-11-24&production_date_to=2026-11-24')).toEqual(['press 09:10:00']);
    expect(await found('tags=rework&production_date_from=2026-11-25')).toEqual([]);
    expect(await found('work_order_id=WO-7')).toEqual([]);
    expect(await found('q=WO-7')).toHaveLength(4);
  });

  test('[REC-6] by what was seen: the segments of it, or the marked ranges with it', async () => {
    expect((await get('class=person')).body.items).toMatchObject([{
      camera: 'dock', start: at(9, 1000), end: at(9, 1100), segments: 10, mark: null, detections: { class_name: 'person', count: 300, at_once: 4, max_confidence: 0.75, source: 'live', model: null }, playback: `/v1/recordings/dock/playback?from=${at(9, 1000)}&to=${at(9, 1100)}`,
    }]);
    expect(await found('class_name=person&min_at_once=4&min_count=300&min_confidence=0.75')).toHaveLength(1);
    for (const more of ['min_at_once=5', 'min_count=301', 'min_confidence=0.8', 'camera=press', `to=${at(9, 1005)}`, `from=${at(9, 1096)}`]) expect(await found(`class=person&${more}`)).toEqual([]);
    expect((await get('class=scratch&inspection_result=NG')).body.items).toMatchObject([{ camera: 'press', start: at(9, 600), mark: { title: 'Deep scratch' }, detections: { count: 12, at_once: 2, max_confidence: 0.875 } }]);
    expect(await found('class=person&inspection_result=NG')).toEqual([]);
  });

  test('[REC-6] what an analysis of the recording has found is found, too, and is told from what was seen live; their figures are not added up', async () => {
    const found = (first: number, count: number, model: string) => ({ camera_id: 'dock', class_name: 'dent', first_ms: Date.parse(at(9, first)), last_ms: Date.parse(at(9, first + 5)), count, at_once: 1, max_confidence: 0.5, analysed_by: model });
    await h.db.insertInto('sightings').values([found(610, 20, ''), found(610, 30, 'fine'), found(612, 25, 'coarse'), found(2005, 3, 'fine')]).execute();
    const figures = async (query: string) => (await get(query)).body.items.map(({ detections }) => [detections?.['source'], detections?.['model'], detections?.['count']]);
    const [fine, coarse, live, late] = [['analysis', 'fine', 30], ['analysis', 'coarse', 25], ['live', null, 20], ['analysis', 'fine', 3]];
    expect(await figures('class=dent')).toEqual([late, coarse, fine, live]);
    expect(await figures('class=dent&source=live')).toEqual([live]);
    expect(await figures('class=dent&source=analysis&min_count=25')).toEqual([coarse, fine]);
    expect(await figures('class=dent&min_count=31')).toEqual([]);
    expect(await figures('class=dent&inspection_result=NG')).toEqual([fine]);
    expect(await figures('class=dent&inspection_result=NG&source=live')).toEqual([live]);
    expect(await figures('class=dent&inspection_result=NG&min_count=31')).toEqual([]);
    const pages: unknown[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const { body }: { body: Page } = await get(`class=dent&limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`);
      pages.push(...body.items.map(({ detections }) => detections?.['count']));
      cursor = body.next_cursor;
    }
    expect(pages).toEqual([3, 25, 30, 20]);
    expect((await get('source=live')).status).toBe(400);
  });

  test('pages follow each other; an unchanged answer is 304', async () => {
    const first = await get('work_order_id=WO-77&limit=2');
    expect([first.body.items.length, first.body.next_cursor === null]).toEqual([2, false]);
    const second = await get(`work_order_id=WO-77&limit=2&cursor=${first.body.next_cursor ?? ''}`);
    expect(second.body).toMatchObject({ items: [{ start: at(9) }], next_cursor: null });
    expect((await get('work_order_id=WO-77&limit=2', { 'if-none-match': first.headers.get('etag') ?? '' })).status).toBe(304);
  });

  test.each([
    'camera=', 'camera=A', 'min_count=1', 'min_confidence=0.5', 'class=a&min_confidence=2', 'class=a&min_count=0', 'class=a&class_name=b', 'production_date=24.11.2026', 'monthly_sequence=x', 'q=---', 'tags=', `from=${at(1)}&to=${at(1)}`,
    'work_order_id=', 'work_order_id=a&cursor=x', `q=${'x'.repeat(201)}`, `camera=${Array.from({ length: 101 }, (_, i) => `c${String(i)}`).join()}`, 'tags=a%00b', 'product_type=a%0Ab',
  ])('%s is refused', async (query) => {
    expect((await get(query)).status).toBe(400);
  });
});
