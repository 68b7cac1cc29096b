/** The search for recordings in a real browser: what was marked is found, opened by keys, and found again by the back button, among a thousand. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { clumsyTargets, openAs, sideways } from '../support/pages.ts';
import { closedSegments, endOf, segmentsOf, startOf } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';

const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1440, height: 900 };
const CAMERA = 'belt';
const SLOW = 60_000;
const HITS = 1000;
const AT_ONCE = 20;

const stack = new AsyncDisposableStack();
let server: TestServer;
let page: Page;
let from: number;

const iso = (ms: number): string => new Date(Math.round(ms)).toISOString();
const mark = (at: number, more: Readonly<Record<string, unknown>>): Promise<unknown> =>
  server.request('POST', `/v1/recordings/${CAMERA}/marks`, { kind: 'link', from: iso(from + at), to: iso(from + at + 2000), ...more });
const hits = () => page.locator('a.hit');
const focused = (): Promise<number> => page.evaluate(() => [...document.querySelectorAll('a.hit')].indexOf(document.activeElement as Element));

beforeAll(async () => {
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '2' } }));
  const camera = await server.addCamera(CAMERA, { name: 'Inspection belt', pipelines: [] });
  {
    await using _push = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera));
    await until('enough is recorded', async () => { const all = await segmentsOf(server, CAMERA); return all.length > 0 && endOf(all.at(-1)!) - startOf(all[0]!) >= 14_000; }, SLOW);
  }
  const [first] = await closedSegments(server, CAMERA);
  from = startOf(first!);
  await mark(1000, { title: 'Scratch on the housing', work_order_id: 'WO-2481', product_type: 'Housing A', inspection_result: 'NG', tags: ['scratch'] });
  for (let i = 0; i < HITS - 1; i += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, HITS - 1 - i) }, (_, j) => mark(2000 + (i + j) * 10, { work_order_id: `WO-${String(i + j)}`, product_type: 'Housing B', inspection_result: 'OK' })));
  }
  const browser = stack.use(await startChromium({ viewport: DESKTOP }));
  page = await browser.context.newPage();
}, 180_000);
afterAll(() => stack.disposeAsync());
beforeEach(() => page.setViewportSize(DESKTOP));

test('[REC-6] the inspection of a work order is found by typing, opened by keys, played exactly, and found again by the back button', async () => {
  await openAs(page, server, '/recordings');
  await hits().first().waitFor({ timeout: SLOW });
  await page.keyboard.press('/');
  await page.keyboard.type('scratch housing');
  await page.waitForSelector('a.hit:has-text("Scratch on the housing")', { timeout: SLOW });
  expect(await hits().count()).toBe(1);
  expect(await hits().first().textContent()).toMatch(/Order WO-2481.*Housing A.*Inspection belt.*NG.*scratch/);
  expect(new URL(page.url()).search).toBe('?q=scratch+housing');
  await page.waitForSelector('a.hit .thumb[data-state=shown]', { timeout: SLOW });
  await hits().first().focus();
  await page.keyboard.press('Enter');
  await page.waitForSelector('.range', { timeout: SLOW });
  const { searchParams, pathname } = new URL(page.url());
  expect([pathname, searchParams.get('from'), searchParams.get('to')]).toEqual([`/cameras/${CAMERA}/recordings`, iso(from + 1000), iso(from + 3000)]);
  await until('it plays', () => page.evaluate(() => (document.querySelector('video')?.currentTime ?? 0) > 0.2), SLOW);
  await page.goBack();
  await page.waitForSelector('a.hit:has-text("Scratch on the housing")', { timeout: SLOW });
  expect(await page.inputValue('input[type=search]')).toBe('scratch housing');
});

test('[REC-6] filters narrow, stand in the address, are undone by the back button, and an empty answer says what to do', async () => {
  await openAs(page, server, '/recordings');
  await hits().first().waitFor({ timeout: SLOW });
  await page.click('.filters-more');
  await page.fill('input[name=inspection_result]', 'NG');
  await page.keyboard.press('Enter');
  await until('only one', async () => (await hits().count()) === 1 && /NG/.test((await hits().first().textContent()) ?? ''), SLOW);
  expect(new URL(page.url()).searchParams.get('inspection_result')).toBe('NG');
  await page.click('.filters-time >> text=Yesterday');
  await page.waitForSelector('.empty >> text=Nothing matches.', { timeout: SLOW });
  await page.goBack();
  await page.waitForSelector('a.hit:has-text("NG")', { timeout: SLOW });
  await page.click('text=Clear all');
  await until('no filter is left', () => new URL(page.url()).search === '');
});

test('[REC-6] a thousand hits come page by page, arrow keys move through them, on a phone and on a desktop', async () => {
  for (const size of [PHONE, DESKTOP]) {
    await page.setViewportSize(size);
    await openAs(page, server, '/recordings?product_type=Housing+B');
    await hits().first().waitFor({ timeout: SLOW });
    const columns = size === PHONE ? 1 : await page.evaluate(() => getComputedStyle(document.querySelector('.hits')!).gridTemplateColumns.split(' ').length);
    await hits().first().focus();
    await page.keyboard.press('ArrowRight');
    expect(await focused()).toBe(1);
    await page.keyboard.press('ArrowDown');
    expect(await focused()).toBe(1 + columns);
    await until('all of them', async () => {
      await page.keyboard.press('End');
      return (await hits().count()) === HITS - 1;
    }, 2 * SLOW);
    expect(new Set(await hits().evaluateAll((all) => all.map((each) => each.querySelector('.hit-title')?.textContent))).size).toBe(HITS - 1);
    expect(await sideways(page)).toBeLessThanOrEqual(0);
    await page.click('.filters-more');
    expect(await clumsyTargets(page)).toEqual([]);
  }
}, 300_000);
