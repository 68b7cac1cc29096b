import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { modelWithExternalData, tinyModel } from '../support/onnx-writer.ts';
import { TestServer } from '../support/server.ts';

interface Model { readonly name: string; readonly state: string; readonly failure: string | null; readonly input: unknown; readonly labels: readonly string[] }

test('[INF-2][INF-3] an .onnx file copied into the folder of a running server is in GET /v1/models and a camera can use it; a hostile one is there with the reason', async () => {
  await using server = await TestServer.start();
  const folder = join(server.dataDir, 'models');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'mine.onnx'), tinyModel({
    input: { type: 'float32', dims: ['batch', 3, 'height', 'width'] }, metadata: { names: "{0: 'bolt', 1: 'nut'}", task: 'detect', stride: '32', imgsz: '[96, 128]' },
    outputs: [{ name: 'output0', type: 'float32', dims: [1, 1, 6], base: [10, 10, 20, 20, 0.9, 1] }],
  }));
  writeFileSync(join(folder, 'hostile.onnx'), modelWithExternalData('/etc/passwd'));
  writeFileSync(join(folder, 'text.onnx'), 'this is no model');
  const model = async (name: string): Promise<Model | undefined> => (await server.request<{ items: readonly Model[] }>('GET', '/v1/models')).items.find((each) => each.name === name);
  await expect.poll(() => model('mine'), { timeout: 20_000, interval: 200 }).toMatchObject({ state: 'ready', failure: null, input: { width: 128, height: 96 }, labels: ['bolt', 'nut'] });
  await expect.poll(() => model('hostile'), { timeout: 20_000, interval: 200 }).toMatchObject({ state: 'failed', failure: expect.stringContaining('external data') });
  await expect.poll(() => model('text'), { timeout: 20_000, interval: 200 }).toMatchObject({ state: 'failed', failure: expect.stringMatching(/./) });
  expect(await model('nanodet-g-416.int8.u8')).toMatchObject({ state: 'ready' });
  await server.addCamera('belt', { pipelines: ['mine'] });
});
