import { afterAll, beforeAll, expect, test } from 'vitest';
import { fakeModelInfo } from '../../inference/testing/fake-worker.ts';
import { startApi } from '../testing/harness.ts';

const NAMES = ['big', 'small', 'tiny', 'defects', 'nanodet-g-416.int8.u8'];
const stack = new AsyncDisposableStack();
let h: Awaited<ReturnType<typeof startApi>>;
let token: string;
beforeAll(async () => {
  h = stack.use(await startApi({
    models: { names: () => Promise.resolve(NAMES), forget: () => undefined },
    workerModels: () => Promise.resolve([...['big', 'small', 'nanodet-g-416.int8.u8'].map((name) => fakeModelInfo(name, 416)), { ...fakeModelInfo('defects', 416), labels: ['scratch'] }, { ...fakeModelInfo('tiny', 416), state: 'loading', labels: [] }]),
  }));
  token = (await h.login()).access_token;
});
afterAll(() => stack.disposeAsync());

const post = (id: string, pipelines: unknown) => h.call('POST', '/v1/cameras', { token, json: { id, pipelines } });
const lightOf = (id: string) => h.api.desiredState.current().cameras.find((camera) => camera.id === id)?.detectors.map(({ light }) => light);

test('[EXT-3] a detector\'s lighter models are kept, shown and sent to the edge; `detect` has the bundled one unless it says otherwise', async () => {
  const pipelines = [{ id: 'big', light: ['small', 'tiny'] }, 'detect'];
  expect(await post('a', pipelines)).toMatchObject({ status: 201, body: { pipelines } });
  expect(lightOf('a')).toEqual([['small', 'tiny'], ['nanodet-g-320.int8.u8']]);
  await post('b', ['big', { id: 'detect', light: [] }]);
  expect(lightOf('b')).toEqual([undefined, undefined]);
});

test('[EXT-3][INF-3] a lighter model that is none, is named twice or has other classes is 422 and says why; a list that is none 400', async () => {
  for (const [light, code, words] of [
    [['none'], 'UNKNOWN_MODEL', /no model none .*Models here: big, small/], [['big'], 'DUPLICATE_MODEL', /own model/], [['small', 'small'], 'DUPLICATE_MODEL', /named twice/],
    [['small', 'defects'], 'CLASSES_DIFFER', /defects has other class names than big/],
  ] as const) {
    const { status, body } = await post('wrong', [{ id: 'big', light }]);
    expect([status, body['code']], JSON.stringify(light)).toEqual([422, code]);
    expect(body['detail']).toMatch(words);
  }
  expect((await post('wrong', [{ id: 'big', light: 'small' }])).status).toBe(400);
  expect((await post('wrong', [{ id: 'big', light: ['a', 'b', 'c', 'd', 'e'] }])).status).toBe(400);
  expect(await post('wrong', [{ id: 'detect', light: ['nanodet-g-416.int8.u8'] }])).toMatchObject({ status: 422, body: { code: 'DUPLICATE_MODEL' } });
});

test('[EXT-3] without a worker nobody is kept from setting a camera; an analysis of a recording is never lowered: `light` is 400 there', async () => {
  await using alone = await startApi({ models: { names: () => Promise.resolve(NAMES), forget: () => undefined } });
  const { access_token: own } = await alone.login();
  expect((await alone.call('POST', '/v1/cameras', { token: own, json: { id: 'a', pipelines: [{ id: 'big', light: ['defects'] }] } })).status).toBe(201);
  const json = { from: '2026-11-30T10:00:00Z', to: '2026-11-30T10:01:00Z', detectors: [{ id: 'big', light: ['small'] }] };
  expect((await alone.call('POST', '/v1/recordings/a/analyses', { token: own, json })).status).toBe(400);
});

test('[EXT-3] the configuration says what `detect` is lowered to; another default model has none by itself', async () => {
  for (const [inference, expected] of [[{ default_light: ['small', 'tiny'] }, ['small', 'tiny']], [{ default_light: [] }, undefined], [{ default_model: 'big' }, undefined]] as const) {
    await using one = await startApi({ models: { names: () => Promise.resolve(NAMES), forget: () => undefined }, config: { inference } });
    const { access_token: own } = await one.login();
    await one.call('POST', '/v1/cameras', { token: own, json: { id: 'a' } });
    expect(one.api.desiredState.current().cameras[0]?.detectors[0]?.light).toEqual(expected);
  }
});
