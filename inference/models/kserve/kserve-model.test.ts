import { hash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import { MediaError } from '../../../core/errors.ts';
import { silentLogger } from '../../../platform/logging.ts';
import type { InferenceFrame } from '../../port.ts';
import { FakeKserve, YOLO, rawFloats, yoloAnswer, yoloValues } from '../../testing/fake-kserve.ts';
import type { FakeAnswer, FakeMetadata } from '../../testing/fake-kserve.ts';
import { KserveModel } from './kserve-model.ts';

const MODELS = join(import.meta.dirname, '..', '..', '..', 'models');
const PIXELS = new Uint8Array(3 * 32 * 32).fill(51);
const FRAME: InferenceFrame = { pixels: PIXELS, sourceWidth: 320, sourceHeight: 320, confidence: 0.5 };
/** What `yoloAnswer(0.75)` is in a picture ten times the input's size. */
const CAT = { className: 'cat', classId: 1, confidence: 0.75, bbox: { x: 80, y: 120, width: 80, height: 40 }, trackId: null };

let folder: string;
let watches: (() => void)[];
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-kserve-')); watches = []; });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

/** The watch of a model runs when a test says so. */
const clock = { ...systemClock, every: (_period: number, callback: () => void) => { watches.push(callback); return { [Symbol.dispose]: () => undefined }; } };
const watch = (): void => { for (const each of watches) each(); };

interface Described { readonly urls: readonly string[]; readonly [field: string]: unknown }
const load = (described: Described | string, deadlineMs = 5000): Promise<KserveModel> => {
  const bytes = Buffer.from(typeof described === 'string' ? described : JSON.stringify({ model: 'm', labels: ['dog', 'cat'], ...described }));
  return KserveModel.load({ name: 'far', path: join(folder, 'far.kserve.json'), bytes, digest: hash('sha256', bytes), threads: 1, bundledFolder: MODELS, clock, deadlineMs, logger: silentLogger() });
};

test('[INF-4] a model is what its server says: bytes go in, boxes in source pixels come out', async () => {
  await using server = await FakeKserve.start();
  using model = await load({ urls: [server.url], version: '1', confidence: 0.4 });
  expect(model.info).toMatchObject({ name: 'far', backend: 'kserve', inputWidth: 32, inputHeight: 32, inputLayout: 'u8-nhwc', labels: ['dog', 'cat'], defaultConfidence: 0.4, state: 'ready', failure: null });
  expect(model.info.digest).toMatch(/^[0-9a-f]{64}$/);
  expect(await model.infer(FRAME)).toMatchObject({ detections: [CAT], model: 'far', modelDigest: model.info.digest });
  const asked = server.asked.at(-1)!;
  expect(asked).toMatchObject({ modelName: 'm', modelVersion: '1', inputs: [{ name: 'images', datatype: 'UINT8', shape: [1n, 32n, 32n, 3n] }], outputs: [{ name: 'out' }] });
  expect(asked.rawInputContents.map((raw) => Buffer.from(raw).equals(PIXELS))).toEqual([true]);
  await expect(model.infer({ ...FRAME, pixels: PIXELS.subarray(1) })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});

test('[INF-4] float planes, half floats and integers; sidecars count as for a file, the description before them', async () => {
  await using server = await FakeKserve.start();
  server.metadata = {
    ...YOLO,
    inputs: [{ name: 'images', datatype: 'FP32', shape: [-1n, 3n, -1n, -1n] }],
    outputs: ['boxes', 'scores', 'labels', 'num'].map((name) => ({ name, datatype: 'FP32', shape: [-1n] })),
  };
  const half = new Uint8Array(Float16Array.from([0.75, 0.25]).buffer);
  server.infer = () => ({
    outputs: [
      { name: 'boxes', datatype: 'FP32', shape: [1n, 2n, 4n] }, { name: 'scores', datatype: 'FP16', shape: [1n, 2n] }, { name: 'labels', datatype: 'INT64', shape: [1n, 2n] },
      { name: 'num', datatype: 'INT32', shape: [1n] }, { name: 'words', datatype: 'BYTES', shape: [1n] },
    ],
    rawOutputContents: [rawFloats([8, 12, 16, 16, 0, 0, 1, 1]), half, new Uint8Array(BigInt64Array.of(1n, 0n).buffer), new Uint8Array(Int32Array.of(2).buffer), Buffer.from('\x01\0\0\0x')],
  });
  writeFileSync(join(folder, 'far.labels.json'), '["hund", "cat"]');
  writeFileSync(join(folder, 'far.json'), '{"size": 64, "boxes": "xyxy_pixels", "confidence": 0.2}');
  using model = await load({ urls: [server.url], labels: undefined, size: 32, normalise: { mean: [0.2, 0.2, 0.2], std: [1, 1, 1] } });
  expect(model.info).toMatchObject({ inputWidth: 32, inputLayout: 'f32-nchw', labels: ['hund', 'cat'], defaultConfidence: 0.2 });
  const { detections } = await model.infer({ ...FRAME, confidence: 0.2 });
  expect(detections).toEqual([CAT, { ...CAT, className: 'hund', classId: 0, confidence: 0.25, bbox: { x: 0, y: 0, width: 10, height: 10 } }]);
  const asked = server.asked.at(-1)!;
  expect(asked.inputs).toMatchObject([{ datatype: 'FP32', shape: [1n, 3n, 32n, 32n] }]);
  const raw = asked.rawInputContents[0]!;
  const values = new Float32Array(new Uint8Array(raw).buffer);
  expect([values.length, Math.max(...values.map(Math.abs)) < 1e-6]).toEqual([3072, true]); // 51 / 255 − 0.2
});

test('[INF-4] a server whose model takes half floats is sent such', async () => {
  await using server = await FakeKserve.start();
  server.metadata = { ...YOLO, inputs: [{ name: 'images', datatype: 'FP16', shape: [1n, 3n, 32n, 32n] }] };
  server.infer = ({ rawInputContents: [raw] }) => yoloAnswer(new Float16Array(new Uint8Array(raw!).buffer)[0]!);
  using model = await load({ urls: [server.url] });
  expect(model.info.inputLayout).toBe('f16-nchw');
  const outcomes = await Promise.all([153, 204, 255].map((grey) => model.infer({ ...FRAME, pixels: new Uint8Array(3072).fill(grey) })));
  expect(outcomes.map(({ detections }) => detections[0]?.confidence.toFixed(2))).toEqual(['0.60', '0.80', '1.00']);
  expect(server.asked.at(-1)).toMatchObject({ inputs: [{ datatype: 'FP16', shape: [1n, 3n, 32n, 32n] }] });
  expect(server.asked.at(-1)?.rawInputContents.map(({ length }) => length)).toEqual([6144]);
});

test('[INF-4] two pictures asked at once are each answered for themselves', async () => {
  await using server = await FakeKserve.start();
  server.metadata = { ...YOLO, inputs: [{ name: 'images', datatype: 'FP32', shape: [1n, 3n, 32n, 32n] }] };
  server.infer = ({ rawInputContents: [raw] }) => yoloAnswer(new Float32Array(new Uint8Array(raw!).buffer)[0]!);
  using model = await load({ urls: [server.url] });
  const outcomes = await Promise.all([153, 204, 255].map((grey) => model.infer({ ...FRAME, pixels: new Uint8Array(3072).fill(grey) })));
  expect(outcomes.map(({ detections }) => detections[0]?.confidence.toFixed(3))).toEqual(['0.600', '0.800', '1.000']);
});

const input = (datatype: string, shape: readonly bigint[]): FakeMetadata => ({ ...YOLO, inputs: [{ name: 'images', datatype, shape: [...shape] }] });
const output = (shape: readonly bigint[], raw: Uint8Array, datatype = 'FP32'): Partial<FakeKserve> => ({ infer: () => ({ outputs: [{ name: 'out', datatype, shape: [...shape] }], rawOutputContents: [raw] }) });
const answer = (given: FakeAnswer): Partial<FakeKserve> => ({ infer: () => given });
const GOOD_RAW = rawFloats(yoloValues(0.75));

test.each<[string, Partial<FakeKserve>, string]>([
  ['that is not live', { live: false }, 'the server is not live'],
  ['that is not ready', { ready: false }, 'the server is not ready'],
  ['whose model is not ready', { modelReady: false }, 'the model m is not ready there'],
  ['that does not know the model', { modelReady: () => { throw new MediaError('NOT_FOUND', 'unknown model m'); } }, 'unknown model m'],
  ['whose model takes two inputs', { metadata: { ...YOLO, inputs: [...YOLO.inputs, ...YOLO.inputs] } }, 'this one takes 2 inputs'],
  ['whose model takes half floats in another order', { metadata: input('FP16', [1n, 32n, 32n, 3n]) }, 'images float16[1,32,32,3] is neither'],
  ['whose model takes text', { metadata: input('BYTES', [1n, 1n, 1n, 1n]) }, 'images BYTES[1,1,1,1] is neither'],
  ['whose model takes pictures without a batch', { metadata: input('UINT8', [32n, 32n, 3n]) }, 'is no batch of pictures'],
  ['whose input is absurdly large', { metadata: input('UINT8', [1n, 100_000n, 100_000n, 3n]) }, 'more than is taken'],
  ['whose input has a size no number holds', { metadata: input('UINT8', [1n, 2n ** 62n, 32n, 3n]) }, 'has a dimension of 4611686018427387904'],
  ['whose input has a negative size', { metadata: input('UINT8', [1n, -7n, 32n, 3n]) }, 'has a dimension of -7'],
  ['whose input has a hundred dimensions', { metadata: input('UINT8', Array.from({ length: 100 }, () => 1n)) }, 'has 100 dimensions'],
  ['whose input has no name', { metadata: { ...YOLO, inputs: [{ name: '', datatype: 'UINT8', shape: [1n, 32n, 32n, 3n] }] } }, 'the name of an input has 0 characters'],
  ['with a thousand outputs', { metadata: { ...YOLO, outputs: Array.from({ length: 1000 }, () => YOLO.outputs[0]!) } }, '1000 outputs'],
  ['with a huge output', { metadata: { ...YOLO, outputs: [{ name: 'out', datatype: 'FP32', shape: [1n, 84n, 2n ** 30n] }] } }, 'values, at most'],
  ['whose output has no known layout', output([1n, 2n], new Uint8Array(8), 'INT32'), 'has no known layout; known are'],
  ['whose output is of a type called constructor', output([1n, 6n, 21n], GOOD_RAW, 'constructor'), 'has no known layout'],
  ['that answers fewer bytes than the shape says', output([1n, 6n, 21n], GOOD_RAW.subarray(1)), 'float32[1,6,21] came with 503 bytes'],
  ['that answers more bytes than the shape says', output([1n, 6n, 21n], new Uint8Array(505)), 'came with 505 bytes'],
  ['that answers a shape below nothing', output([1n, -6n, 21n], GOOD_RAW), 'has a dimension of -6'],
  ['that answers without raw contents', answer({ outputs: yoloAnswer(1).outputs! }), '0 raw contents for 1 outputs'],
  ['that answers nothing', answer({}), 'has no known layout'],
  ['that refuses the picture', { infer: () => { throw new MediaError('INVALID_ARGUMENT', 'unexpected shape for input'); } }, 'unexpected shape for input'],
])('[INF-4] a server %s is refused with the reason', async (_what, say, reason) => {
  await using server = await FakeKserve.start();
  Object.assign(server, say);
  const error = await load({ urls: [server.url] }).then(() => null, (thrown: unknown) => thrown as MediaError);
  expect(error).toBeInstanceOf(MediaError);
  expect(error?.message).toContain(`${server.url}: `);
  expect(error?.message).toContain(reason);
});

test('[INF-4] a server that is too slow for a picture once it is warm is refused, and says what to set', async () => {
  await using server = await FakeKserve.start();
  server.infer = async () => {
    if (server.asked.length > 1) await new Promise(() => undefined);
    return yoloAnswer(0.75);
  };
  await expect(load({ urls: [server.url] }, 200)).rejects.toThrow(`${server.url}: no answer within 200 ms`);
});

test.each<[string, string]>([
  ['{', 'JSON'],
  ['[]', 'expected object'],
  ['{"model": "m"}', 'urls'],
  ['{"urls": [], "model": "m"}', 'urls'],
  ['{"urls": ["http://triton:8001"], "model": "m"}', 'urls.0: must be host:port of a gRPC listener'],
  ['{"urls": ["triton"], "model": "m"}', 'must be host:port'],
  ['{"urls": ["triton:0"], "model": "m"}', 'must be host:port'],
  ['{"urls": ["triton:65536"], "model": "m"}', 'must be host:port'],
  ['{"urls": ["unix:/tmp/x"], "model": "m"}', 'must be host:port'],
  ['{"urls": ["triton:8001"]}', 'model'],
  ['{"urls": ["triton:8001"], "model": "m", "confidense": 1}', 'confidense'],
  ['{"urls": ["triton:8001"], "model": "m", "confidence": 35}', 'confidence: Too big'],
  ['\ufffe', 'JSON'],
])('[INF-4] the description %s is refused with the reason', async (text, reason) => {
  await expect(load(text)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(reason) as string });
});

test('[INF-4] the first of several servers that is ready is used; when it goes the next answers the same picture, and it is used again when it is back', async () => {
  await using first = await FakeKserve.start();
  await using second = await FakeKserve.start();
  using model = await load({ urls: ['127.0.0.1:1', first.url, second.url] });
  expect([first.asked.length, second.asked.length]).toEqual([2, 0]);
  await model.infer(FRAME);
  expect([first.asked.length, second.asked.length]).toEqual([3, 0]);
  await first.stop();
  for (let i = 0; i < 5; i++) expect((await model.infer(FRAME)).detections).toEqual([CAT]);
  expect([first.asked.length, second.asked.length]).toEqual([3, 5]);
  await first.start();
  await expect.poll(async () => {
    watch();
    expect((await model.infer(FRAME)).detections).toEqual([CAT]);
    return first.asked.length;
  }, { timeout: 15_000 }).toBeGreaterThan(3);
});

test('[INF-4] when no server is left the model is lost, with what is wrong with each; no picture waits for it', async () => {
  await using first = await FakeKserve.start();
  await using second = await FakeKserve.start();
  using model = await load({ urls: [first.url, second.url] });
  await first.stop();
  second.ready = false;
  second.infer = () => { throw new MediaError('UNAVAILABLE', 'going away'); };
  await expect(model.infer(FRAME)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  const reason = await model.lost;
  expect(reason).toContain(`${first.url}: `);
  expect(reason).toContain(`${second.url}: the server is not ready`);
  await expect(model.infer(FRAME)).rejects.toThrow('no server of far can be asked now');
});

test('[INF-4] a server that goes while nobody asks is noticed', async () => {
  await using server = await FakeKserve.start();
  using model = await load({ urls: [server.url] });
  server.modelReady = false;
  watch();
  expect(await model.lost).toContain('the model m is not ready there');
});

test('[INF-4] a server that fails on a picture, or answers nonsense, costs that picture alone', async () => {
  await using server = await FakeKserve.start();
  using model = await load({ urls: [server.url] });
  const fails: readonly [FakeKserve['infer'], string][] = [
    [() => { throw new MediaError('INTERNAL', 'out of memory'); }, 'INTERNAL'],
    [() => ({ outputs: yoloAnswer(1).outputs!, rawOutputContents: [GOOD_RAW.subarray(4)] }), 'UNPROCESSABLE'],
    [() => ({}), 'UNPROCESSABLE'],
  ];
  for (const [infer, code] of fails) {
    server.infer = infer;
    await expect.poll(() => model.infer(FRAME).catch((error: unknown) => (error as MediaError).code)).toBe(code);
    server.infer = () => yoloAnswer(0.75);
    await expect.poll(async () => (await model.infer(FRAME).catch(() => null))?.detections).toEqual([CAT]); // it was asked how it is, and is well
  }
});

test('[INF-4] values that are no numbers are no detections', async () => {
  await using server = await FakeKserve.start();
  using model = await load({ urls: [server.url] });
  for (const value of [Number.NaN, Infinity, -Infinity]) {
    server.infer = () => ({ ...yoloAnswer(1), rawOutputContents: [rawFloats(Array.from({ length: 126 }, () => value))] });
    expect((await model.infer(FRAME)).detections).toEqual([]);
  }
});

test('[INF-4] a server that goes on being too late is waited for no more', async () => {
  await using server = await FakeKserve.start();
  using model = await load({ urls: [server.url] }, 1500);
  server.infer = () => new Promise(() => undefined);
  let late = 0;
  await expect.poll(async () => {
    late += Number(await model.infer(FRAME).catch((error: unknown) => (error as MediaError).code) === 'DEADLINE_EXCEEDED');
    return late;
  }, { timeout: 15_000 }).toBe(3);
  expect(await model.lost).toBe('3 pictures in a row had no answer within 1500 ms (inference.deadline_ms)');
});

test('[INF-4] servers that serve something else under the name are not used; a model that becomes another is loaded anew, with another digest', async () => {
  await using first = await FakeKserve.start();
  await using second = await FakeKserve.start();
  second.metadata = { ...YOLO, versions: ['2'] };
  using model = await load({ urls: [first.url, second.url] });
  first.metadata = { ...YOLO, versions: ['2', '1'] };
  watch();
  expect(await model.lost).toContain('what it serves as this model is not what it was');
  expect(second.asked).toEqual([]);
  using again = await load({ urls: [first.url, second.url] });
  expect(again.info.digest).not.toBe(model.info.digest);
  first.metadata = YOLO;
  using before = await load({ urls: [first.url, second.url] });
  expect(before.info.digest).toBe(model.info.digest);
});
