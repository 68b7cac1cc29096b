import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';

interface Item { readonly id: string; readonly camera: string | null; readonly code: string; readonly raised: boolean }

describe('alarms', () => {
  let h: Harness;
  let token: string;
  beforeAll(async () => {
    h = await startApi();
    token = (await h.login()).access_token;
    const row = (i: number) => ({ id: `recording/cam-${String(i)}`, camera_id: `cam-${String(i)}`, code: 'recording_failed', message: `Camera cam-${String(i)} is not being recorded.`, raised: i % 2 === 0 ? 1 : 0, at: 1_000 + i } as const);
    await h.db.insertInto('alarms').values([...Array.from({ length: 6 }, (_, i) => row(i)), { id: 'journal-full', camera_id: null, code: 'journal_full', message: 'm', raised: 1, at: 1_004 }]).execute();
  });
  afterAll(async () => { await h[Symbol.asyncDispose](); });
  const list = async (query = ''): Promise<{ items: Item[]; next_cursor: string | null }> => (await h.call<{ items: Item[]; next_cursor: string | null }>('GET', `/v1/alarms${query}`, { token })).body;

  test('those that are raised come newest first, page by page, without a loss among equal times', async () => {
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: Awaited<ReturnType<typeof list>> = await list(`?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.next_cursor;
    }
    expect(seen).toEqual(['recording/cam-4', 'journal-full', 'recording/cam-2', 'recording/cam-0']);
  });

  test('of one camera, those that are over, and all', async () => {
    expect((await list('?camera=cam-2')).items).toEqual([{ id: 'recording/cam-2', camera: 'cam-2', code: 'recording_failed', message: 'Camera cam-2 is not being recorded.', raised: true, at: '1970-01-01T00:00:01.002Z' }]);
    expect((await list('?raised=false')).items.map(({ id }) => id)).toEqual(['recording/cam-5', 'recording/cam-3', 'recording/cam-1']);
    expect((await list('?raised=any')).items).toHaveLength(7);
  });

  test('one is cleared by who manages cameras, once; the metric follows', async () => {
    await h.call('POST', '/v1/users', { token, json: { username: 'looker', password: 'looker-password', role: 'viewer' } });
    const viewer = (await h.login('looker', 'looker-password')).access_token;
    const path = `/v1/alarms/${encodeURIComponent('recording/cam-4')}`;
    expect((await h.call('DELETE', path, { token: viewer })).status).toBe(403);
    expect((await h.call('GET', '/v1/alarms', { token: viewer })).status).toBe(200);
    expect((await h.call('DELETE', path, { token })).status).toBe(204);
    const again = await h.call('DELETE', path, { token });
    expect([again.status, again.body['code']]).toEqual([404, 'ALARM_NOT_FOUND']);
    expect((await list()).items.map(({ id }) => id)).not.toContain('recording/cam-4');
    const values = (await h.metrics.alarms.get()).values;
    expect(values.map(({ labels, value }) => [labels['code'], value]).sort()).toEqual([['journal_full', 1], ['recording_failed', 2]]);
  });

  test('without a token there is nothing to see', async () => {
    expect((await h.call('GET', '/v1/alarms')).status).toBe(401);
  });
});
