/** A camera's recordings page in a real browser: quality staff find a moment, look at it picture by picture, mark it, and hand it on. */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import type { Chromium } from '../support/chromium.ts';
import { readFrameStrip } from '../support/frame-strip.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { clumsyTargets, openAs, sideways } from '../support/pages.ts';
import { endOf, segmentsOf, startOf } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';

const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1440, height: 900 };
const CAMERA = 'belt';
const PAGE = `/cameras/${CAMERA}/recordings`;
/** Generous: two processors carry the server, its camera and a browser without a graphics card. */
const SLOW = 60_000;
const RECORDED_MS = 20_000;

interface Mark { readonly id: string; readonly kind: string; readonly from: string; readonly to: string; readonly title: string | null; readonly work_order_id: string | null; readonly tags: readonly string[] }

const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;
let browser: Chromium;
let page: Page;
let recorded: { readonly from: number; readonly to: number };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-recordings-page-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '2' } }));
  const camera = await server.addCamera(CAMERA, { name: 'Inspection belt', pipelines: [] });
  {
    await using _push = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera));
    await until('enough is recorded', async () => { const all = await segmentsOf(server, CAMERA); return all.length > 0 && endOf(all.at(-1)!) - startOf(all[0]!) >= RECORDED_MS; }, SLOW);
  }
  await until('the recording is closed', async () => (await segmentsOf(server, CAMERA)).every(({ open }) => !open), SLOW);
  const all = await segmentsOf(server, CAMERA);
  recorded = { from: startOf(all[0]!), to: endOf(all.at(-1)!) };
  browser = stack.use(await startChromium({ viewport: DESKTOP }));
  page = await browser.context.newPage();
});
afterAll(() => stack.disposeAsync());
beforeEach(async () => {
  await page.setViewportSize(DESKTOP);
  for (const { id } of await marks()) await server.request('DELETE', `/v1/marks/${id}`);
});

const marks = async (): Promise<readonly Mark[]> => (await server.request<{ items: readonly Mark[] }>('GET', `/v1/recordings/${CAMERA}/marks`)).items;
const iso = (ms: number): string => new Date(Math.round(ms)).toISOString();
const linkTo = (from: number, to: number): string => `${PAGE}?from=${iso(from)}&to=${iso(to)}`;
const video = (of = page): Promise<{ readonly at: number; readonly duration: number; readonly paused: boolean; readonly rate: number; readonly error: string | null }> =>
  of.evaluate(() => {
    const it = document.querySelector('video');
    return { at: it?.currentTime ?? 0, duration: it?.duration ?? 0, paused: it?.paused ?? true, rate: it?.playbackRate ?? 0, error: it?.error?.message ?? null };
  });
/** The range the page's address names. */
const marked = (of = page): { readonly from: number; readonly to: number } => {
  const query = new URL(of.url()).searchParams;
  return { from: Date.parse(query.get('from') ?? ''), to: Date.parse(query.get('to') ?? '') };
};
const window = (): Promise<readonly [number, number]> =>
  page.evaluate(() => { const bar = document.querySelector('.timeline .track'); return [Number(bar?.getAttribute('aria-valuemin')), Number(bar?.getAttribute('aria-valuemax'))] as const; });
/** The number in the picture that is shown. */
const shownPicture = (): Promise<number | null> =>
  page.evaluate((reader) => {
    const it = document.querySelector('video');
    if (!it || it.seeking) return null;
    const canvas = new OffscreenCanvas(320, 10);
    const context = canvas.getContext('2d');
    context?.drawImage(it, 0, 0, it.videoWidth, (it.videoHeight * 40) / 720, 0, 0, 320, 10);
    return ((0, eval)(`(${reader})`) as typeof readFrameStrip)(context?.getImageData(0, 0, 320, 10).data ?? [], 320, 10, 4);
  }, readFrameStrip.toString());
const bar = async (): Promise<{ readonly x: number; readonly y: number; readonly width: number; readonly height: number }> => {
  const box = await page.locator('.timeline .track').boundingBox();
  if (!box) throw new Error('there is no time line');
  return box;
};
const openRange = async (from: number, to: number): Promise<void> => {
  await openAs(page, server, linkTo(from, to));
  await page.waitForSelector('.range', { timeout: SLOW });
  await until('the range plays', async () => (await video()).at > 0.1, SLOW);
};

test('[REC-7] a range that is marked by keys while it plays is linked to a work order, found in the list, and changed and removed there', async () => {
  await openAs(page, server, `${PAGE}?at=${iso(recorded.from + 2000)}`);
  await until('it plays', async () => (await video()).at > 0.3, SLOW);
  await page.keyboard.press('i');
  await page.waitForSelector('.range');
  const began = marked().from;
  const { at } = await video();
  await until('two seconds later', async () => (await video()).at > at + 2, SLOW);
  await page.keyboard.press('o');
  await until('the range ends there', () => marked().to - began < 9_000);
  const range = marked();
  expect(range.from).toBe(began);
  expect(range.to - range.from).toBeGreaterThan(1500);
  expect(range.from).toBeGreaterThanOrEqual(recorded.from + 2000);

  await page.click('.range >> text=Link…');
  await page.fill('.mark-form input[name=title]', 'Scratch on the housing');
  await page.fill('.mark-form input[name=work_order_id]', 'WO-2481');
  await page.fill('.mark-form input[name=tags]', 'scratch, belt 2');
  await page.click('.mark-form button[type=submit]');
  await page.waitForSelector('.marks li:has-text("Scratch on the housing")', { timeout: SLOW });
  expect(await marks()).toMatchObject([{ kind: 'link', from: iso(range.from), to: iso(range.to), title: 'Scratch on the housing', work_order_id: 'WO-2481', tags: ['belt 2', 'scratch'] }]);
  expect(await page.locator('.lane .mark').count()).toBe(1);

  await page.click('.marks li >> text=Edit');
  await page.fill('.marks input[name=title]', 'Dent');
  await page.fill('.marks input[name=work_order_id]', '');
  await page.click('.marks button[type=submit]');
  await page.waitForSelector('.marks li:has-text("Dent")', { timeout: SLOW });
  expect(await marks()).toMatchObject([{ title: 'Dent', work_order_id: null, tags: ['belt 2', 'scratch'] }]);

  await page.click('.marks li >> text=Remove');
  expect(await marks()).toHaveLength(1); // it asks first
  await page.click('.marks li >> text=Remove it');
  await page.waitForSelector('.marks', { state: 'detached', timeout: SLOW });
  expect(await marks()).toEqual([]);
});

test('[REC-7] a range is marked by dragging, made longer by its handle, pinned, shown again by its mark, and given up with Escape', async () => {
  await openAs(page, server, `${PAGE}?at=${iso(recorded.from + 1000)}`);
  await until('it plays', async () => (await video()).at > 0, SLOW);
  for (let i = 0; i < 4; i++) await page.click('.window-controls button[aria-label="Zoom in"]');
  await page.waitForSelector('.timeline .segment', { state: 'attached', timeout: SLOW });
  const { x, y, width, height } = await bar();
  await page.mouse.move(x + width * 0.5, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + width * 0.55, y + height / 2, { steps: 4 });
  await page.mouse.move(x + width * 0.6, y + height / 2, { steps: 4 });
  await page.mouse.up();
  const [start, end] = await window();
  const dragged = marked();
  const pixel = (end - start) / width;
  expect(Math.abs(dragged.from - (start + (end - start) * 0.5))).toBeLessThanOrEqual(3 * pixel);
  expect(Math.abs(dragged.to - (start + (end - start) * 0.6))).toBeLessThanOrEqual(3 * pixel);

  await page.focus('.timeline .handle.to');
  for (let i = 0; i < 3; i++) {
    const { to } = marked();
    await page.keyboard.press('ArrowRight');
    await until('the range is longer', () => marked().to > to);
  }
  const longer = marked();
  expect([longer.from, longer.to > dragged.to]).toEqual([dragged.from, true]);

  await page.click('.range >> text=Pin');
  await page.waitForSelector('.marks li', { timeout: SLOW });
  expect(await marks()).toMatchObject([{ kind: 'pin', from: iso(longer.from), to: iso(longer.to) }]);
  await page.keyboard.press('Escape');
  await page.waitForSelector('.range', { state: 'detached' });
  expect(new URL(page.url()).search).toBe('');
  await page.click('.lane .mark');
  await page.waitForSelector('.range');
  expect(marked()).toEqual(longer);
});

test('[REC-5] a shared link opens exactly its range for somebody else: it is marked, it plays from its beginning, and it ends with it', async () => {
  const [from, to] = [Math.round(recorded.from + 4000), Math.round(recorded.from + 7000)];
  await openRange(from, to);
  await page.click('.range >> text=Share');
  const link = (await page.textContent('.share code')) ?? '';
  expect(link).toBe(`${server.http}${linkTo(from, to)}`);
  const other = await browser.context.newPage();
  await other.goto(link);
  await other.waitForSelector('.range', { timeout: SLOW });
  expect(marked(other)).toEqual({ from, to });
  await until('it has played to its end', async () => { const { at, duration } = await video(other); return duration > 0 && at >= duration; }, SLOW);
  const { duration, error } = await video(other);
  expect(error).toBeNull();
  expect(Math.abs(duration - 3)).toBeLessThan(0.2);
  await other.close();
});

test('[REC-5] a range is exported as the file that was shown', async () => {
  await openRange(recorded.from + 3000, recorded.from + 6000);
  const [download] = await Promise.all([page.waitForEvent('download', { timeout: SLOW }), page.click('.range >> text=Export MP4')]);
  expect(download.suggestedFilename()).toMatch(/^belt-.*\.mp4$/);
  const path = join(folder, 'export.mp4');
  await download.saveAs(path);
  expect((await stat(path)).size).toBeGreaterThan(10_000);
  expect((await readFile(path)).subarray(4, 8).toString()).toBe('ftyp');

  const [evidence] = await Promise.all([page.waitForEvent('download', { timeout: SLOW }), page.click('.range >> text=Evidence ZIP')]);
  expect(evidence.suggestedFilename()).toMatch(/^belt-.*-evidence\.zip$/);
  await evidence.saveAs(path);
  expect((await stat(path)).size).toBeGreaterThan(10_000);
  expect((await readFile(path)).subarray(0, 2).toString()).toBe('PK');
});

test('[REC-5] a range is exported with boxes: the page shows how far it is, has the file, and deletes it', async () => {
  await openRange(recorded.from + 3000, recorded.from + 6000);
  await page.click('.range >> text=Export with boxes');
  await page.waitForSelector('.exports li[data-state=done]', { timeout: SLOW });
  const [download] = await Promise.all([page.waitForEvent('download', { timeout: SLOW }), page.click('.exports >> text=Download')]);
  expect(download.suggestedFilename()).toMatch(/^belt-.*-boxes\.mp4$/);
  const path = join(folder, 'boxes.mp4');
  await download.saveAs(path);
  expect((await readFile(path)).subarray(4, 8).toString()).toBe('ftyp');
  for (const size of [PHONE, DESKTOP]) {
    await page.setViewportSize(size);
    expect(await sideways(page), String(size.width)).toBeLessThanOrEqual(0);
    expect(await clumsyTargets(page), String(size.width)).toEqual([]);
  }
  await page.click('.exports >> text=Delete');
  await page.waitForSelector('.exports', { state: 'detached', timeout: SLOW });
  expect(await server.request('GET', '/v1/exports')).toMatchObject({ items: [] });
});

test('[REC-5] pointing at the time line shows the picture of that moment', async () => {
  await openRange(recorded.from + 3000, recorded.from + 6000);
  await page.keyboard.press('k');
  const { x, y, width, height } = await bar();
  const [start, end] = await window();
  for (const at of [recorded.from + 5000, recorded.from + 4000]) {
    await page.mouse.move(x + width * ((at - start) / (end - start)), y + height / 2);
    const before = await page.evaluate(() => document.querySelector<HTMLImageElement>('.preview-frame img')?.src ?? '');
    await until('its picture', () => page.evaluate((old) => { const it = document.querySelector<HTMLImageElement>('.preview-frame img'); return it !== null && it.src !== old && it.naturalWidth > 0; }, before), SLOW);
  }
  await page.mouse.move(5, 5);
  await page.waitForSelector('.preview-frame', { state: 'detached' });
});

test('[REC-5] standing still, the picture goes on and back by exactly one', async () => {
  await openRange(recorded.from + 3000, recorded.from + 12_000);
  await until('it has played for a second', async () => (await video()).at > 1, SLOW);
  await page.keyboard.press('k');
  // The last picture may still be on its way to the screen.
  let stood = { picture: null as number | null, since: 0 };
  const still = await until('a picture that stands still', async () => {
    const picture = await shownPicture();
    if (picture !== stood.picture) stood = { picture, since: performance.now() };
    return picture !== null && performance.now() - stood.since > 500 ? picture : undefined;
  }, SLOW);
  for (const [key, by] of [['.', 1], ['.', 2], ['.', 3], [',', 2], [',', 1], [',', 0], [',', -1]] as const) {
    await page.keyboard.press(key);
    await until(`picture ${String(still + by)}`, async () => (await shownPicture()) === still + by);
  }
  expect((await video()).paused).toBe(true);
});

test('[REC-5] it plays faster, slower and backwards, by the menu and by keys', async () => {
  await openRange(recorded.from + 1000, recorded.from + 18_000);
  await page.selectOption('select[aria-label=Speed]', '0.25');
  expect((await video()).rate).toBe(0.25);
  await page.selectOption('select[aria-label=Speed]', '16');
  expect((await video()).rate).toBe(16);
  await until('it is at its end', async () => { const { at, duration } = await video(); return at >= duration - 0.2; }, SLOW);
  await page.focus('.timeline .track');
  await page.keyboard.press('j');
  const { at } = await video();
  await until('it goes back', async () => (await video()).at < at - 2, SLOW);
  expect(await page.inputValue('select[aria-label=Speed]')).toBe('-1');
  await page.keyboard.press(' ');
  await until('it plays forward again', async () => !(await video()).paused);
  expect((await video()).rate).toBe(1);
});

test('[REC-5] the time line is zoomed by wheel, keys and buttons, moved, and shows a day of the calendar', async () => {
  await openRange(recorded.from + 3000, recorded.from + 6000);
  const before = await window();
  const span = ([start, end]: readonly [number, number]): number => end - start;
  const { x, y, width, height } = await bar();
  await page.mouse.move(x + width / 2, y + height / 2);
  await page.mouse.wheel(0, -100);
  await until('it shows less', async () => span(await window()) < span(before) * 0.9);
  await page.focus('.timeline .track');
  await page.keyboard.press('-');
  await until('it shows more', async () => span(await window()) > span(before));
  const wide = await window();
  await page.click('.window-controls >> text=Earlier');
  await until('it shows what was before', async () => (await window())[0] < wide[0]);
  const [year, month, day] = [new Date(recorded.from).getFullYear(), new Date(recorded.from).getMonth(), new Date(recorded.from).getDate()];
  await page.fill('.window-controls input[type=date]', `${String(year)}-${String(month + 1).padStart(2, '0')}-${String(day).padStart(2, '0')}`);
  await until('it shows the day', async () => (await window())[0] === new Date(year, month, day).getTime());
  expect((await window())[1]).toBe(new Date(year, month, day + 1).getTime());
  await page.waitForSelector('.timeline .segment', { state: 'attached', timeout: SLOW });
});

test('[REC-7] who may only look is offered nothing else', async () => {
  await server.request('POST', '/v1/users', { username: 'looker', password: 'looker-password', role: 'viewer' });
  await server.request('POST', `/v1/recordings/${CAMERA}/marks`, { kind: 'pin', from: iso(recorded.from + 2000), to: iso(recorded.from + 3000), title: 'Kept' });
  const login = await fetch(`${server.http}/v1/auth/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username: 'looker', password: 'looker-password' }) });
  await openAs(page, server, linkTo(recorded.from + 1000, recorded.from + 4000), ((await login.json()) as { access_token: string }).access_token);
  await page.waitForSelector('.marks li', { timeout: SLOW });
  expect(await page.locator('.range button').allTextContents()).toEqual(['Play', 'Export with boxes', 'Share', 'Clear']);
  expect(await page.locator('.marks li button').allTextContents()).toEqual(['Show']);
});

test('[SD-53] the camera\'s page says how it is recorded, and switches recording off and on', async () => {
  const { recording } = await server.request<{ recording: object }>('GET', `/v1/cameras/${CAMERA}`);
  await openAs(page, server, `/cameras/${CAMERA}`);
  await page.click('.recording-state >> text=Stop recording', { timeout: SLOW });
  await page.waitForSelector('.recording-state >> text=Switched off by hand', { timeout: SLOW });
  expect(await server.request('GET', `/v1/cameras/${CAMERA}`)).toMatchObject({ recording: { ...recording, switched: 'off' } });
  await page.click('.recording-state >> text=Start recording');
  await page.waitForSelector('.recording-state >> text=Switched on by hand', { timeout: SLOW });
  expect(await server.request('GET', `/v1/cameras/${CAMERA}`)).toMatchObject({ recording: { ...recording, switched: 'on' } });
});

test('[REC-3] a deletion that was held back is confirmed on the page, after a second look, and by who may', async () => {
  const since = Date.now();
  const database = new Database(join(server.dataDir, 'imageflow.db'));
  try {
    database.prepare("insert into alarms (id, camera_id, code, message, raised, at) values ('recording/retention', null, 'recording_retention_held', 'Three quarters would go.', 1, ?)").run(since);
    const confirmed = (): unknown => database.prepare("select value from settings where key = 'retention.confirmed_hold'").get();
    await openAs(page, server, '/');
    await page.click('.alarms-head', { timeout: SLOW });
    await page.click('[data-code=recording_retention_held] >> text=Delete them');
    await page.click('.confirm >> text=Keep them', { timeout: SLOW });
    await page.click('[data-code=recording_retention_held] >> text=Delete them');
    await page.waitForSelector('.confirm', { timeout: SLOW });
    expect(confirmed()).toBeUndefined();
    await page.click('.confirm >> text=Delete for good');
    await until('it is confirmed', () => confirmed() !== undefined);
    expect(confirmed()).toEqual({ value: String(since) });
  } finally {
    database.prepare("delete from alarms where id = 'recording/retention'").run();
    database.close();
  }
});

test('[DIS-5] on a phone and on a desktop nothing scrolls sideways, and every target can be hit with a thumb', async () => {
  await server.request('POST', `/v1/recordings/${CAMERA}/marks`, { kind: 'link', from: iso(recorded.from + 2000), to: iso(recorded.from + 5000), title: 'W'.repeat(200), note: 'N'.repeat(500), work_order_id: 'O'.repeat(128), tags: ['T'.repeat(64)] });
  for (const size of [PHONE, DESKTOP]) {
    await page.setViewportSize(size);
    await openRange(recorded.from + 1000, recorded.from + 4000);
    await page.waitForSelector('.marks li', { timeout: SLOW });
    for (const open of [null, '.range >> text=Link…', '.range >> text=Share', '.marks li >> text=Edit']) {
      if (open !== null) await page.click(open);
      expect(await sideways(page), `${String(open)} at ${String(size.width)}`).toBeLessThanOrEqual(0);
      expect(await clumsyTargets(page), `${String(open)} at ${String(size.width)}`).toEqual([]);
    }
  }
});
