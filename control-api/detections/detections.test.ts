import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';

describe('detections', () => {
  let h: Harness;
  let token: string;
  let now: number;
  beforeAll(async () => {
    h = await startApi({ config: { detections: { retention_hours: 1 } } });
    token = (await h.login()).access_token;
    now = h.clock.now();
    const row = (i: number) => ({
      camera_id: i % 2 === 0 ? 'even' : 'odd', stream_epoch: 1, rtp_timestamp: i * 6000, captured_at_ms: now - 1000 + i, sequence: i, class_name: i % 3 === 0 ? 'person' : 'cup', class_id: i % 3,
      confidence: i / 20, x: 1, y: 2, width: 3, height: 4, track_id: null, model: 'm', model_digest: 'd',
    });
    await h.db.insertInto('detections').values([...Array.from({ length: 20 }, (_, i) => row(i)), { ...row(0), sequence: 99, captured_at_ms: now - 1000 + 19 }]).execute();
  });
  afterAll(async () => { await h[Symbol.asyncDispose](); });
  const get = async (query: string) => (await h.call<{ items: { sequence: number; captured_at: string; class_name: string }[]; next_cursor: string | null }>('GET', `/v1/detections?${query}`, { token })).body;

  test('an item has the shape of the contract', async () => {
    expect((await get('order=asc&limit=1')).items).toEqual([{
      id: expect.any(Number) as number, camera: 'even', stream_epoch: 1, rtp_timestamp: 0, captured_at: new Date(now - 1000).toISOString(), sequence: 0, class_name: 'person', class_id: 0,
      confidence: 0, bbox: { x: 1, y: 2, width: 3, height: 4 }, track_id: null, model: 'm', model_digest: 'd', analysis: null,
    }]);
  });

  test('filters by camera, time, class under either name, confidence and model', async () => {
    const sequences = async (query: string) => (await get(`order=asc&${query}`)).items.map((item) => item.sequence);
    expect(await sequences('camera=odd&min_confidence=0.75')).toEqual([15, 17, 19]);
    expect(await sequences('class=person&camera=odd')).toEqual([3, 9, 15]);
    expect(await sequences('class_name=person&camera=odd')).toEqual([3, 9, 15]);
    expect(await sequences(`from=${new Date(now - 998).toISOString()}&to=${new Date(now - 995).toISOString()}`)).toEqual([2, 3, 4]);
    expect(await sequences('model=other')).toEqual([]);
  });

  test.each(['asc', 'desc'])('pages %s without a loss or a repeat, also among equal times', async (order) => {
    const seen: number[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof get>> = await get(`order=${order}&limit=3${cursor === null ? '' : `&cursor=${cursor}`}`);
      seen.push(...page.items.map((item) => item.sequence));
      cursor = page.next_cursor;
    } while (cursor !== null);
    const ascending = [...Array.from({ length: 20 }, (_, i) => i), 99];
    expect(seen).toEqual(order === 'asc' ? ascending : ascending.reverse());
  });

  test('what is older than the retention is deleted in the background, sightings with it', async () => {
    const sighting = (first: number, last: number) => ({ camera_id: 'even', class_name: 'cup', first_ms: first, last_ms: last, count: 1, at_once: 1, max_confidence: 1, analysed_by: '' });
    const many = Array.from({ length: 700 }, (_, i) => sighting(now - 700 + i, now - 700 + i));
    await h.db.insertInto('sightings').values([...many, sighting(now, now + 100 * 3_600_000), { ...sighting(now - 700, now - 699), analysed_by: 'model' }]).execute(); // the last goes with its analysis
    h.clock.advance(3_600_000);
    const count = async () => Number((await h.db.selectFrom('detections').select((e) => e.fn.countAll().as('n')).executeTakeFirstOrThrow()).n);
    await expect.poll(() => { h.clock.advance(60_000); return count(); }).toBe(0);
    await expect.poll(async () => { h.clock.advance(60_000); return (await h.db.selectFrom('sightings').select('first_ms').orderBy('first_ms').execute()).map((row) => row.first_ms); }).toEqual([now - 700, now]);
  });
});
