import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';
import { MAX_ON_DISK, MarkService } from './service.ts';

const T0 = Date.parse('2026-11-24T10:00:00.000Z');
const at = (seconds: number): string => new Date(T0 + seconds * 1000).toISOString();

/** Segments of 10 s of `cam`, the first one at T0. */
const segment = (i: number, more: object = {}) => ({
  id: `cam/${String(i)}`, camera_id: 'cam', session_id: 's', epoch: T0, start_ms: T0 + i * 10_000, end_ms: T0 + (i + 1) * 10_000, bytes: 1000, sha256: 'ab', open: 0 as const, tracks: '[]',
  gap_before: null, gap_cause: null, expired_at: null, prev_sha256: null, archived_at: null, ...more,
});

type Shown = Record<string, unknown> & { id: string };
interface List { items: Shown[]; next_cursor: string | null }

describe('marks', () => {
  let h: Harness;
  let token: string;
  beforeAll(async () => {
    h = await startApi({ clock: new FakeClock(T0) });
    token = (await h.login()).access_token;
    await h.call('POST', '/v1/cameras', { token, json: { id: 'cam', name: 'Cell 4' } });
    await h.call('POST', '/v1/users', { token, json: { username: 'looker', password: 'only looking here', role: 'viewer' } });
  });
  beforeEach(async () => {
    await h.db.deleteFrom('marks').execute();
    await h.db.deleteFrom('segments').execute();
  });
  afterAll(async () => { await h[Symbol.asyncDispose](); });

  const post = (json: object, camera = 'cam') => h.call<Shown>('POST', `/v1/recordings/${camera}/marks`, { token, json });
  const get = <T = List>(path: string, headers: Record<string, string> = {}) => h.call<T>('GET', path, { token, headers });
  const LINK = {
    kind: 'link', from: at(0), to: at(60), title: 'Inspection of housing 7', note: 'scratch\nnear the seal', tags: ['scratch', 'rework', 'scratch'], product_id: 'P-7', inspection_id: 'I-1', work_order_id: 'WO-1',
    instruction_id: 'N-1', product_type: 'HX', machine_number: 'M7', production_date: '2026-11-24', monthly_sequence: 12, inspection_result: 'NG',
  };

  test('[REC-7] a link says what it shows, is archived unless told otherwise, and is found again', async () => {
    const created = await post(LINK);
    expect(created.status).toBe(201);
    const expected = {
      ...LINK, id: expect.any(String) as string, camera: 'cam', duration: 60, archive: true, tags: ['rework', 'scratch'], created_at: at(0), created_by: 'admin',
      playback: `/v1/recordings/cam/playback?from=${at(0)}&to=${at(60)}`,
    };
    expect(created.body).toEqual(expected);
    expect(created.headers.get('location')).toBe(`/v1/marks/${created.body.id}`);
    const one = await get<Shown>(`/v1/marks/${created.body.id}`);
    expect(one.body).toEqual(created.body);
    expect((await get(`/v1/marks/${created.body.id}`, { 'if-none-match': one.headers.get('etag') ?? '' })).status).toBe(304);
    expect((await get('/v1/recordings/cam/marks')).body).toEqual({ items: [created.body], next_cursor: null });
    expect((await get('/v1/marks')).body.items).toEqual([created.body]);
  });

  test('[REC-8] a clip begins before its moment and ends after it; a pin stays on the disk', async () => {
    expect((await post({ kind: 'clip', at: at(100), pre_seconds: 5, post_seconds: 0.5 })).body).toMatchObject({ from: at(95), to: at(100.5), archive: true });
    expect((await post({ kind: 'clip', at: at(100) })).body).toMatchObject({ from: at(90), to: at(110) });
    expect((await post({ kind: 'clip', at: at(100), pre_seconds: 0, post_seconds: 0 })).body).toMatchObject({ from: at(100), to: at(100.001) });
    expect((await post({ kind: 'pin', from: at(0), to: at(1) })).body).toMatchObject({ archive: false, title: null, tags: [] });
    expect((await post({ kind: 'pin', from: at(0), to: at(1), archive: true })).body).toMatchObject({ archive: true });
  });

  test('a patch sets what it names; null takes a text away; a removed mark is gone', async () => {
    const { id } = (await post(LINK)).body;
    const patch = (json: object) => h.call<Shown>('PATCH', `/v1/marks/${id}`, { token, json });
    expect((await patch({ title: null, inspection_result: 'OK', tags: ['seen'], to: at(90) })).body).toMatchObject({ title: null, inspection_result: 'OK', tags: ['seen'], from: at(0), to: at(90), note: LINK.note, work_order_id: 'WO-1' });
    expect((await patch({ from: at(10), archive: false })).body).toMatchObject({ from: at(10), to: at(90), archive: false });
    expect((await get('/v1/marks?tags=seen')).body.items).toMatchObject([{ id }]);
    expect((await get('/v1/marks?tags=scratch')).body.items).toEqual([]);
    expect([(await patch({})).status, (await patch({ kind: 'pin' })).status, (await patch({ from: at(95) })).status]).toEqual([400, 400, 400]);
    expect((await h.call('DELETE', `/v1/marks/${id}`, { token })).status).toBe(204);
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      const answer = await h.call('GET' === method ? 'GET' : method, `/v1/marks/${id}`, { token, ...(method === 'PATCH' ? { json: { title: 'x' } } : {}) });
      expect([method, answer.status, answer.body['code']]).toEqual([method, 404, 'MARK_NOT_FOUND']);
    }
    expect(await h.db.selectFrom('mark_tags').selectAll().execute()).toEqual([]);
  });

  test.each([
    ['no range', { kind: 'pin' }], ['half a range', { kind: 'pin', from: at(0) }], ['a moment of a pin', { kind: 'pin', at: at(0) }], ['both', { kind: 'clip', at: at(0), from: at(0), to: at(1) }],
    ['rolls without a moment', { kind: 'clip', from: at(0), to: at(1), pre_seconds: 1 }], ['an empty range', { kind: 'pin', from: at(1), to: at(1) }], ['more than a day', { kind: 'pin', from: at(-86_401), to: at(0) }],
    ['a time before 1970', { kind: 'pin', from: '1969-12-31T23:00:00.000Z', to: '1970-01-01T00:00:01.000Z' }], ['an unknown kind', { ...LINK, kind: 'bookmark' }], ['an unknown member', { ...LINK, colour: 'red' }],
    ['a long title', { ...LINK, title: 'x'.repeat(201) }], ['a title of two lines', { ...LINK, title: 'a\nb' }], ['a note with a NUL', { ...LINK, note: 'a\0b' }], ['half a surrogate pair', { ...LINK, title: 'a\ud800' }],
    ['a tag with a comma', { ...LINK, tags: ['a,b'] }], ['33 tags', { ...LINK, tags: Array.from({ length: 33 }, (_, i) => `t${String(i)}`) }], ['no date', { ...LINK, production_date: '2026-02-30' }],
    ['a fraction', { ...LINK, monthly_sequence: 1.5 }], ['an empty id', { ...LINK, work_order_id: '  ' }],
  ])('%s is refused', async (_what, json) => {
    const answer = await post(json);
    expect([answer.status, answer.body['code']]).toEqual([400, 'VALIDATION_FAILED']);
    expect(await h.db.selectFrom('marks').selectAll().execute()).toEqual([]);
  });

  test('a range of the day after tomorrow, a camera that never was, and more pins than edges can be told are refused', async () => {
    expect((await post({ kind: 'pin', from: at(3600), to: at(86_400) })).status).toBe(201);
    expect((await post({ kind: 'pin', from: at(3601), to: at(86_401) })).body).toMatchObject({ status: 422, code: 'MARK_IN_THE_FUTURE' });
    expect((await post(LINK, 'never')).body).toMatchObject({ status: 404, code: 'CAMERA_NOT_FOUND' });
    expect((await get('/v1/recordings/never/marks')).status).toBe(404);
    const pin = (i: number) => ({
      id: `p${String(i)}`, camera_id: 'cam', from_ms: i, to_ms: i + 1, kind: 'pin' as const, archive: 0 as const, title: null, note: null, product_id: null, inspection_id: null, work_order_id: null,
      instruction_id: null, product_type: null, machine_number: null, production_date: null, monthly_sequence: null, inspection_result: null, created_at: 1, created_by: null, seq: i * 1024,
    });
    for (let i = 1; i < MAX_ON_DISK; i += 500) await h.db.insertInto('marks').values(Array.from({ length: Math.min(500, MAX_ON_DISK - i) }, (_, j) => pin(i + j))).execute();
    expect((await post({ kind: 'pin', from: at(0), to: at(1) })).body).toMatchObject({ status: 409, code: 'TOO_MANY_PINS' });
    const archived = await post({ kind: 'pin', from: at(0), to: at(1), archive: true });
    expect(archived.status).toBe(201);
    expect((await h.call('PATCH', `/v1/marks/${archived.body.id}`, { token, json: { archive: false } })).status).toBe(409);
    expect((await h.call('PATCH', '/v1/marks/p1', { token, json: { title: 'still mine' } })).status).toBe(200);
  });

  test('who may only look may not mark; every change is in the audit log', async () => {
    const looker = (await h.login('looker', 'only looking here')).access_token;
    const { id } = (await post(LINK)).body;
    expect((await h.call('POST', '/v1/recordings/cam/marks', { token: looker, json: LINK })).status).toBe(403);
    for (const method of ['PATCH', 'DELETE']) expect((await h.call(method, `/v1/marks/${id}`, { token: looker, json: { title: 'x' } })).status).toBe(403);
    expect((await h.call('GET', `/v1/marks/${id}`, { token: looker })).status).toBe(200);
    expect((await h.call('GET', '/v1/marks')).status).toBe(401);
    await h.call('PATCH', `/v1/marks/${id}`, { token, json: { title: 'secret plan' } });
    await h.call('DELETE', `/v1/marks/${id}`, { token });
    const { items } = (await get<{ items: { action: string; target: string; detail: Record<string, unknown> }[] }>('/v1/audit?result=ok&limit=3')).body;
    expect(items.map(({ action, target }) => [action, target])).toEqual([['mark:remove', id], ['mark:patch', id], ['mark:create', id]]);
    expect(JSON.stringify(items)).not.toContain('secret plan');
    expect(items.at(-1)?.detail).toMatchObject({ camera: 'cam', kind: 'link', from: at(0), to: at(60) });
  });

  test('marks are listed from the last to the first, in pages without a loss or a repeat, also of one moment', async () => {
    for (let i = 0; i < 12; i++) await post({ kind: i % 3 === 0 ? 'pin' : 'link', from: at(Math.floor(i / 4)), to: at(50 + i), title: String(i), tags: i % 2 === 0 ? ['even', 'all'] : ['all'] });
    const titles = async (path: string) => {
      const found: string[] = [];
      let cursor: string | null = null;
      do {
        const { body }: { body: List } = await get(`${path}limit=5${cursor === null ? '' : `&cursor=${cursor}`}`);
        found.push(...body.items.map((item) => String(item['title'])));
        cursor = body.next_cursor;
      } while (cursor !== null);
      return found;
    };
    const all = Array.from({ length: 12 }, (_, i) => String(11 - i));
    expect(await titles('/v1/marks?')).toEqual(all);
    expect(await titles('/v1/recordings/cam/marks?')).toEqual(all);
    expect(await titles('/v1/marks?tags=even&tags=all&')).toEqual(all.filter((title) => Number(title) % 2 === 0));
    expect(await titles('/v1/marks?tags=even,all&kind=pin&camera=cam,other&')).toEqual(['6', '0']);
    expect(await titles(`/v1/marks?from=${at(58)}&to=${at(70)}&`)).toEqual(['11', '10', '9']);
    expect(await titles('/v1/marks?camera=other&')).toEqual([]);
    expect((await get(`/v1/marks?from=${at(2)}&to=${at(1)}`)).status).toBe(400);
    expect((await get('/v1/marks?cursor=abc')).status).toBe(400);
    expect((await get('/v1/marks?kind=bookmark')).status).toBe(400);
  });

  test('[REC-2] segments say whether a mark keeps them and whether they are in the archive', async () => {
    await h.db.insertInto('segments').values([segment(0), segment(1, { archived_at: T0 }), segment(2, { archived_at: T0 }), segment(3), segment(4)]).execute();
    await post({ kind: 'pin', from: at(15), to: at(20) });
    await post({ kind: 'link', from: at(12), to: at(31) });
    const { items } = (await get('/v1/recordings/cam/segments')).body;
    // What is in the archive is kept on the disk for a pin alone.
    expect(items.map(({ pinned, archived }) => [pinned, archived])).toEqual([[false, false], [true, true], [false, true], [true, false], [false, false]]);
  });

  test('[REC-2] kept are all ranges that stay on the disk, and those for the archive until all that is recorded of them is there', async () => {
    const marks = new MarkService(h.db, h.clock);
    await h.db.insertInto('segments').values([0, 1, 2, 3, 4].map((i) => segment(i))).execute();
    await h.db.insertInto('segments').values({ ...segment(0), id: 'gone/0', camera_id: 'gone' }).execute();
    const create = (from: number, to: number, kind: 'pin' | 'link', camera = 'cam') => marks.create(camera, { kind, from: T0 + from * 1000, to: T0 + to * 1000 }, 'policy');
    await create(-900, -800, 'pin');
    await create(12, 18, 'link');
    await create(20, 30, 'link');
    await create(500, 600, 'link');
    await create(0, 5, 'link', 'gone');
    const kept = async () => (await marks.kept()).map(({ camera, from, to }) => [camera, (from - T0) / 1000, (to - T0) / 1000]);
    expect(await kept()).toEqual([['cam', -900, -800], ['cam', 12, 18], ['cam', 20, 30], ['gone', 0, 5]]);
    await h.db.updateTable('segments').set({ archived_at: T0 }).where('id', 'in', ['cam/1', 'gone/0']).execute();
    expect(await kept()).toEqual([['cam', -900, -800], ['cam', 20, 30]]);
    await h.db.updateTable('segments').set({ local: 0 }).where('id', '=', 'cam/2').execute();
    expect(await kept()).toEqual([['cam', -900, -800]]);
    await create(35, 45, 'pin');
    await create(30, 36, 'link');
    expect(await kept()).toEqual([['cam', -900, -800], ['cam', 30, 45]]);
  });

  test('listeners hear of each change before its caller is answered', async () => {
    const marks = new MarkService(h.db, h.clock);
    let heard = 0;
    const subscription = marks.onChange(() => { heard++; return Promise.resolve(); });
    const { id } = await marks.create('cam', { kind: 'pin', from: T0, to: T0 + 1 }, null);
    expect(heard).toBe(1);
    await marks.patch(id, { title: 'x' });
    await marks.remove(id);
    expect(heard).toBe(3);
    subscription[Symbol.dispose]();
    await marks.create('cam', { kind: 'pin', from: T0, to: T0 + 1 }, null);
    expect(heard).toBe(3);
  });

  test('a thousand marks may begin in one millisecond, not more', async () => {
    const marks = new MarkService(h.db, h.clock);
    const { id } = await marks.create('cam', { kind: 'link', from: T0, to: T0 + 1 }, null);
    await h.db.updateTable('marks').set({ seq: T0 * 1024 + 1023 }).where('id', '=', id).execute();
    await expect(marks.create('cam', { kind: 'link', from: T0, to: T0 + 1 }, null)).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    await expect(marks.create('cam', { kind: 'link', from: T0 + 1, to: T0 + 2 }, null)).resolves.toMatchObject({ seq: (T0 + 1) * 1024 });
  });
});
