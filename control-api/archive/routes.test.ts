import { expect, test } from 'vitest';
import { startApi } from '../testing/harness.ts';

test('[REC-8] GET /v1/archive tells those who manage recordings what waits, and nobody else', async () => {
  await using h = await startApi();
  const { access_token: token } = await h.login();
  await h.db.insertInto('marks').values({ id: 'm', seq: 1, camera_id: 'cam', from_ms: 1_750_000_000_000, to_ms: 1_750_000_020_000, kind: 'link', archive: 1, created_at: 1 }).execute();
  await h.db.insertInto('segments').values({ id: 'cam/1750000000000-session1-0', camera_id: 'cam', session_id: 's', epoch: 1, start_ms: 1_750_000_000_000, end_ms: 1_750_000_010_000, bytes: 7, sha256: 'ab', open: 0, tracks: '[]', gap_before: null }).execute();
  const answer = await h.call('GET', '/v1/archive', { token });
  expect(answer.status).toBe(200);
  expect(answer.body).toMatchObject({ place: `file:${h.directory}/archive`, unavailable_since: null, waiting: { segments: 1, bytes: 7, oldest: '2025-06-15T15:06:40.000Z' }, last_archived_at: null });
  await h.call('POST', '/v1/users', { token, json: { username: 'vera', password: 'correct horse', role: 'viewer' } });
  const { access_token: viewer } = await h.login('vera');
  expect((await h.call('GET', '/v1/archive', { token: viewer })).status).toBe(403);
  expect((await h.call('GET', '/v1/archive')).status).toBe(401);
});
