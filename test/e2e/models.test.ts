import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startChromium } from '../support/chromium.ts';
import { ffmpegPush } from '../support/media.ts';
import { modelWithExternalData, tinyModel } from '../support/onnx-writer.ts';
import { clumsyTargets, openAs, sideways } from '../support/pages.ts';
import { TestServer } from '../support/server.ts';

const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1440, height: 900 };

interface Model { readonly name: string; readonly state: string; readonly failure: string | null; readonly input: unknown; readonly labels: readonly string[] }

test('[INF-2][INF-3] an .onnx file copied into the folder of a running server is in GET /v1/models and a camera can use it; a hostile one is there with the reason, on the page, too', { timeout: 120_000 }, async () => {
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

  await using browser = await startChromium({ viewport: PHONE });
  const page = await browser.context.newPage();
  for (const size of [PHONE, DESKTOP]) {
    await page.setViewportSize(size);
    await openAs(page, server, '/models');
    await page.getByRole('heading', { name: 'hostile' }).waitFor();
    const card = (name: string) => page.locator('.model').filter({ has: page.getByRole('heading', { name, exact: true }) });
    expect(await card('mine').innerText()).toMatch(/ready[^]*128 × 96[^]*belt[^]*2 classes: bolt, nut/);
    expect(await card('hostile').innerText()).toMatch(/cannot be used[^]*external data/);
    expect(await sideways(page)).toBeLessThanOrEqual(0);
    expect(await clumsyTargets(page)).toEqual([]);
  }
});

test('[EXT-2] [DIS-5] the page of a camera says what runs on it, at how many pictures a second and how long that takes', { timeout: 180_000 }, async () => {
  await using server = await TestServer.start();
  const camera = await server.addCamera('belt', { pipelines: [{ id: 'inspect-320', fps: 6 }, { id: 'detect', fps: 2 }] });
  await using _push = ffmpegPush(join(import.meta.dirname, '..', '..', 'demo', 'clips', 'inspection-720p30.mp4'), server.rtspUrl(camera), { loop: true });
  await using browser = await startChromium({ viewport: PHONE });
  const page = await browser.context.newPage();
  await openAs(page, server, '/cameras/belt');
  for (const [name, least, most] of [['inspect-320', 4.5, 7], ['detect', 1.4, 2.6]] as const) {
    const row = page.locator('.detectors li').filter({ has: page.getByText(name, { exact: true }) });
    await expect.poll(async () => Number(/([\d.]+) fps/.exec(await row.innerText().catch(() => ''))?.[1] ?? 0), { timeout: 60_000 }).toSatisfy((fps: number) => fps >= least && fps <= most);
    expect(await row.innerText()).toMatch(/In all[^]*ms[^]*Model[^]*ms/);
  }
  expect(await page.locator('.detectors').innerText()).toMatch(/nanodet-g-(416|320)\.int8\.u8/); // on a busy machine it may be lowered
  for (const size of [PHONE, DESKTOP]) {
    await page.setViewportSize(size);
    expect(await sideways(page)).toBeLessThanOrEqual(0);
    expect(await clumsyTargets(page)).toEqual([]);
  }
  await openAs(page, server, '/models');
  for (const [model, words] of [['nanodet-g-416.int8.u8', /Cameras\s+belt/], ['nanodet-g-320.int8.u8', /Cameras\s+none\s+Under overload\s+belt/]] as const) {
    const card = page.locator('.model').filter({ has: page.getByRole('heading', { name: model }) });
    await expect.poll(() => card.innerText().catch(() => ''), { timeout: 20_000 }).toMatch(words);
  }
});
