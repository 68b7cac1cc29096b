import { expect, test } from 'vitest';
import type { ModelInfo } from '../../inference/port.ts';
import { startApi } from '../testing/harness.ts';

const GOOD: ModelInfo = { name: 'good', digest: 'ab', backend: 'onnx', inputWidth: 416, inputHeight: 320, inputLayout: 'f32-nchw', labels: ['bolt'], defaultConfidence: 0.5, batch: { pictures: 4, why: 'measured' }, provider: { name: 'cuda', why: 'quicker' }, state: 'ready', failure: null };
const BAD: ModelInfo = { name: 'bad', digest: '', backend: 'onnx', inputWidth: 0, inputHeight: 0, inputLayout: 'u8-nhwc', labels: [], defaultConfidence: 0, batch: { pictures: 1, why: '' }, provider: null, state: 'failed', failure: 'it has no known layout' };

test('[INF-3] GET /v1/models tells what the worker has, and why it cannot use a file', async () => {
  await using h = await startApi({ workerModels: () => Promise.resolve([GOOD, BAD]) });
  const { access_token: token } = await h.login();
  const answer = await h.call('GET', '/v1/models', { token });
  expect(answer).toMatchObject({ status: 200, body: { items: [
    { name: 'bad', backend: 'onnx', state: 'failed', failure: 'it has no known layout', added: false, digest: null, input: null, batch: null, provider: null, labels: [], default_confidence: null },
    { name: 'good', backend: 'onnx', state: 'ready', failure: null, digest: 'ab', input: { width: 416, height: 320 }, batch: { pictures: 4, reason: 'measured' }, provider: { name: 'cuda', reason: 'quicker' }, labels: ['bolt'], default_confidence: 0.5 },
  ], default_model: 'nanodet-g-416.int8.u8', default_light: ['nanodet-g-320.int8.u8'] } });
  expect((await h.call('GET', '/v1/models')).status).toBe(401);
});

test('[INF-3] without a worker GET /v1/models is unavailable for now', async () => {
  await using h = await startApi();
  const { access_token: token } = await h.login();
  expect((await h.call('GET', '/v1/models', { token })).status).toBe(503);
});
