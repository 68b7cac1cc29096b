import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';
import { MAX_COUNTED, MAX_SIGHTINGS } from './timeline-reader.ts';

interface Seen { readonly class_name: string; readonly source: string; readonly model: string | null; readonly count: number; readonly max_confidence: number; readonly counts: readonly number[]; readonly at_once: readonly number[] }
interface Answer { readonly buckets: number; readonly bucket_seconds: number; readonly exact: boolean; readonly seen: readonly Seen[]; readonly left_out: number; readonly errors?: unknown; readonly validation_errors?: readonly { readonly field: string; readonly message: string }[]; readonly code?: string }

const NOON = Date.parse('2026-11-28T12:00:00.000Z');
const HOUR = 3_600_000;
const iso = (at: number): string => new Date(at).toISOString();
const detection = (at: number, more: Readonly<Record<string, unknown>> = {}) => ({
  camera_id: 'cell', stream_epoch: 1, rtp_timestamp: 0, captured_at_ms: at, sequence: 0, class_name: 'scratch', class_id: 0, confidence: 0.5, x: 1, y: 2, width: 3, height: 4, track_id: null, model: 'm', model_digest: 'd', analysis_id: null, ...more,
});
const sighting = (first: number, last: number, more: Readonly<Record<string, unknown>> = {}) => ({ camera_id: 'cell', class_name: 'scratch', first_ms: first, last_ms: last, count: 100, at_once: 2, max_confidence: 0.8, analysed_by: '', ...more });

describe('time line of detections', () => {
  let h: Harness;
  let token: string;
  beforeAll(async () => {
    h = await startApi();
    token = (await h.login()).access_token;
  });
  afterAll(() => h[Symbol.asyncDispose]());
  const ask = (query: string, headers: Record<string, string> = {}) => h.call<Answer>('GET', `/v1/detections/timeline?${query}`, { token, headers });
  const hour = (camera: string, more = '') => ask(`camera=${camera}&from=${iso(NOON)}&to=${iso(NOON + HOUR)}&buckets=6${more}`);

  test('[REC-6] few detections are counted picture by picture, live and each model of analyses apart, of one camera, within the time', async () => {
    const found = { analysis_id: 'a-1', model: 'fine' };
    await h.db.insertInto('detections').values([
      detection(NOON - 1), detection(NOON, { confidence: 0.9 }), detection(NOON), detection(NOON + 1), detection(NOON + HOUR - 1), detection(NOON + HOUR), detection(NOON + 5, { camera_id: 'other' }),
      detection(NOON + HOUR / 2, { class_name: 'dent' }),
      // Two models look at the same picture: not twice as many objects at once.
      detection(NOON + HOUR / 2, { class_name: 'dent', model: 'second' }),
      detection(NOON, found), detection(NOON + 1, { ...found, model: 'coarse' }),
    ]).execute();
    expect(await hour('cell')).toMatchObject({ status: 200, body: {
      camera: 'cell', from: iso(NOON), to: iso(NOON + HOUR), buckets: 6, bucket_seconds: 600, exact: true, left_out: 0,
      seen: [
        { class_name: 'scratch', source: 'live', model: null, count: 4, max_confidence: 0.9, counts: [3, 0, 0, 0, 0, 1], at_once: [2, 0, 0, 0, 0, 1] },
        { class_name: 'dent', source: 'live', model: null, count: 2, max_confidence: 0.5, counts: [0, 0, 0, 2, 0, 0], at_once: [0, 0, 0, 1, 0, 0] },
        { class_name: 'scratch', source: 'analysis', model: 'coarse', count: 1, counts: [1, 0, 0, 0, 0, 0] },
        { class_name: 'scratch', source: 'analysis', model: 'fine', count: 1, counts: [1, 0, 0, 0, 0, 0] },
      ],
    } });
    expect((await hour('cell', '&class=dent')).body.seen.map(({ class_name: name }) => name)).toEqual(['dent']);
    expect((await hour('cell', '&class_name=dent')).body.seen).toHaveLength(1);
    expect((await hour('nothing-here')).body).toMatchObject({ exact: false, seen: [], left_out: 0 });
  });

  test('[REC-6] of many detections the sightings that sum them up are asked, all of them however many reads that takes, and those that began before', async () => {
    const many = Array.from({ length: MAX_COUNTED + 1 }, (_, i) => detection(NOON + i, { camera_id: 'busy' }));
    for (let i = 0; i < many.length; i += 1_000) await h.db.insertInto('detections').values(many.slice(i, i + 1_000)).execute();
    // As many classes at the same moment as do not fit into one read, so that a read ends among equals.
    const equal = Array.from({ length: 6_000 }, (_, i) => sighting(NOON + 3 * HOUR / 6, NOON + 3 * HOUR / 6, { camera_id: 'busy', class_name: i < 3_000 ? 'dent' : 'scratch', analysed_by: `m${String(i)}`, count: 1, at_once: 1 }));
    for (let i = 0; i < equal.length; i += 1_000) await h.db.insertInto('sightings').values(equal.slice(i, i + 1_000)).execute();
    await h.db.insertInto('sightings').values([sighting(NOON - 300_000, NOON + 300_000, { camera_id: 'busy' }), sighting(NOON - 600_001, NOON - 1, { camera_id: 'busy', count: 7 }), sighting(NOON + HOUR, NOON + HOUR, { camera_id: 'busy', count: 9 })]).execute();
    const { body } = await hour('busy');
    expect(body.exact).toBe(false);
    expect(body.seen[0]).toMatchObject({ class_name: 'scratch', source: 'live', count: 50, max_confidence: 0.8, counts: [50, 0, 0, 0, 0, 0], at_once: [2, 0, 0, 0, 0, 0] });
    expect([body.seen.length, body.seen.length + body.left_out]).toEqual([64, 6_001]);
    expect((await hour('busy', '&class=dent')).body.left_out).toBe(3_000 - 64);
  });

  test('[REC-6] what was detected lately is in it, also where the detections themselves have gone and only the sightings are left', async () => {
    await h.db.insertInto('sightings').values(sighting(NOON, NOON + 1000, { camera_id: 'old' })).execute();
    expect((await hour('old')).body).toMatchObject({ exact: false, seen: [{ count: 100, at_once: [2, 0, 0, 0, 0, 0] }] });
  });

  test('[REC-6] asked again it is the same, and not sent to who has it', async () => {
    const first = await hour('cell');
    const etag = first.headers.get('etag') ?? '';
    const query = `camera=cell&from=${iso(NOON)}&to=${iso(NOON + HOUR)}&buckets=6`;
    expect((await ask(query, { 'if-none-match': etag })).status).toBe(304);
    await h.db.insertInto('detections').values(detection(NOON + 2)).execute();
    const changed = await ask(query, { 'if-none-match': etag });
    expect([changed.status, changed.headers.get('etag') === etag]).toEqual([200, false]);
  });

  test('[REC-6] a question that makes no sense is answered with what is wrong with it', async () => {
    const range = `from=${iso(NOON)}&to=${iso(NOON + HOUR)}`;
    const wrong = async (query: string) => {
      const { status, body } = await ask(query);
      return [status, body.validation_errors?.map(({ field, message }) => `${field}: ${message}`).join('; ')];
    };
    expect(await wrong(range)).toEqual([400, expect.stringMatching(/^camera: /)]);
    expect(await wrong(`camera=cell&from=${iso(NOON)}`)).toEqual([400, expect.stringMatching(/^to: /)]);
    expect(await wrong(`camera=cell&from=${iso(NOON)}&to=${iso(NOON)}`)).toEqual([400, 'to: must be after from']);
    expect(await wrong(`camera=cell&from=${iso(NOON)}&to=${iso(NOON + 31 * 24 * HOUR + 1)}`)).toEqual([400, 'to: must be at most 31 days after from']);
    for (const buckets of ['0', '501', '1.5', 'many']) expect(await wrong(`camera=cell&${range}&buckets=${buckets}`), buckets).toEqual([400, expect.stringMatching(/^buckets: /)]);
    expect(await wrong(`camera=cell&${range}&class=a&class_name=b`)).toEqual([400, 'class_name: differs from class']);
    expect((await ask(`camera=cell&from=${iso(NOON)}&to=${iso(NOON + 31 * 24 * HOUR)}`)).body.buckets).toBe(200);
    expect((await h.call('GET', `/v1/detections/timeline?camera=cell&${range}`)).status).toBe(401);
  });
});

test('[REC-6] more sightings than are read are refused in words, and those of one class are not', async () => {
  await using h = await startApi();
  const { access_token: token } = await h.login();
  await sql`insert into sightings (camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence)
    with recursive n (i) as (select 0 union all select i + 1 from n where i < ${sql.lit(MAX_SIGHTINGS - 1)})
    select 'cell', case i % 2 when 0 then 'scratch' else 'dent' end, ${sql.lit(NOON)} + i, ${sql.lit(NOON)} + i, 100, 2, 0.8 from n`.execute(h.db);
  const ask = (more: string) => h.call<Answer>('GET', `/v1/detections/timeline?camera=cell&from=${iso(NOON)}&to=${iso(NOON + HOUR)}${more}`, { token });
  expect(await ask('')).toMatchObject({ status: 422, body: { code: 'TOO_MANY_SIGHTINGS' } });
  expect((await ask('&class=dent')).body.seen).toMatchObject([{ class_name: 'dent', count: 100 * (MAX_SIGHTINGS / 2) }]);
});
