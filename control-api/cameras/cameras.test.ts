import { createHash, hash } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';
import { rawGet } from '../testing/raw-http.ts';

interface CameraBody { id: string; name: string; publish_key: string; urls: Record<string, string>; direct_urls: Record<string, string> | null; phase: string; session: { phase: string } | null; pipelines: unknown; recording: { policy: string }; stats?: Record<string, unknown> | null }

describe('cameras', () => {
  let h: Harness;
  let token: string;
  beforeAll(async () => { h = await startApi(); token = (await h.login()).access_token; });
  afterAll(async () => { await h[Symbol.asyncDispose](); });
  const post = (json: unknown) => h.call<CameraBody>('POST', '/v1/cameras', { token, json });

  test('a new camera has the defaults, the key and the URLs of the contract', async () => {
    const { status, body, headers } = await post({ id: 'line-1', name: 'Line 1' });
    const host = h.base.slice('http://'.length);
    expect(status).toBe(201);
    expect(headers.get('location')).toBe('/v1/cameras/line-1');
    expect(body).toMatchObject({
      id: 'line-1', name: 'Line 1', source: { type: 'push' }, pipelines: ['detect'], recording: { policy: 'always' }, phase: 'idle', session: null,
      urls: {
        whip: `http://${host}/whip/line-1`, whep: `http://${host}/whep/line-1`, hls: `http://${host}/hls/line-1/index.m3u8`, rtsp: 'rtsp://127.0.0.1:8554/line-1',
        websocket: `ws://${host}/v1/cameras/line-1/detections/live`, page: `http://${host}/cameras/line-1`,
      },
      direct_urls: { whip: 'http://127.0.0.1:8081/whip/line-1' },
    });
    const state = h.api.desiredState.current();
    expect(state.cameras.find((camera) => camera.id === 'line-1')).toMatchObject({
      name: 'Line 1', source: { type: 'push' }, recording: 'always', detectors: [{ id: 'detect', model: 'nanodet-g-416.int8.u8', fps: 15, confidence: null }],
    });
    const ha1 = createHash('md5').update(`line-1:imageflow:${body.publish_key}`).digest('hex');
    expect(state.keys.filter((key) => key.camera === 'line-1')).toMatchObject([{ grants: 'publish', hash: hash('sha256', body.publish_key, 'hex'), ha1 }]);
    expect(JSON.stringify((await h.call('GET', '/v1/cameras/line-1', { token })).body)).not.toContain(body.publish_key);
  });

  test('an id that is taken is 409', async () => {
    expect((await post({ id: 'taken' })).status).toBe(201);
    expect(await post({ id: 'taken' })).toMatchObject({ status: 409, body: { code: 'CAMERA_EXISTS' } });
  });

  test('what comes later, and what does not exist, is 422 and says so', async () => {
    for (const [change, code] of [
      [{ source: { type: 'rtsp', url: 'rtsp://camera/1' } }, 'SOURCE_NOT_SUPPORTED'], [{ source: { type: 'whep', url: 'http://x' } }, 'SOURCE_NOT_SUPPORTED'],
      [{ pipelines: ['no-such'] }, 'UNKNOWN_PIPELINE'],
      [{ pipelines: ['detect', { id: 'detect', fps: 5 }] }, 'DUPLICATE_PIPELINE'], [{ source: { type: 'file' } }, 'SOURCE_URL_MISSING'],
    ] as const) {
      expect(await post({ id: 'later', ...change }), JSON.stringify(change)).toMatchObject({ status: 422, body: { code } });
    }
    expect((await h.call('GET', '/v1/cameras/later', { token })).status).toBe(404);
  });

  test('[EXT-4] what the way from a camera carries is kept, shown and sent to the edge until it is null or PUT without it', async () => {
    const sent = (): number | undefined => h.api.desiredState.current().cameras.find(({ id }) => id === 'far')?.bandwidthHint;
    const shown = async (): Promise<unknown> => (await h.call<{ bandwidth_hint: unknown }>('GET', '/v1/cameras/far', { token })).body.bandwidth_hint;
    const set = (method: 'PATCH' | 'PUT', json: object) => h.call(method, '/v1/cameras/far', { token, json });
    expect((await post({ id: 'far', bandwidth_hint: 2_000_000 })).body).toMatchObject({ bandwidth_hint: 2_000_000 });
    expect([await shown(), sent()]).toEqual([2_000_000, 2_000_000]);
    await set('PATCH', { name: 'Far' });
    await h.call('PUT', '/v1/cameras/far/qos', { token, json: { priority: 2 } });
    expect([await shown(), sent()]).toEqual([2_000_000, 2_000_000]);
    await set('PATCH', { bandwidth_hint: null });
    expect([await shown(), sent()]).toEqual([null, undefined]);
    await set('PATCH', { bandwidth_hint: 500_000 });
    expect(sent()).toBe(500_000);
    await set('PUT', { name: 'Far' });
    expect([await shown(), sent()]).toEqual([null, undefined]);
    for (const wrong of [99_999, 1e9 + 1, 500_000.5, '500000']) expect((await set('PATCH', { bandwidth_hint: wrong })).status, String(wrong)).toBe(400);
  });

  test('[PRO-2] which codes are read is kept with its defaults, shown and sent to the edge until it is null or PUT without it', async () => {
    const sent = (): unknown => h.api.desiredState.current().cameras.find(({ id }) => id === 'codes')?.codes;
    const shown = async (): Promise<unknown> => (await h.call<{ codes: unknown }>('GET', '/v1/cameras/codes', { token })).body.codes;
    const set = (method: 'PATCH' | 'PUT', json: object) => h.call(method, '/v1/cameras/codes', { token, json });
    expect((await post({ id: 'codes' })).body).toMatchObject({ codes: null });
    expect(sent()).toBeUndefined();
    await set('PATCH', { codes: {} });
    expect([await shown(), sent()]).toEqual([{ fps: 2, formats: ['qr'], repeat_seconds: 10 }, { fps: 2, formats: ['qr'], repeatMs: 10_000 }]);
    const codes = { fps: 0.2, formats: ['data_matrix', 'code_128'], repeat_seconds: 2.5 };
    await set('PATCH', { codes });
    await set('PATCH', { name: 'Codes' });
    await h.call('PUT', '/v1/cameras/codes/qos', { token, json: { priority: 2 } });
    expect([await shown(), sent()]).toEqual([codes, { fps: 0.2, formats: ['data_matrix', 'code_128'], repeatMs: 2_500 }]);
    await set('PATCH', { codes: null });
    expect([await shown(), sent()]).toEqual([null, undefined]);
    expect((await set('PUT', { codes: { formats: ['qr'] } })).status).toBe(200);
    expect(sent()).toMatchObject({ formats: ['qr'] });
    await set('PUT', { name: 'Codes' });
    expect([await shown(), sent()]).toEqual([null, undefined]);
    for (const [wrong, field] of [
      [{ fps: 0.1 }, 'codes.fps'], [{ fps: 11 }, 'codes.fps'], [{ formats: [] }, 'codes.formats'], [{ formats: ['qr', 'qr'] }, 'codes.formats'], [{ formats: ['swiss_cross'] }, 'codes.formats.0'],
      [{ repeat_seconds: 0 }, 'codes.repeat_seconds'], [{ rate: 2 }, 'codes.rate'], ['qr', 'codes'],
    ] as const) {
      const { status, body } = await set('PATCH', { codes: wrong }) as { readonly status: number; readonly body: { readonly validation_errors?: readonly { readonly field: string }[] } };
      expect([status, body.validation_errors?.map((error) => error.field)], JSON.stringify(wrong)).toEqual([400, [field]]);
    }
    // Of another version, or by another hand: one row must not take the list away.
    await h.db.updateTable('cameras').set({ extra: JSON.stringify({ codes: { fps: 100 } }) }).where('id', '=', 'codes').execute();
    expect([(await h.call('GET', '/v1/cameras/codes', { token })).status, await shown()]).toEqual([200, null]);
  });

  test('[EXT-2] the preset of the configuration holds for cameras that have none of their own', async () => {
    await using low = await startApi({ config: { inference: { qos: 'low' } } });
    const { access_token: admin } = await low.login();
    for (const [id, qos] of [['as-all', 'auto'], ['own', 'high']]) await low.call('POST', '/v1/cameras', { token: admin, json: { id, qos } });
    expect(low.api.desiredState.current().cameras.map(({ id, qos }) => [id, qos])).toEqual([['as-all', 'low'], ['own', 'high']]);
    expect((await low.call('GET', '/v1/cameras/as-all', { token: admin })).body).toMatchObject({ qos: 'auto' });
  });

  test('[EXT-2][EXT-4] qos and priority are kept, shown and sent to the edge; PUT without them sets the defaults again', async () => {
    expect((await post({ id: 'rates', qos: 'low', priority: 9 })).body).toMatchObject({ qos: 'low', priority: 9 });
    expect(h.api.desiredState.current().cameras.find(({ id }) => id === 'rates')).toMatchObject({ qos: 'low', priority: 9 });
    await h.call('PATCH', '/v1/cameras/rates', { token, json: { qos: 'auto' } });
    expect((await h.call('GET', '/v1/cameras/rates', { token })).body).toMatchObject({ qos: 'auto', priority: 9 });
    expect(h.api.desiredState.current().cameras.find(({ id }) => id === 'rates')).not.toHaveProperty('qos');
    await h.call('PATCH', '/v1/cameras/rates', { token, json: { name: 'Rates' } });
    expect((await h.call('GET', '/v1/cameras/rates', { token })).body).toMatchObject({ name: 'Rates', qos: 'auto', priority: 9 });
    await h.call('PUT', '/v1/cameras/rates', { token, json: { name: 'Rates' } });
    expect((await h.call('GET', '/v1/cameras/rates', { token })).body).toMatchObject({ qos: 'auto', priority: 5 });
    // Of another version, or by another hand: one row must not take the list away.
    await h.db.updateTable('cameras').set({ extra: JSON.stringify({ bandwidth_hint: 5, qos: 'highest', priority: 1000 }) }).where('id', '=', 'rates').execute();
    expect((await h.call('GET', '/v1/cameras/rates', { token })).body).toMatchObject({ qos: 'auto', priority: 5 });
    for (const wrong of [{ qos: 'highest' }, { qos: { fps: 30 } }, { qos: null }, { priority: 0 }, { priority: 11 }, { priority: 2.5 }]) {
      expect((await h.call('PATCH', '/v1/cameras/rates', { token, json: wrong })).status, JSON.stringify(wrong)).toBe(400);
      expect((await h.call('PUT', '/v1/cameras/rates/qos', { token, json: wrong })).status, JSON.stringify(wrong)).toBe(400);
    }
    expect(await h.call('PUT', '/v1/cameras/rates/qos', { token, json: { qos: 'medium', priority: 2 } })).toMatchObject({ status: 200, body: { qos: 'medium', priority: 2, now: null } });
    expect(await h.call('GET', '/v1/cameras/rates/qos', { token })).toMatchObject({ status: 200, body: { qos: 'medium', priority: 2, now: null } });
    expect(await h.call('PUT', '/v1/cameras/rates/qos', { token, json: {} })).toMatchObject({ status: 200, body: { qos: 'auto', priority: 5 } });
    expect((await h.call('PUT', '/v1/cameras/no-such/qos', { token, json: {} })).status).toBe(404);
    expect((await h.call('GET', '/v1/cameras/no-such/qos', { token })).status).toBe(404);
  });

  test('a file source is a file below sources.file_dir, by no trick another', async () => {
    const clips = h.config.sources.file_dir;
    mkdirSync(join(clips, 'sub'), { recursive: true });
    writeFileSync(join(clips, 'sub', 'a.mp4'), 'x');
    writeFileSync(join(h.directory, 'secret.mp4'), 'x');
    symlinkSync(join(h.directory, 'secret.mp4'), join(clips, 'link.mp4'));
    for (const url of ['../secret.mp4', join(h.directory, 'secret.mp4'), 'link.mp4', 'sub', 'missing.mp4', `file://${h.directory}/secret.mp4`, 'file://%00', 'sub/../../secret.mp4', '\0']) {
      expect(await post({ id: 'file', source: { type: 'file', url } }), url).toMatchObject({ status: 422, body: { code: 'SOURCE_FILE_REFUSED' } });
    }
    expect((await post({ id: 'file', source: { type: 'file', url: 'sub/a.mp4' } })).status).toBe(201);
    expect(h.api.desiredState.current().cameras.find((camera) => camera.id === 'file')?.source).toEqual({ type: 'file', url: 'sub/a.mp4' });
  });

  test('[INF-6] a pipeline may do without tracking, and says so', async () => {
    const pipelines = [{ id: 'detect', tracking: false }, { id: 'inspect-320', tracking: true }];
    expect(await post({ id: 'untracked', pipelines })).toMatchObject({ status: 201, body: { pipelines } });
    expect(h.api.desiredState.current().cameras.find(({ id }) => id === 'untracked')?.detectors.map(({ id, tracking }) => ({ id, tracking }))).toEqual([{ id: 'detect', tracking: false }, { id: 'inspect-320', tracking: undefined }]);
  });

  test('PATCH changes what it names, PUT all, and the desired state follows before the answer', async () => {
    await post({ id: 'change', name: 'Before' });
    const patched = await h.call<CameraBody>('PATCH', '/v1/cameras/change', { token, json: { pipelines: ['inspect-320', { id: 'detect', fps: 5, confidence: 0.6 }], recording: { policy: 'off' } } });
    expect(patched).toMatchObject({ status: 200, body: { name: 'Before', recording: { policy: 'off' } } });
    expect(h.api.desiredState.current().cameras.find((camera) => camera.id === 'change')).toMatchObject({
      recording: 'off',
      detectors: [{ id: 'inspect-320', model: 'inspect-320', fps: 15, confidence: null }, { id: 'detect', model: 'nanodet-g-416.int8.u8', fps: 5, confidence: 0.6 }],
    });
    const put = await h.call<CameraBody>('PUT', '/v1/cameras/change', { token, json: { name: 'After' } });
    expect(put.body).toMatchObject({ name: 'After', pipelines: ['detect'], recording: { policy: 'always' } });
    expect((await h.call('PUT', '/v1/cameras/change', { token, json: { id: 'other', name: 'x' } })).status).toBe(400);
    expect((await h.call('PATCH', '/v1/cameras/change', { token, json: {} })).status).toBe(400);
    expect((await h.call('PATCH', '/v1/cameras/nobody', { token, json: { name: 'x' } })).status).toBe(404);
  });

  const desired = (id: string) => h.api.desiredState.current().cameras.find((camera) => camera.id === id);

  test('[REC-2] [REC-9] a camera has its own window, bytes and hours; on-event keeps a short window', async () => {
    const recording = { policy: 'always', window_minutes: 1440, max_bytes: 5_000_000_000, hours: { timezone: 'Asia/Tokyo', times: [{ days: ['mon', 'fri'], from: '22:00', to: '06:30' }] } };
    expect(await post({ id: 'window', recording })).toMatchObject({ status: 201, body: { recording } });
    expect(desired('window')).toMatchObject({
      recording: 'always', window: { minutes: 1440, maxBytes: 5_000_000_000 }, hours: { timezone: 'Asia/Tokyo', times: [{ days: [1, 5], from: 22 * 60, to: 6 * 60 + 30 }] },
    });
    await post({ id: 'on-event', recording: { policy: 'on-event', on_event: { detected: [{ class_name: 'scratch' }] } } });
    expect(desired('on-event')).toMatchObject({ recording: 'always', window: { minutes: 5, maxBytes: null } });
    expect((await h.call('GET', '/v1/cameras/on-event', { token })).body).toMatchObject({ recording: { on_event: { pre_seconds: 10, post_seconds: 10, detected: [{ class_name: 'scratch', min_confidence: 0.5 }] } } });
    await post({ id: 'plain' });
    expect(desired('plain')).not.toHaveProperty('window');
    for (const wrong of [
      { policy: 'always', window_minutes: 0 }, { policy: 'always', max_bytes: 5 }, { policy: 'always', hours: { timezone: 'Mars/Olympus', times: [{ from: '06:00', to: '07:00' }] } },
      { policy: 'always', hours: { times: [{ from: '24:00', to: '07:00' }] } }, { policy: 'always', hours: { times: [] } }, { policy: 'sometimes' }, { policy: 'always', switched: 'on' },
    ]) expect((await post({ id: 'wrong', recording: wrong })).status, JSON.stringify(wrong)).toBe(400);
  });

  test('[REC-9] [SD-53] recording is switched by hand, whatever policy and hours say, until recording is set anew', async () => {
    await post({ id: 'switch', recording: { policy: 'off', hours: { times: [{ from: '06:00', to: '07:00' }] } } });
    expect(desired('switch')).toMatchObject({ recording: 'off' });
    expect(await h.call('POST', '/v1/cameras/switch/recording/start', { token })).toMatchObject({ status: 200, body: { policy: 'off', switched: 'on' } });
    expect(desired('switch')).toMatchObject({ recording: 'always' });
    expect(desired('switch')).not.toHaveProperty('hours');
    await h.call('PATCH', '/v1/cameras/switch', { token, json: { name: 'still on' } });
    expect(desired('switch')).toMatchObject({ recording: 'always' });
    expect(await h.call('POST', '/v1/cameras/switch/recording/stop', { token })).toMatchObject({ status: 200, body: { switched: 'off' } });
    expect(desired('switch')).toMatchObject({ recording: 'off' });
    const set = await h.call('PATCH', '/v1/cameras/switch', { token, json: { recording: { policy: 'always' } } });
    expect(set.body['recording']).toEqual({ policy: 'always' });
    expect(desired('switch')).toMatchObject({ recording: 'always' });
    expect((await h.call('POST', '/v1/cameras/nobody/recording/start', { token })).status).toBe(404);
  });

  test('[SD-53] distribution is switched by who manages cameras; it stays as it is whatever else is set, and is written down', async () => {
    await post({ id: 'shown' });
    expect((await h.call('GET', '/v1/cameras/shown', { token })).body).toMatchObject({ distribution: { state: 'on' } });
    expect(desired('shown')).not.toHaveProperty('distribution');
    expect(await h.call('POST', '/v1/cameras/shown/distribution/stop', { token })).toMatchObject({ status: 200, body: { state: 'off' } });
    expect(desired('shown')).toMatchObject({ distribution: 'off', recording: 'always' });
    await h.call('PATCH', '/v1/cameras/shown', { token, json: { recording: { policy: 'off' } } });
    expect((await h.call('PUT', '/v1/cameras/shown', { token, json: { name: 'anew' } })).body).toMatchObject({ name: 'anew', distribution: { state: 'off' } });
    expect(desired('shown')).toMatchObject({ distribution: 'off' });

    await h.call('POST', '/v1/users', { token, json: { username: 'op', password: 'operator-password', role: 'operator' } });
    const operator = (await h.login('op', 'operator-password')).access_token;
    expect((await h.call('POST', '/v1/cameras/shown/distribution/start', { token: operator })).status).toBe(403);
    expect(desired('shown')).toMatchObject({ distribution: 'off' });
    expect(await h.call('POST', '/v1/cameras/shown/distribution/start', { token })).toMatchObject({ status: 200, body: { state: 'on' } });
    expect(desired('shown')).not.toHaveProperty('distribution');
    expect((await h.call('POST', '/v1/cameras/nobody/distribution/stop', { token })).status).toBe(404);
    const audit = (await h.call<{ items: { action: string; target: string }[] }>('GET', '/v1/audit', { token })).body.items.filter(({ target }) => target === 'shown').map(({ action }) => action);
    expect(audit).toEqual(expect.arrayContaining(['distribution:start', 'distribution:stop']));
  });

  test('a removed camera is gone from lists and desired state with its keys, and its id can be used anew', async () => {
    const first = await post({ id: 'gone' });
    expect((await h.call('DELETE', '/v1/cameras/gone', { token })).status).toBe(204);
    expect((await h.call('DELETE', '/v1/cameras/gone', { token })).status).toBe(404);
    const state = h.api.desiredState.current();
    expect(state.cameras.some((camera) => camera.id === 'gone') || state.keys.some((key) => key.camera === 'gone')).toBe(false);
    const second = await post({ id: 'gone' });
    expect(second.status).toBe(201);
    const hashes = h.api.desiredState.current().keys.filter((key) => key.camera === 'gone').map((key) => key.hash);
    expect(hashes).toEqual([hash('sha256', second.body.publish_key, 'hex')]);
    expect(hashes).not.toContain(hash('sha256', first.body.publish_key, 'hex'));
  });

  test('a revoked key leaves the desired state before the answer; lists show no secret', async () => {
    await post({ id: 'keyed' });
    const versions: string[] = [];
    using _listener = h.api.desiredState.onChange((state) => versions.push(state.version));
    const made = await h.call<{ id: string; key: string; kind: string }>('POST', '/v1/cameras/keyed/keys', { token, json: { kind: 'view' } });
    expect(made).toMatchObject({ status: 201, body: { kind: 'view' } });
    const listed = await h.call<{ items: { id: string; kind: string }[] }>('GET', '/v1/cameras/keyed/keys', { token });
    expect(listed.body.items.map((key) => key.kind).sort()).toEqual(['publish', 'view']);
    expect(JSON.stringify(listed.body)).not.toContain(made.body.key);
    expect(h.api.desiredState.current().keys.some((key) => key.id === made.body.id)).toBe(true);
    expect((await h.call('DELETE', `/v1/cameras/keyed/keys/${made.body.id}`, { token })).status).toBe(204);
    expect(h.api.desiredState.current().keys.some((key) => key.id === made.body.id)).toBe(false);
    expect((await h.call('DELETE', `/v1/cameras/keyed/keys/${made.body.id}`, { token })).status).toBe(404);
    expect(new Set(versions).size).toBe(2);
  });

  test('the list is paged, tells sessions, and answers 304 to its own tag', async () => {
    await post({ id: 'a-live' });
    await h.db.insertInto('sessions').values([
      { id: 's1', camera_id: 'a-live', phase: 'ended', protocol: 'rtsp', started_at: 1, ended_at: 2, reason: 'left', epoch: 1 },
      { id: 's2', camera_id: 'a-live', phase: 'live', protocol: 'whip', started_at: 3, ended_at: null, reason: null, epoch: 3 },
    ]).execute();
    h.clock.advance(200);
    const page = await h.call<{ items: CameraBody[]; next_cursor: string | null }>('GET', '/v1/cameras?limit=1', { token });
    expect(page.body.items).toMatchObject([{ id: 'a-live', phase: 'live', session: { phase: 'live', protocol: 'whip' } }]);
    const next = await h.call<{ items: CameraBody[] }>('GET', `/v1/cameras?limit=1&cursor=${page.body.next_cursor ?? ''}`, { token });
    expect(next.body.items[0]?.id).not.toBe('a-live');
    const same = await h.call('GET', '/v1/cameras?limit=1', { token, headers: { 'if-none-match': page.headers.get('etag') ?? '' } });
    expect(same).toMatchObject({ status: 304, body: '' });
    const sessions = await h.call<{ items: { id: string }[] }>('GET', '/v1/cameras/a-live/sessions', { token });
    expect(sessions.body.items.map((session) => session.id)).toEqual(['s2', 's1']);
  });

  test('hostile Host headers do not get into URLs', async () => {
    const text = await rawGet(h.base, '/v1/cameras', { host: 'evil"<script>', authorization: `Bearer ${token}` });
    expect(text).not.toContain('script>');
  });

  test('the desired state notices what another program wrote', async () => {
    const changed = new Promise<void>((resolve) => { h.api.desiredState.onChange(() => { resolve(); }); });
    await h.db.updateTable('cameras').set({ name: 'renamed by hand' }).where('id', '=', 'line-1').execute();
    h.clock.advance(1000);
    await changed;
    expect(h.api.desiredState.current().cameras.find((camera) => camera.id === 'line-1')?.name).toBe('renamed by hand');
  });

  test('[D-12] an unknown camera is created for a token with camera:manage, and for nobody else', async () => {
    const resolveCamera = (credential: string | null, id: string) => h.api.desiredState.resolveCamera(credential, id);
    await h.call('POST', '/v1/users', { token, json: { username: 'olga', password: 'long enough', role: 'operator' } });
    const olga = (await h.login('olga', 'long enough')).access_token;
    for (const credential of [null, 'nonsense', olga]) expect(await resolveCamera(credential, 'appears')).toBeUndefined();
    const both = await Promise.all([resolveCamera(token, 'appears'), resolveCamera(token, 'appears')]);
    expect(both.map((camera) => camera?.id)).toEqual(['appears', 'appears']);
    expect(await resolveCamera(null, 'appears')).toMatchObject({ id: 'appears' });
    expect(await resolveCamera(token, '../x')).toBeUndefined();
  });
});

test('[EXT-2] GET /cameras/{id}/qos tells the rate and the height of what is shown, since when and why, as the edge does', async () => {
  const qos = { preset: 'auto', priority: 5, fps: 4, full_fps: 15, level: 2, models: [{ detector: 'detect', model: 'small', full_model: 'm', light: [{ model: 'small', state: 'ready' }] }], since: '2026-11-29T20:00:00.000Z', cause: 'worker_busy' };
  const shown = { height: 720, full_height: 1080, since: '2026-11-29T20:00:00.000Z', cause: 'cpu_busy' };
  const edge = createServer((_request, response) => { response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ detection: { qos, shown } })); });
  await new Promise<void>((resolve) => edge.listen(0, '127.0.0.1', resolve));
  const edgeUrl = `http://127.0.0.1:${String((edge.address() as AddressInfo).port)}`;
  await using h = await startApi({ edges: { mediaBaseUrl: () => Promise.resolve(edgeUrl) } });
  const token = (await h.login()).access_token;
  await h.call('POST', '/v1/cameras', { token, json: { id: 'cam' } });
  const { preset: _preset, priority: _priority, ...now } = qos;
  expect((await h.call('GET', '/v1/cameras/cam/qos', { token })).body).toEqual({ qos: 'auto', priority: 5, now, shown });
  await new Promise((resolve) => { edge.close(resolve); edge.closeAllConnections(); });
});

test('live figures come from the edge with the caller\'s own token; an edge that is down is 503', async () => {
  const asked: (string | undefined)[] = [];
  const edge = createServer((request, response) => {
    asked.push(request.headers.authorization);
    response.writeHead(request.url === '/v1/edge/cameras/cam/stats' ? 200 : 404, { 'content-type': 'application/json' }).end('{"fps":30}');
  });
  await new Promise<void>((resolve) => edge.listen(0, '127.0.0.1', resolve));
  const edgeUrl = `http://127.0.0.1:${String((edge.address() as AddressInfo).port)}`;
  await using h = await startApi({ edges: { mediaBaseUrl: () => Promise.resolve(edgeUrl) } });
  const token = (await h.login()).access_token;
  await h.call('POST', '/v1/cameras', { token, json: { id: 'cam' } });
  await h.db.insertInto('sessions').values({ id: 's', camera_id: 'cam', phase: 'live', protocol: 'rtsp', started_at: 1, ended_at: null, reason: null, epoch: 1 }).execute();
  expect(await h.call('GET', '/v1/cameras/cam/stats', { token })).toMatchObject({ status: 200, body: { fps: 30 } });
  expect((await h.call('GET', '/v1/cameras/cam', { token })).body['stats']).toEqual({ fps: 30 });
  expect((await h.call<{ items: unknown[] }>('GET', '/v1/cameras?include=stats', { token })).body.items).toMatchObject([{ stats: { fps: 30 } }]);
  expect(asked).toEqual([`Bearer ${token}`]);
  await new Promise((resolve) => { edge.close(resolve); edge.closeAllConnections(); });
  h.clock.advance(1000);
  const down = await h.call('GET', '/v1/cameras/cam/stats', { token });
  expect(down.status).toBe(503);
  expect(down.headers.get('retry-after')).not.toBeNull();
  expect((await h.call('GET', '/v1/cameras/cam', { token })).body['stats']).toBeNull();
});
