/** The model library of a whole server: models come by REST, are tried, used by cameras, replaced while pictures flow, and deleted. */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { iou } from '../../core/detection.ts';
import { FIXTURES, clip, ffmpegPush } from '../support/media.ts';
import { modelOfZeros, modelWithExternalData, tinyModel } from '../support/onnx-writer.ts';
import { TestServer, until } from '../support/server.ts';

const IMAGES = join(FIXTURES, 'images');
const NANODET = readFileSync(join(FIXTURES, 'models', 'nanodet-g-416.onnx'));
const stack = new AsyncDisposableStack();
let server: TestServer;

beforeAll(async () => {
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_INFERENCE_DEADLINE_MS: '20000' } })); // whatever else the machine has to do
});
afterAll(() => stack.disposeAsync());

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
/** A detector of 32 × 32 pixels that finds one object, of the class that is its version, in every picture. Loading it takes no time in which pictures would wait. */
const version = (n: number): Buffer => tinyModel({ input: { type: 'float32', dims: [1, 3, 32, 32] }, outputs: [{ name: 'output0', type: 'float32', dims: [1, 1, 6], base: [1, 1, 9, 9, 0.9, n] }] });
const put = (name: string, body: Uint8Array, ifMatch?: string): Promise<Response> =>
  server.fetch(`/v1/models/${name}`, { method: 'PUT', headers: { 'content-type': 'application/octet-stream', ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }) }, body: Buffer.from(body) });
interface Model { readonly name: string; readonly state: string; readonly failure: string | null; readonly digest: string | null; readonly added: boolean }
const model = async (name: string): Promise<Model | undefined> => (await server.request<{ items: readonly Model[] }>('GET', '/v1/models')).items.find((each) => each.name === name);
const inUse = (name: string, digest: string): Promise<unknown> => until(`${name} is in use`, async () => (await model(name))?.digest === digest, 60_000);
const problemOf = async (response: Response): Promise<readonly [number, string, string]> => {
  const { code, detail } = (await response.json()) as { code: string; detail: string };
  return [response.status, code, detail];
};

interface Trial {
  readonly model_digest: string;
  readonly width: number;
  readonly height: number;
  readonly detections: readonly { readonly class_name: string; readonly class_id: number; readonly confidence: number; readonly bbox: { readonly x: number; readonly y: number; readonly width: number; readonly height: number } }[];
  readonly times_ms: Readonly<Record<string, number>>;
}
const attempt = (name: string, picture: Uint8Array, query = ''): Promise<Response> => server.fetch(`/v1/models/${name}/try${query}`, { method: 'POST', headers: { 'content-type': 'image/png' }, body: Buffer.from(picture) });

interface Golden { readonly label: string; readonly classId: number; readonly score: number; readonly x: number; readonly y: number; readonly width: number; readonly height: number }
const golden = (JSON.parse(readFileSync(join(IMAGES, 'golden.json'), 'utf8')) as { readonly detections: Readonly<Record<string, Readonly<Record<string, readonly Golden[]>>>> }).detections['nanodet-g-416.onnx'] ?? {};

test('[INF-2] [INF-3] a real model finds in a picture of one\'s own what it should, in the picture\'s own pixels, and tells what took how long', async () => {
  const uploaded = await put('mine', NANODET);
  expect([uploaded.status, await uploaded.json()]).toEqual([201, { name: 'mine', digest: sha(NANODET), bytes: NANODET.length, replaced: null }]);
  await inUse('mine', sha(NANODET));
  expect(Object.keys(golden)).toHaveLength(4);
  for (const [file, boxes] of Object.entries(golden)) {
    const response = await attempt('mine', readFileSync(join(IMAGES, file)));
    expect(response.status, file).toBe(200);
    const { model_digest: digest, detections, times_ms: times } = (await response.json()) as Trial;
    expect(digest).toBe(sha(NANODET));
    for (const wanted of boxes.filter(({ score }) => score >= 0.5)) {
      const best = detections.filter(({ class_id: id, class_name: name }) => id === wanted.classId && name === wanted.label).toSorted((a, b) => iou(b.bbox, wanted) - iou(a.bbox, wanted))[0];
      expect(best && iou(best.bbox, wanted), `${file}: ${JSON.stringify(wanted)}`).toBeGreaterThanOrEqual(0.9);
      expect(Math.abs((best?.confidence ?? 0) - wanted.score)).toBeLessThanOrEqual(0.05);
    }
    expect(times['total']).toBeGreaterThanOrEqual((times['model'] ?? Infinity) + (times['decode'] ?? 0));
    expect(times['model']).toBeGreaterThan(0);
  }
  const all = (await (await attempt('mine', readFileSync(join(IMAGES, 'vtest-100.png')), '?confidence=0.05')).json()) as Trial;
  const few = (await (await attempt('mine', readFileSync(join(IMAGES, 'vtest-100.png')), '?confidence=0.6')).json()) as Trial;
  expect(all.detections.length).toBeGreaterThan(few.detections.length);
  // What a slider leaves of many is what is found when asked for few.
  expect(all.detections.filter(({ confidence }) => confidence >= 0.6)).toEqual(few.detections);
});

test('[INF-3] why a picture is not looked at is said: no such model, no picture', async () => {
  const picture = readFileSync(join(IMAGES, 'messi5.jpg'));
  expect(await problemOf(await attempt('nobody', picture))).toEqual([404, 'MODEL_NOT_FOUND', expect.stringContaining('nanodet-g-416.int8.u8')]);
  expect(await problemOf(await attempt('inspect-320', Buffer.from('GIF89a')))).toEqual([415, 'PICTURE_FORMAT', expect.stringContaining('WebP')]);
  expect(await problemOf(await attempt('inspect-320', picture.subarray(0, 20_000)))).toEqual([422, 'PICTURE_DAMAGED', expect.stringContaining('damaged')]);
});

test('[INF-3] a broken, huge or hostile file is refused with the reason, takes nothing down and leaves nothing; what had its name goes on', async () => {
  await put('kept', NANODET);
  await inUse('kept', sha(NANODET));
  const processes = async (): Promise<readonly number[]> => [...await server.pids('control'), ...await server.pids('worker')];
  const before = await processes();
  const outputs = [{ name: 'output0', type: 'float32', dims: [1, 1, 6], base: [10, 10, 20, 20, 0.9, 0] }] as const;
  for (const [name, file, why] of [
    ['text', Buffer.from('this is no model'), /./],
    ['cut', NANODET.subarray(0, 100_000), /./],
    ['weights elsewhere', modelWithExternalData('/etc/passwd'), /external data/],
    ['gigabytes of output', modelOfZeros([1, 1_000_000_000, 6]), /./],
    ['half floats in another order', tinyModel({ input: { type: 'float16', dims: [1, 32, 32, 3] }, outputs }), /float16/],
    ['no layout', tinyModel({ input: { type: 'float32', dims: [1, 3, 32, 32] }, outputs: [{ name: 'a', type: 'float32', dims: [1, 2, 3, 4, 5], base: Array.from({ length: 120 }, () => 0) }] }), /./],
  ] as const) {
    expect(await problemOf(await put('kept', file, `"${sha(NANODET)}"`)), name).toEqual([422, 'MODEL_NOT_USABLE', expect.stringMatching(why)]);
  }
  expect(await processes()).toEqual(before);
  expect(await model('kept')).toMatchObject({ state: 'ready', failure: null, digest: sha(NANODET), added: true });
  expect((await attempt('kept', readFileSync(join(IMAGES, 'messi5.jpg')))).status).toBe(200);
  expect(readdirSync(join(server.dataDir, 'models', '.uploads'))).toEqual([]);
  expect((await server.fetch('/v1/models/kept', { method: 'DELETE' })).status).toBe(204);
  await until('it is gone', async () => await model('kept') === undefined);
});

/** Pictures of a camera that a worker had and that came to nothing, whatever for. */
const lost = async (camera: string): Promise<Readonly<Record<string, number>>> =>
  Object.fromEntries(await Promise.all(['refused', 'worker_lost', 'deadline', 'no_credit', 'superseded'].map(async (reason) => [reason, await server.metric('imageflow_frames_skipped_total', { camera, reason })] as const)));
interface Row { readonly sequence: number; readonly stream_epoch: number; readonly model_digest: string }
const rows = async (camera: string): Promise<readonly Row[]> =>
  (await server.request<{ items: readonly Row[] }>('GET', `/v1/detections?camera=${camera}&from=${new Date(Date.now() - 3_600_000).toISOString()}&to=${new Date(Date.now() + 60_000).toISOString()}&limit=1000`)).items;

test('[INF-3] a model is replaced while a camera\'s pictures flow: none is lost, each is seen by the old one or the new one, and the old one sees none after the new one did', async () => {
  const versions = [version(0), version(1), version(2)];
  const digests = versions.map(sha);
  expect((await put('line', version(0))).status).toBe(201);
  await inUse('line', digests[0] ?? '');
  const camera = await server.addCamera('belt', { pipelines: [{ id: 'line', fps: 2 }] });
  await using _push = ffmpegPush(clip('vtest-720p30.mp4'), server.rtspUrl(camera), { loop: true });
  const seenBy = async (digest: string): Promise<number> => new Set((await rows('belt')).filter((row) => row.model_digest === digest).map(({ sequence }) => sequence)).size;
  // So many that the first picture of all, which the extractor decodes before the worker has greeted it, is counted.
  await until('the first one sees', async () => await seenBy(digests[0] ?? '') >= 10, 60_000);
  const before = await lost('belt');
  for (const [i, version] of versions.entries()) {
    if (i === 0) continue;
    const answer = await put('line', version, `"${digests[i - 1] ?? ''}"`);
    expect([answer.status, await answer.json()]).toEqual([200, { name: 'line', digest: digests[i], bytes: version.length, replaced: digests[i - 1] }]);
    await until(`version ${String(i)} sees`, async () => await seenBy(digests[i] ?? '') >= 3, 60_000);
  }
  expect(await lost('belt')).toEqual(before);
  const pictures = new Map((await rows('belt')).map(({ stream_epoch: epoch, sequence, model_digest: digest }) => [`${String(epoch)}/${String(sequence)}`, { epoch, sequence, digest }]));
  const inOrder = [...pictures.values()].toSorted((a, b) => a.epoch - b.epoch || a.sequence - b.sequence).map(({ digest }) => digests.indexOf(digest));
  expect(inOrder).toEqual(inOrder.toSorted());
  expect(new Set(inOrder)).toEqual(new Set([0, 1, 2]));
  expect(await problemOf(await server.fetch('/v1/models/line', { method: 'DELETE' }))).toEqual([409, 'MODEL_IN_USE', expect.stringContaining('belt')]);
});
