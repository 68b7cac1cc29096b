import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import { silentLogger } from '../platform/logging.ts';
import { freshDatabase } from '../platform/testing/fresh-database.ts';
import { AuditService } from './audit/service.ts';
import { KEEP, RetentionSweep, SWEEP_ROWS, deleting } from './retention.ts';
import { startApi } from './testing/harness.ts';
import type { Harness } from './testing/harness.ts';

const DAY = 24 * 3_600_000;
const settle = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve); });

describe('old rows', () => {
  let h: Harness;
  let now: number;
  beforeEach(async () => { h = await startApi(); now = h.clock.now(); });
  afterEach(async () => { await h[Symbol.asyncDispose](); });

  const segment = (id: string, session: string, expiredAt: number | null) => ({
    id, camera_id: 'cam', session_id: session, epoch: 1, start_ms: 1, end_ms: 2, bytes: 3, sha256: null, open: 0 as const, tracks: '[]', gap_before: null, expired_at: expiredAt,
  });
  const session = (id: string, endedAt: number | null) => ({ id, camera_id: 'cam', phase: endedAt === null ? ('live' as const) : ('ended' as const), protocol: 'rtsp', started_at: 1, ended_at: endedAt, reason: null, epoch: null });
  const alarm = (id: string, code: string, raised: 0 | 1, at: number) => ({ id, camera_id: null, code, message: 'm', raised, at });
  const ids = async (table: 'segments' | 'sessions' | 'alarms'): Promise<string[]> => (await h.db.selectFrom(table).select('id').orderBy('id').execute()).map(({ id }) => id);
  /** A whole sweep, which is over when nothing but the next one, an hour away, is waited for. */
  const sweep = async (): Promise<void> => {
    h.clock.advance(60_000);
    await vi.waitFor(() => {
      h.clock.advance(50);
      expect(Math.max(...h.clock.waiting)).toBeGreaterThan(3_500_000);
    }, { timeout: 20_000, interval: 1 });
  };

  test('segments given up a week ago go, with the sessions of which nothing is left; what is listed stays, however old', async () => {
    const many = Array.from({ length: 2 * SWEEP_ROWS + 5 }, (_, i) => segment(`old-${String(i)}`, 'gone', now - 7 * DAY - 1));
    for (let i = 0; i < many.length; i += 500) await h.db.insertInto('segments').values(many.slice(i, i + 500)).execute();
    await h.db.insertInto('segments').values([segment('fresh', 'gone-lately', now - 6 * DAY), segment('listed', 'kept', null)]).execute();
    await h.db.insertInto('sessions').values([session('gone', now - 31 * DAY), session('gone-lately', now - 31 * DAY), session('kept', now - 300 * DAY), session('recent', now - 29 * DAY), session('on', null)]).execute();
    await sweep();
    expect(await ids('segments')).toEqual(['fresh', 'listed']);
    expect(await ids('sessions')).toEqual(['kept', 'on', 'recent']);
  });

  test('more sessions than a step looks at are all looked at, though the first ones stay', async () => {
    const kept = Array.from({ length: SWEEP_ROWS }, (_, i) => `kept-${String(i)}`);
    for (let i = 0; i < kept.length; i += 500) {
      await h.db.insertInto('sessions').values(kept.slice(i, i + 500).map((id) => session(id, now - 40 * DAY))).execute();
      await h.db.insertInto('segments').values(kept.slice(i, i + 500).map((id) => segment(id, id, null))).execute();
    }
    await h.db.insertInto('sessions').values([session('x-gone', now - 40 * DAY), session('gone', now - 39 * DAY)]).execute();
    await sweep();
    expect(await ids('sessions')).toEqual([...kept].sort());
  });

  test('alarms go a month after they were cleared, those of what happened after three, and beyond the newest thousand', async () => {
    await h.db.insertInto('alarms').values([
      alarm('cleared', 'recording_failed', 0, now - 31 * DAY), alarm('cleared-lately', 'recording_failed', 0, now - 29 * DAY), alarm('raised', 'recording_failed', 1, now - 300 * DAY),
      alarm('gap-j-1', 'journal_full', 1, now - 91 * DAY), alarm('refused-j-1', 'event_refused', 1, now - 91 * DAY), alarm('refused-j-2', 'event_refused', 1, now - 89 * DAY),
    ]).execute();
    await sweep();
    expect(await ids('alarms')).toEqual(['cleared-lately', 'raised', 'refused-j-2']);
    const flood = Array.from({ length: KEEP.pastAlarms + 700 }, (_, i) => alarm(`gap-k-${String(i).padStart(4, '0')}`, 'journal_full', 1, now + Math.floor(i / 10)));
    for (let i = 0; i < flood.length; i += 500) await h.db.insertInto('alarms').values(flood.slice(i, i + 500)).execute();
    h.clock.advance(3_600_000);
    await sweep();
    expect((await ids('alarms')).filter((id) => id !== 'cleared-lately' && id !== 'raised')).toEqual(flood.slice(-KEEP.pastAlarms).map(({ id }) => id));
  });

  test('an alarm that an operator clears is kept a month from then on', async () => {
    const { access_token: token } = await h.login();
    await h.db.insertInto('alarms').values(alarm('a', 'recording_damaged', 1, now - 300 * DAY)).execute();
    expect((await h.call('DELETE', '/v1/alarms/a', { token })).status).toBe(204);
    await sweep();
    expect(await ids('alarms')).toEqual(['a']);
    // Only the date moves on: a month of every timer of the API would be millions of calls.
    h.clock.step(31 * DAY);
    h.clock.advance(3_600_000);
    await sweep();
    expect(await ids('alarms')).toEqual([]);
  });

  test('audit entries go after three months', async () => {
    const entry = (action: string, at: number) => ({ at, principal: null, action, target: null, result: 'ok', detail: null });
    await h.db.insertInto('audit').values([entry('old', now - 91 * DAY), entry('new', now - 89 * DAY)]).execute();
    await sweep();
    expect((await h.db.selectFrom('audit').select('action').execute()).map(({ action }) => action)).toEqual(['new']);
  });
});

test('a flood of denials from anybody pushes out older denials at once, but nothing that was done', async () => {
  const db = await freshDatabase();
  const clock = new FakeClock();
  await using audit = new AuditService(db, clock, silentLogger(), 2_000);
  audit.record({ principal: 'admin', action: 'user:create', target: 'u' });
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 2_500; i++) audit.denied({ principal: null, address: '192.0.2.1', action: 'auth:login', target: `guess-${String(round)}-${String(i)}`, reason: 'LOGIN_FAILED' });
    await audit.flush();
  }
  const rows = await db.selectFrom('audit').select(['action', 'target']).orderBy('id').execute();
  expect([rows.length, rows[0], rows.at(-1)?.target]).toEqual([2_000, { action: 'user:create', target: 'u' }, 'guess-2-2499']);
  await audit[Symbol.asyncDispose]();
  await db.destroy();
});

test('a task that fails does not keep the others from running, and months cost a fake clock one sweep', async () => {
  const clock = new FakeClock();
  const steps: string[] = [];
  using sweep = new RetentionSweep({
    clock, logger: silentLogger(),
    tasks: [
      deleting('broken', () => Promise.reject(new Error('no'))),
      deleting('two steps', (_now, limit) => { steps.push('a'); return Promise.resolve(steps.filter((step) => step === 'a').length === 1 ? limit : 3); }),
      { name: 'last', step: () => { steps.push('b'); return Promise.resolve(undefined); } },
    ],
  });
  sweep.start();
  clock.advance(59_000);
  expect(steps).toEqual([]);
  for (let i = 0; i < 20; i++) { clock.advance(1_000); await settle(); }
  expect(steps).toEqual(['a', 'a', 'b']);
  clock.advance(90 * DAY);
  for (let i = 0; i < 20; i++) { clock.advance(1_000); await settle(); }
  expect(steps).toEqual(['a', 'a', 'b', 'a', 'b']);
});
