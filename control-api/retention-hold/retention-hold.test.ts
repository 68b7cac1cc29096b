import { expect, test } from 'vitest';
import { startApi } from '../testing/harness.ts';

test('[REC-3] what retention holds back is told, confirmed by name, and reaches the edge', async () => {
  await using h = await startApi();
  const { access_token: token } = await h.login();
  expect((await h.call('GET', '/v1/retention', { token })).body).toEqual({ held: null });
  const since = Date.parse('2026-11-28T12:00:00.000Z');
  await h.db.insertInto('alarms').values({ id: 'recording/retention', camera_id: null, code: 'recording_retention_held', message: 'More than half', raised: 1, at: since }).execute();
  expect((await h.call('GET', '/v1/retention', { token })).body).toEqual({ held: { since: '2026-11-28T12:00:00.000Z', message: 'More than half' } });

  expect(h.api.desiredState.current()).not.toHaveProperty('confirmedHold');
  expect(await h.call('POST', '/v1/retention/confirm', { token, json: { since: '2026-11-28T11:00:00.000Z' } })).toMatchObject({ status: 409, body: { code: 'NOTHING_HELD' } });
  expect((await h.call('POST', '/v1/retention/confirm', { token, json: { since: '2026-11-28T12:00:00.000Z' } })).status).toBe(204);
  expect(h.api.desiredState.current().confirmedHold).toBe(since);
});

test('[REC-3] a viewer sees a hold, but does not confirm it', async () => {
  await using h = await startApi();
  const { access_token: admin } = await h.login();
  await h.call('POST', '/v1/users', { token: admin, json: { username: 'vera', password: 'a long password', role: 'viewer' } });
  const { access_token: token } = await h.login('vera', 'a long password');
  expect((await h.call('GET', '/v1/retention', { token })).status).toBe(200);
  expect((await h.call('POST', '/v1/retention/confirm', { token, json: { since: '2026-11-28T12:00:00.000Z' } })).status).toBe(403);
});
