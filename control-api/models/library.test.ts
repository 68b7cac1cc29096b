import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import type { ModelInfo } from '../../inference/port.ts';
import { startApi } from '../testing/harness.ts';

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
const infoOf = (name: string): ModelInfo => ({ name, digest: 'ab', backend: 'onnx', inputWidth: 1, inputHeight: 1, inputLayout: 'u8-nhwc', labels: [], defaultConfidence: 0.5, state: 'ready', failure: null, batch: { pictures: 1, why: 'one' }, provider: null });

/** A server whose models can be used unless they say that they are bad; one that is `held`, when the test says so. Of the product is `shipped`. */
const start = async (maxBytes = 1000) => {
  const bundledFolder = mkdtempSync(join(tmpdir(), 'if-bundled-'));
  writeFileSync(join(bundledFolder, 'shipped.onnx'), 'the shipped one');
  /** What was tried, and what stood beside it. */
  const probed: { readonly text: string; readonly beside: readonly string[] }[] = [];
  let forgotten = 0;
  const held = Promise.withResolvers<undefined>();
  const h = await startApi({
    config: { inference: { max_model_bytes: maxBytes, default_model: 'usual' }, recorder: { min_free_bytes: 0 } },
    models: { names: () => Promise.resolve(['mine', 'quick', 'shipped', 'usual']), forget: () => { forgotten++; } },
    workerModels: () => Promise.resolve([infoOf('mine'), infoOf('shipped')]),
    modelFiles: {
      bundledFolder,
      probe: async (path) => {
        const text = readFileSync(path, 'utf8');
        probed.push({ text, beside: ['.json', '.labels.json'].filter((ending) => existsSync(path.replace(/\.onnx$/, ending))) });
        if (text === 'held') await held.promise;
        if (text.startsWith('bad')) throw new MediaError('INVALID_ARGUMENT', 'it has no known layout');
      },
    },
  });
  const folder = join(h.directory, 'models');
  const { access_token: token } = await h.login();
  interface Said { readonly code: string; readonly detail: string; readonly digest: string }
  const put = (name: string, body: string, headers: Record<string, string> = {}, as = token) => h.call<Said>('PUT', `/v1/models/${name}`, { token: as, body, headers: { 'content-type': 'application/octet-stream', ...headers } });
  const remove = (name: string, headers: Record<string, string> = {}) => h.call<Said>('DELETE', `/v1/models/${name}`, { token, headers });
  return {
    h, token, folder, probed, held, put, remove,
    files: (): string[] => readdirSync(folder).filter((name) => name !== '.uploads').sort(),
    uploads: (): string[] => readdirSync(join(folder, '.uploads')),
    text: (file: string): string => readFileSync(join(folder, file), 'utf8'),
    get forgotten() { return forgotten; },
    async [Symbol.asyncDispose]() {
      await h[Symbol.asyncDispose]();
      rmSync(bundledFolder, { recursive: true });
    },
  };
};
type Setup = Awaited<ReturnType<typeof start>>;
const refusalOf = ({ status, body }: Awaited<ReturnType<Setup['put']>>): readonly [number, string] => [status, body.code];

test('[INF-3] a model is uploaded, replaced by whoever says what it replaces, and deleted', async () => {
  await using t = await start();
  const first = await t.put('mine', 'one');
  expect([first.status, first.body]).toEqual([201, { name: 'mine', digest: sha('one'), bytes: 3, replaced: null }]);
  expect(t.text('mine.onnx')).toBe('one');

  const unsaid = await t.put('mine', 'two');
  expect([...refusalOf(unsaid), unsaid.body.digest]).toEqual([409, 'MODEL_EXISTS', sha('one')]);
  const other = await t.put('mine', 'two', { 'if-match': `"${sha('zero')}"` });
  expect([...refusalOf(other), other.body.digest]).toEqual([412, 'MODEL_CHANGED', sha('one')]);
  expect(t.text('mine.onnx')).toBe('one');
  const second = await t.put('mine', 'two', { 'if-match': `"${sha('one').toUpperCase()}"` });
  expect([second.status, second.body]).toEqual([200, { name: 'mine', digest: sha('two'), bytes: 3, replaced: sha('one') }]);
  expect((await t.put('mine', 'three', { 'if-match': '*' })).status).toBe(200);
  expect(t.text('mine.onnx')).toBe('three');
  expect(t.forgotten).toBe(3);

  expect(refusalOf(await t.remove('mine', { 'if-match': `"${sha('two')}"` }))).toEqual([412, 'MODEL_CHANGED']);
  expect((await t.remove('mine', { 'if-match': `"${sha('three')}"` })).status).toBe(204);
  expect(t.files()).toEqual([]);
  expect(refusalOf(await t.remove('mine'))).toEqual([404, 'MODEL_NOT_FOUND']);
  expect(t.uploads()).toEqual([]);
  t.h.clock.advance(1_000); // the log is written in batches
  const audited = async (): Promise<unknown> => (await t.h.call<{ items: { action: string; target: string }[] }>('GET', '/v1/audit?limit=50', { token: t.token })).body.items.filter(({ target }) => target === 'mine').map(({ action }) => action);
  await expect.poll(audited).toEqual(['model:delete', 'model:upload', 'model:upload', 'model:upload']);
});

test('[INF-3] a file that cannot be used is refused with the reason, and what had its name stays', async () => {
  await using t = await start();
  await t.put('mine', 'one');
  const bad = await t.put('mine', 'bad file', { 'if-match': '*' });
  expect([...refusalOf(bad), bad.body.detail]).toEqual([422, 'MODEL_NOT_USABLE', expect.stringContaining('it has no known layout')]);
  expect(refusalOf(await t.put('new', 'bad file'))).toEqual([422, 'MODEL_NOT_USABLE']);
  expect([t.files(), t.text('mine.onnx'), t.uploads()]).toEqual([['mine.onnx'], 'one', []]);
});

test('[INF-3] a file is tried with what stands beside the one it replaces', async () => {
  await using t = await start();
  await t.put('mine', 'one');
  writeFileSync(join(t.folder, 'mine.json'), '{}');
  writeFileSync(join(t.folder, 'mine.labels.json'), '["bolt"]');
  await t.put('mine', 'two', { 'if-match': '*' });
  expect(t.probed).toEqual([{ text: 'one', beside: [] }, { text: 'two', beside: ['.json', '.labels.json'] }]);
  expect([t.files(), t.uploads()]).toEqual([['mine.json', 'mine.labels.json', 'mine.onnx'], []]);
  expect((await t.remove('mine')).status).toBe(204);
  expect(t.files()).toEqual([]);
});

test('[INF-3] a model of the product stays; one in its place is there until it is deleted', async () => {
  await using t = await start();
  expect(refusalOf(await t.remove('shipped'))).toEqual([409, 'MODEL_BUNDLED']);
  const unsaid = await t.put('shipped', 'mine instead');
  expect([...refusalOf(unsaid), unsaid.body.digest]).toEqual([409, 'MODEL_EXISTS', sha('the shipped one')]);
  const taken = await t.put('shipped', 'mine instead', { 'if-match': `"${sha('the shipped one')}"` });
  expect([taken.status, taken.body]).toMatchObject([200, { replaced: sha('the shipped one') }]);
  const listed = async () => (await t.h.call<{ items: { name: string; added: boolean }[]; max_bytes: number }>('GET', '/v1/models', { token: t.token })).body;
  expect(await listed()).toMatchObject({ items: [{ name: 'mine', added: false }, { name: 'shipped', added: true }], max_bytes: 1000 });
  await t.h.call('POST', '/v1/cameras', { token: t.token, json: { id: 'belt', pipelines: ['shipped'] } });
  expect((await t.remove('shipped')).status).toBe(204); // the product's takes over
  expect((await listed()).items).toMatchObject([{ added: false }, { added: false }]);
});

test('[INF-3] a model that a camera uses, or that is everybody\'s default, is not deleted', async () => {
  await using t = await start();
  for (const name of ['mine', 'usual', 'quick']) await t.put(name, name);
  expect(refusalOf(await t.remove('usual'))).toEqual([409, 'MODEL_IN_USE']);
  await t.h.call('POST', '/v1/cameras', { token: t.token, json: { id: 'lowered', pipelines: [{ id: 'mine', light: ['quick'] }] } });
  expect(refusalOf(await t.remove('quick'))).toEqual([409, 'MODEL_IN_USE']);
  await t.h.call('PATCH', '/v1/cameras/lowered', { token: t.token, json: { pipelines: [] } });
  expect((await t.remove('quick')).status).toBe(204);
  await t.h.call('POST', '/v1/cameras', { token: t.token, json: { id: 'belt', pipelines: [{ id: 'mine', fps: 2 }] } });
  await t.h.call('POST', '/v1/cameras', { token: t.token, json: { id: 'gate' } });
  const [used, usual] = [await t.remove('mine'), await t.remove('usual')];
  expect([...refusalOf(used), used.body.detail]).toEqual([409, 'MODEL_IN_USE', expect.stringContaining('belt')]);
  expect([...refusalOf(usual), usual.body.detail]).toEqual([409, 'MODEL_IN_USE', expect.stringContaining('gate')]);
  await t.h.call('PATCH', '/v1/cameras/belt', { token: t.token, json: { pipelines: [] } });
  expect((await t.remove('mine')).status).toBe(204);
  expect(t.files()).toEqual(['usual.onnx']);
});

test('[INF-3] what is too large, empty, a form, or of no name is refused, and nothing of it stays', async () => {
  await using t = await start();
  const large = await t.put('mine', 'x'.repeat(1001));
  expect([...refusalOf(large), large.body]).toMatchObject([413, 'PAYLOAD_TOO_LARGE', { max_bytes: 1000 }]);
  expect(refusalOf(await t.put('mine', ''))).toEqual([400, 'EMPTY_BODY']);
  expect(refusalOf(await t.put('mine', 'x', { 'content-type': 'multipart/form-data; boundary=x' }))).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
  expect(refusalOf(await t.put('mine', 'x', { 'if-match': 'yesterday\'s' }))).toEqual([400, 'IF_MATCH_INVALID']);
  for (const name of ['.hidden', '-x', 'a%2Fb', '%2e%2e%2fx', 'a%20b', 'x.onnx', 'x.labels', 'x.kserve', 'detect', 'x'.repeat(129), 'a%00b']) expect(refusalOf(await t.put(name, 'x')), name).toEqual([400, 'MODEL_NAME_INVALID']);
  for (const name of ['%2e%2e%2fcontrol', 'x.labels']) expect(refusalOf(await t.remove(name)), name).toEqual([404, 'MODEL_NOT_FOUND']);
  expect([t.files(), t.uploads()]).toEqual([[], []]);
  expect(t.probed).toEqual([]);
});

test('[INF-3] a body larger than the limit that does not say so is told so, too', async () => {
  await using t = await start();
  const request = httpRequest(`${t.h.base}/v1/models/mine`, { method: 'PUT', headers: { 'authorization': `Bearer ${t.token}`, 'content-type': 'application/octet-stream' } });
  request.on('error', () => undefined);
  const status = new Promise((resolve) => { request.once('response', (response) => { resolve(response.statusCode); }); });
  request.write('x'.repeat(2000));
  expect(await status).toBe(413);
  request.destroy();
  expect(t.uploads()).toEqual([]);
});

test('[INF-3] of two who replace the same model at a time one learns that it has changed', async () => {
  await using t = await start();
  await t.put('mine', 'one');
  const slow = t.put('mine', 'held', { 'if-match': `"${sha('one')}"` });
  await expect.poll(() => t.probed.length).toBe(2);
  expect((await t.put('mine', 'two', { 'if-match': `"${sha('one')}"` })).status).toBe(200);
  t.held.resolve(undefined);
  expect(refusalOf(await slow)).toEqual([412, 'MODEL_CHANGED']);
  expect(t.text('mine.onnx')).toBe('two');
});

test('[INF-3] two uploads are under way at a time, and one that breaks off leaves nothing', async () => {
  await using t = await start();
  const begin = () => {
    const request = httpRequest(`${t.h.base}/v1/models/cut`, { method: 'PUT', headers: { 'authorization': `Bearer ${t.token}`, 'content-type': 'application/octet-stream', 'content-length': '900' } });
    request.on('error', () => undefined);
    request.write('the begin');
    return request;
  };
  const cut = [begin(), begin()];
  await expect.poll(() => t.uploads().length).toBe(2);
  expect(refusalOf(await t.put('mine', 'x'))).toEqual([429, 'TOO_MANY_UPLOADS']);
  for (const request of cut) request.destroy();
  await expect.poll(() => t.uploads()).toEqual([]);
  await expect.poll(async () => (await t.put('mine', 'x', { 'if-match': '*' })).status).toBeOneOf([200, 201]);
  expect(t.files()).toEqual(['mine.onnx']);
});

test('[INF-3] a model that runs on a server is not replaced by a file, and is deleted by its name', async () => {
  await using t = await start();
  mkdirSync(t.folder, { recursive: true });
  writeFileSync(join(t.folder, 'far.kserve.json'), '{}');
  expect(refusalOf(await t.remove('far', { 'if-match': `"${'ab'.repeat(32)}"` }))).toEqual([400, 'MODEL_ON_SERVER']);
  expect(refusalOf(await t.put('far', 'x'))).toEqual([409, 'MODEL_ON_SERVER']);
  expect((await t.remove('far')).status).toBe(204);
  expect(t.files()).toEqual([]);
});

test('[INF-3] beyond 64 models, which is what the worker looks at, there is no new one', async () => {
  await using t = await start();
  for (let i = 0; i < 64; i++) writeFileSync(join(t.folder, `m${String(i)}.onnx`), 'x');
  expect(refusalOf(await t.put('mine', 'x'))).toEqual([409, 'TOO_MANY_MODELS']);
  expect(refusalOf(await t.put('shipped', 'x', { 'if-match': '*' }))).toEqual([409, 'TOO_MANY_MODELS']); // in the product's place, but one more of one's own
  expect((await t.put('m5', 'y', { 'if-match': '*' })).status).toBe(200);
});

test('[INF-3] models are the administrator\'s: an operator may not upload or delete them', async () => {
  await using t = await start();
  await t.h.call('POST', '/v1/users', { token: t.token, json: { username: 'op', password: 'a-long-password', role: 'operator' } });
  const { access_token: operator } = await t.h.login('op', 'a-long-password');
  expect(refusalOf(await t.put('mine', 'x', {}, operator))).toEqual([403, 'PERMISSION_DENIED']);
  expect((await t.h.call('DELETE', '/v1/models/mine', { token: operator })).status).toBe(403);
  expect((await t.h.call('PUT', '/v1/models/mine', { body: 'x' })).status).toBe(401);
  expect(t.probed).toEqual([]);
});

test('[INF-3] what a killed process left of uploads is gone at the next start', async () => {
  await using t = await start();
  writeFileSync(join(t.folder, '.uploads', 'half.onnx'), 'x');
  await using _next = await startApi({ config: { inference: { models_dir: t.folder } } });
  expect(t.uploads()).toEqual([]);
});
