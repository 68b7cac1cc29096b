import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator } from 'playwright-core';
import { expect, test } from 'vitest';
import { startChromium } from '../support/chromium.ts';
import { FIXTURES, ffmpegPush } from '../support/media.ts';
import { modelWithExternalData, tinyModel } from '../support/onnx-writer.ts';
import { clumsyTargets, openAs, sideways } from '../support/pages.ts';
import { TestServer } from '../support/server.ts';

const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1440, height: 900 };

const IMAGES = join(FIXTURES, 'images');

interface Trial { readonly detections: readonly { readonly bbox: { readonly x: number; readonly y: number; readonly width: number; readonly height: number } }[] }
interface Model { readonly name: string; readonly state: string; readonly failure: string | null; readonly input: unknown; readonly labels: readonly string[]; readonly batch: unknown }

test('[INF-2][INF-3][INF-5] an .onnx file copied into the folder of a running server is in GET /v1/models and a camera can use it; a hostile one is there with the reason, on the page, too', { timeout: 120_000 }, async () => {
  await using server = await TestServer.start();
  const folder = join(server.dataDir, 'models');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'mine.onnx'), tinyModel({
    input: { type: 'float32', dims: ['batch', 3, 'height', 'width'] }, metadata: { names: "{0: 'bolt', 1: 'nut'}", task: 'detect', stride: '32', imgsz: '[96, 128]' },
    outputs: [{ name: 'output0', type: 'float32', dims: [1, 1, 6], base: [10, 10, 20, 20, 0.9, 1] }],
  }));
  writeFileSync(join(folder, 'fours.onnx'), tinyModel({
    batched: true, input: { type: 'uint8', dims: [4, 32, 32, 3] }, metadata: { names: "{0: 'bolt', 1: 'nut'}" }, outputs: [{ name: 'output0', type: 'float32', dims: [1, 1, 6], base: [10, 10, 20, 20, 0.9, 1] }],
  }));
  writeFileSync(join(folder, 'hostile.onnx'), modelWithExternalData('/etc/passwd'));
  writeFileSync(join(folder, 'text.onnx'), 'this is no model');
  const model = async (name: string): Promise<Model | undefined> => (await server.request<{ items: readonly Model[] }>('GET', '/v1/models')).items.find((each) => each.name === name);
  await expect.poll(() => model('mine'), { timeout: 20_000, interval: 200 }).toMatchObject({ state: 'ready', failure: null, input: { width: 128, height: 96 }, labels: ['bolt', 'nut'] });
  await expect.poll(() => model('hostile'), { timeout: 20_000, interval: 200 }).toMatchObject({ state: 'failed', failure: expect.stringContaining('external data') });
  await expect.poll(() => model('text'), { timeout: 20_000, interval: 200 }).toMatchObject({ state: 'failed', failure: expect.stringMatching(/./) });
  expect(await model('nanodet-g-416.int8.u8')).toMatchObject({ state: 'ready', batch: { pictures: 1, reason: 'its input is one picture' } });
  expect(await model('mine')).toMatchObject({ batch: { pictures: 1, reason: expect.stringMatching(/^two pictures together fail: /) } });
  await expect.poll(() => model('fours'), { timeout: 20_000, interval: 200 }).toMatchObject({ state: 'ready', batch: { pictures: 4, reason: 'its input is 4 pictures' } });
  await server.addCamera('belt', { pipelines: ['mine'] });

  await using browser = await startChromium({ viewport: PHONE });
  const page = await browser.context.newPage();
  for (const size of [PHONE, DESKTOP]) {
    await page.setViewportSize(size);
    await openAs(page, server, '/models');
    await page.getByRole('heading', { name: 'hostile' }).waitFor();
    const card = (name: string) => page.locator('.model').filter({ has: page.getByRole('heading', { name, exact: true }) });
    expect(await card('mine').innerText()).toMatch(/ready[^]*128 × 96[^]*belt[^]*2 classes: bolt, nut/);
    expect(await card('fours').innerText()).toMatch(/In one run\s+up to 4 pictures/);
    expect(await card('mine').innerText()).toMatch(/Runs on\s+ONNX Runtime on the CPU/);
    expect(await card('hostile').innerText()).toMatch(/cannot be used[^]*external data/);
    expect(await sideways(page)).toBeLessThanOrEqual(0);
    expect(await clumsyTargets(page)).toEqual([]);
  }
});

test('[INF-2] [INF-3] a picture chosen on the page is shown to a model: its boxes, how sure it is, and what took how long', { timeout: 180_000 }, async () => {
  await using server = await TestServer.start({ env: { IMAGEFLOW_INFERENCE_DEADLINE_MS: '20000' } }); // whatever else the machine has to do
  await using browser = await startChromium({ viewport: PHONE });
  const page = await browser.context.newPage();
  await openAs(page, server, '/models');
  const card = page.locator('.model').filter({ has: page.getByRole('heading', { name: 'nanodet-g-416.int8.u8', exact: true }) });
  await card.getByRole('button', { name: 'Try it' }).click();
  const choose = card.locator('input[type=file]').first();
  const boxes = card.locator('canvas[data-boxes]');

  await choose.setInputFiles(join(IMAGES, 'vtest-100.png'));
  await boxes.waitFor({ state: 'attached' });
  const least = card.getByRole('slider', { name: 'Confidence from' });
  const found = card.locator('.found-list li');
  const atDefault = await found.count();
  expect(atDefault).toBeGreaterThan(1);
  expect(await found.first().innerText()).toMatch(/person\s+\d+ %/);
  expect(await boxes.getAttribute('data-boxes')).toBe(String(atDefault));
  await least.fill('0.05');
  expect(await found.count()).toBeGreaterThan(atDefault);
  expect(await card.innerText()).toMatch(/768 × 576[^]*Decoding\s+[\d.]+ ms[^]*Model\s+[\d.]+ ms/);
  const answer = await server.fetch('/v1/models/nanodet-g-416.int8.u8/try?confidence=0.05', { method: 'POST', headers: { 'content-type': 'image/png' }, body: readFileSync(join(IMAGES, 'vtest-100.png')) });
  const { detections: [surest] } = (await answer.json()) as Trial;
  if (!surest) throw new Error('nothing was found');
  for (const size of [PHONE, DESKTOP]) {
    await page.setViewportSize(size);
    expect(await sideways(page)).toBeLessThanOrEqual(0);
    expect(await clumsyTargets(page)).toEqual([]);
    await expect.poll(() => inkAround(card, surest.bbox)).toBeGreaterThan(0.9);
  }
  await least.fill('1');
  expect(await boxes.getAttribute('data-boxes')).toBe('0');

  // What is none is said, also where the browser takes it for one.
  await choose.setInputFiles({ name: 'notes.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('no picture') });
  expect(await card.getByRole('alert').innerText()).toContain('no picture that the browser can read');
  // A format the server does not take is sent as one that it does, and one by drag and drop.
  await card.locator('.try-choice').evaluate(async (place) => {
    const blob = await new Promise<Blob>((resolve) => { const canvas = document.createElement('canvas'); canvas.width = 64; canvas.height = 48; canvas.toBlob((made) => { if (made) resolve(made); }, 'image/webp'); });
    const transfer = new DataTransfer();
    transfer.items.add(new File([blob], 'dropped.webp', { type: 'image/webp' }));
    place.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
  });
  await expect.poll(() => card.innerText(), { timeout: 20_000 }).toContain('64 × 48');
  // A phone's picture lies on its side in the file, and is shown to the model as one sees it.
  await choose.setInputFiles({ name: 'phone.jpg', mimeType: 'image/jpeg', buffer: turnedByExif(readFileSync(join(IMAGES, 'messi5.jpg'))) });
  await expect.poll(() => card.innerText(), { timeout: 20_000 }).toContain('342 × 548');
});

test('[INF-3] on the page a model is added, replaced by one that can be used and by no other, and deleted; who may not is offered none of it', { timeout: 180_000 }, async () => {
  await using server = await TestServer.start({ env: { IMAGEFLOW_INFERENCE_MAX_MODEL_BYTES: String(8 << 20) } });
  await using browser = await startChromium({ viewport: PHONE });
  const page = await browser.context.newPage();
  await openAs(page, server, '/models');
  const version = (names: string): Buffer => tinyModel({ input: { type: 'float32', dims: [1, 3, 32, 32] }, metadata: { names }, outputs: [{ name: 'output0', type: 'float32', dims: [1, 1, 6], base: [1, 1, 9, 9, 0.9, 0] }] });
  const add = page.getByRole('region', { name: 'Add a model' });
  const card = page.locator('.model').filter({ has: page.getByRole('heading', { name: 'bolts-v1', exact: true }) });
  const choose = (name: string, buffer: Buffer) => add.locator('input[type=file]').setInputFiles({ name, mimeType: 'application/octet-stream', buffer });

  await choose('bolts v1.onnx', version("{0: 'bolt'}"));
  expect(await add.getByLabel('Name').inputValue()).toBe('bolts-v1');
  for (const size of [DESKTOP, PHONE]) {
    await page.setViewportSize(size);
    expect(await sideways(page)).toBeLessThanOrEqual(0);
    expect(await clumsyTargets(page)).toEqual([]);
  }
  await add.getByRole('button', { name: 'Upload' }).click();
  await add.getByText('bolts-v1 is ready.').waitFor({ timeout: 60_000 });
  expect(await card.innerText()).toMatch(/ready[^]*1 class: bolt/);

  await choose('bolts-v1.onnx', Buffer.from('this is no model'));
  expect(await add.innerText()).toContain('takes the place of bolts-v1');
  await add.getByRole('button', { name: 'Replace bolts-v1' }).click();
  expect(await add.getByRole('alert').innerText()).toMatch(/no model that can be used here[^]*Nothing has changed/);
  expect(await card.innerText()).toMatch(/ready[^]*bolt/);
  await choose('bolts-v1.onnx', Buffer.alloc((8 << 20) + 1));
  expect(await add.getByRole('alert').innerText()).toContain('8.0 MB are taken');
  expect(await add.getByRole('button', { name: 'Replace bolts-v1' }).isDisabled()).toBe(true);
  await choose('bolts-v1.onnx', version("{0: 'nut'}"));
  await add.getByRole('button', { name: 'Replace bolts-v1' }).click();
  await add.getByText('bolts-v1 is ready.').waitFor({ timeout: 60_000 });
  expect(await card.innerText()).toMatch(/1 class: nut/);

  await server.addCamera('belt', { pipelines: ['bolts-v1'] });
  const remove = async (): Promise<void> => {
    await card.getByRole('button', { name: 'Delete', exact: true }).click();
    expect(await clumsyTargets(page)).toEqual([]);
    await card.getByRole('button', { name: 'Delete for good' }).click();
  };
  await remove();
  expect(await card.getByRole('alert').innerText()).toContain('used by belt');
  await server.request('PATCH', '/v1/cameras/belt', { pipelines: [] });
  await remove();
  await card.waitFor({ state: 'detached', timeout: 30_000 });

  await server.request('POST', '/v1/users', { username: 'looker', password: 'looker-password', role: 'viewer' });
  const { access_token: viewer } = await server.request<{ access_token: string }>('POST', '/v1/auth/login', { username: 'looker', password: 'looker-password' });
  await openAs(page, server, '/models', viewer);
  await page.getByRole('heading', { name: 'inspect-320' }).waitFor();
  for (const name of ['Try it', 'Delete', 'Upload']) expect(await page.getByRole('button', { name }).count()).toBe(0);
  expect(await page.getByRole('region', { name: 'Add a model' }).count()).toBe(0);
});

/** The same picture, with a note that it is to be turned by 90° (Exif 2.32 §4.6.4). */
const turnedByExif = (jpeg: Buffer): Buffer => {
  const tiff = Buffer.from([0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, 0xe1, 0, 8 + tiff.length]), Buffer.from('Exif\0\0', 'latin1'), tiff, jpeg.subarray(2)]);
};

/** Which share of the outline of a box is drawn over the picture shown, where that is really seen. */
const inkAround = (card: Locator, box: Trial['detections'][number]['bbox']): Promise<number> =>
  card.locator('canvas').evaluate((canvas: HTMLCanvasElement, { x, y, width, height }) => {
    const picture = canvas.parentElement?.querySelector('img');
    if (!picture) return 0;
    const [seen, over] = [picture.getBoundingClientRect(), canvas.getBoundingClientRect()];
    const [scale, left, top] = [(canvas.width / over.width) * (seen.width / picture.naturalWidth), (canvas.width / over.width) * (seen.left - over.left), (canvas.width / over.width) * (seen.top - over.top)];
    const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data;
    const drawn = (across: number, down: number): boolean => (pixels?.[4 * (Math.round(top + down * scale) * canvas.width + Math.round(left + across * scale)) + 3] ?? 0) > 0;
    const steps = Array.from({ length: 50 }, (_, i) => (i + 0.5) / 50);
    const points = steps.flatMap((t) => [[x, y + t * height], [x + width, y + t * height]] as const);
    return points.filter(([across, down]) => drawn(across, down)).length / points.length;
  }, box);

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
