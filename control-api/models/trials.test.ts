import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { MAX_SENT_PICTURE_BYTES } from '../../extractor/port.ts';
import type { SentPicture, SentPictureDetector, SentPictureFailure, SentPictureOutcome } from '../../extractor/port.ts';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';

const SEEN: SentPictureOutcome = {
  seen: true, width: 640, height: 480, modelDigest: 'ab'.repeat(32), times: { waitingMs: 0.5, decodeMs: 4.4444, resizeMs: 1.6, queueMs: 0.2, inferenceMs: 14.2, annotateMs: 0 }, annotated: null,
  detections: [{ className: 'bolt', classId: 3, confidence: 0.5, bbox: { x: 1, y: 2, width: 3, height: 4 }, trackId: null }],
};

class Detector implements SentPictureDetector {
  readonly asked: SentPicture[] = [];
  answer: (picture: SentPicture) => SentPictureOutcome | Promise<SentPictureOutcome> = () => SEEN;
  hold(): Disposable { return { [Symbol.dispose]: () => undefined }; }
  detect(picture: SentPicture): Promise<SentPictureOutcome> {
    this.asked.push(picture);
    return Promise.resolve(this.answer(picture));
  }
}

const start = async () => {
  const detector = new Detector();
  const h = await startApi({ sentPictures: detector });
  const { access_token: token } = await h.login();
  const attempt = (body: Uint8Array | string, path = '/v1/models/mine/try', headers: Record<string, string> = { 'content-type': 'image/jpeg' }, as = token) =>
    fetch(`${h.base}${path}`, { method: 'POST', headers: { authorization: `Bearer ${as}`, ...headers }, body: Buffer.from(body) });
  return { detector, h, token, attempt, [Symbol.asyncDispose]: () => h[Symbol.asyncDispose]() };
};
const problemOf = async (response: Response): Promise<unknown> => {
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  return [response.status, ((await response.json()) as { code: string }).code];
};

test('[INF-3] a picture is shown to the model, and what it finds comes back in pixels, with its digest and the times of the stages', async () => {
  await using t = await start();
  const answer = await t.attempt('a picture', '/v1/models/mine.int8/try?confidence=0.05');
  expect([answer.status, await answer.json()]).toEqual([200, {
    model: 'mine.int8', model_digest: 'ab'.repeat(32), width: 640, height: 480, detections: [{ class_name: 'bolt', class_id: 3, confidence: 0.5, bbox: { x: 1, y: 2, width: 3, height: 4 } }],
    times_ms: { waiting: 0.5, decode: 4.44, resize: 1.6, queue: 0.2, model: 14.2, total: 0 },
  }]);
  expect(t.detector.asked.map(({ bytes, model, confidence }) => [Buffer.from(bytes).toString(), model, confidence])).toEqual([['a picture', 'mine.int8', 0.05]]);
  await t.attempt('x');
  expect(t.detector.asked.at(-1)?.confidence).toBeNull();
});

test('[INF-3] a body of 256 KiB and more is a picture, one beyond the limit is 413', async () => {
  await using t = await start();
  expect((await t.attempt(new Uint8Array(MAX_SENT_PICTURE_BYTES))).status).toBe(200);
  expect(t.detector.asked[0]?.bytes.length).toBe(MAX_SENT_PICTURE_BYTES);
  expect(await problemOf(await t.attempt(new Uint8Array(MAX_SENT_PICTURE_BYTES + 1)))).toEqual([413, 'PAYLOAD_TOO_LARGE']);
  expect(t.detector.asked).toHaveLength(1);
});

test.each<[SentPictureFailure, number, string]>([
  ['no_model', 404, 'MODEL_NOT_FOUND'], ['model_not_ready', 409, 'MODEL_NOT_READY'], ['refused', 422, 'MODEL_REFUSES'], ['format', 415, 'PICTURE_FORMAT'], ['damaged', 422, 'PICTURE_DAMAGED'],
  ['too_large', 413, 'PICTURE_TOO_LARGE'], ['worker_lost', 503, 'NO_WORKER'], ['decoder_lost', 503, 'DECODER_LOST'], ['stopping', 503, 'SERVER_STOPS'], ['deadline', 504, 'DEADLINE_EXCEEDED'],
])('[INF-3] why there is no answer is a problem of its own: %s is %i %s', async (reason, status, code) => {
  await using t = await start();
  t.detector.answer = () => ({ seen: false, reason, detail: 'good-1, good-2' });
  const answer = await t.attempt('x');
  const text = await answer.clone().text();
  expect(await problemOf(answer)).toEqual([status, code]);
  expect(text).toContain('good-1, good-2');
});

test('[INF-3] a form or JSON is no picture, and a confidence is 0 to 1', async () => {
  await using t = await start();
  for (const type of ['multipart/form-data; boundary=x', 'application/json', 'text/plain']) expect(await problemOf(await t.attempt('x', undefined, { 'content-type': type })), type).toEqual([415, 'PICTURE_FORMAT']);
  for (const confidence of ['2', '-0.1', 'much']) expect(await problemOf(await t.attempt('x', `/v1/models/mine/try?confidence=${confidence}`))).toEqual([400, 'VALIDATION_FAILED']);
  expect(t.detector.asked).toEqual([]);
});

test('[INF-3] it takes whoever may have pictures looked at: not a viewer, nobody without a token', async () => {
  await using t = await start();
  await t.h.call('POST', '/v1/users', { token: t.token, json: { username: 'looker', password: 'a-long-password', role: 'viewer' } });
  await t.h.call('POST', '/v1/users', { token: t.token, json: { username: 'worker', password: 'a-long-password', role: 'operator' } });
  const tokenOf = async (name: string): Promise<string> => (await t.h.login(name, 'a-long-password')).access_token;
  expect(await problemOf(await t.attempt('x', undefined, undefined, await tokenOf('looker')))).toEqual([403, 'PERMISSION_DENIED']);
  expect((await t.attempt('x', undefined, undefined, await tokenOf('worker'))).status).toBe(200);
  expect((await fetch(`${t.h.base}/v1/models/mine/try`, { method: 'POST', body: 'x' })).status).toBe(401);
});

test('[INF-3] of one user two pictures are looked at at a time, and sixty in a minute', async () => {
  await using t = await start();
  const held = Promise.withResolvers<SentPictureOutcome>();
  t.detector.answer = () => held.promise;
  const first = [t.attempt('1'), t.attempt('2')];
  await expect.poll(() => t.detector.asked.length).toBe(2);
  const third = await t.attempt('3');
  expect([await problemOf(third), third.headers.get('retry-after')]).toEqual([[429, 'TOO_MANY_TRIALS'], '1']);
  held.resolve(SEEN);
  for (const answer of await Promise.all(first)) expect(answer.status).toBe(200);
  for (let i = 3; i < 60; i++) expect((await t.attempt('x')).status).toBe(200);
  const beyond = await t.attempt('x');
  expect([await problemOf(beyond), beyond.headers.get('retry-after')]).toEqual([[429, 'TOO_MANY_REQUESTS'], '60']);
  t.h.clock.advance(60_000);
  expect((await t.attempt('x')).status).toBe(200);
});

test('[INF-3] a picture that never comes whole gives its place back, and is told so', async () => {
  await using t = await start();
  const begin = (h: Harness) => {
    const request = httpRequest(`${h.base}/v1/models/mine/try`, { method: 'POST', headers: { 'authorization': `Bearer ${t.token}`, 'content-type': 'image/jpeg', 'content-length': '1000' } });
    request.on('error', () => undefined);
    request.write('the begin');
    return request;
  };
  const slow = [begin(t.h), begin(t.h)];
  await expect.poll(async () => (await t.attempt('x')).status).toBe(429); // both places are taken
  const answers = slow.map(async (request) => ((await once(request, 'response')) as [IncomingMessage])[0].statusCode);
  t.h.clock.advance(30_000);
  expect(await Promise.all(answers)).toEqual([408, 408]);
  expect((await t.attempt('x')).status).toBe(200);
  expect(t.detector.asked.map(({ bytes }) => Buffer.from(bytes).toString())).not.toContain('the begin');
});
