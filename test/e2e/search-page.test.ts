/** The search for recordings in a real browser: what was marked is found, opened by keys, and found again by the back button, among a thousand. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
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
  await mark(1000, { title: 'Scratch on the housing', work_order_id: 'WO-2481', product_type: 'Housing A', inspection_result: 'NG', tags: ['scratch'], product_id: 'P-99120', inspection_id: 'I-33', instruction_id: 'N-7', monthly_sequence: 412, production_date: '2026-11-24' });
  for (let i = 0; i < HITS - 1; i += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, HITS - 1 - i) }, (_, j) => mark(2000 + (i + j) * 10, { work_order_id: `WO-${String(i + j)}`, product_type: 'Housing B', inspection_result: 'OK' })));
  }
  const database = new Database(join(server.dataDir, 'imageflow.db'));
  const seen = database.prepare("insert into sightings (camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence, analysed_by) values (?, 'dent', ?, ?, ?, ?, 0.9, ?)");
  seen.run(CAMERA, from + 1000, from + 1500, 5, 1, '');
  seen.run(CAMERA, from + 7000, from + 7500, 30, 3, '');
  seen.run(CAMERA, from + 7000, from + 7500, 40, 2, 'fine');
  database.close();
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

test('[REC-6] the rarer filters are behind one more button, by keys alone, on a phone, and each is taken away by its words', async () => {
  await page.setViewportSize(PHONE);
  await openAs(page, server, '/recordings');
  await hits().first().waitFor({ timeout: SLOW });
  for (const button of ['.filters-more', '.filters-all']) {
    await page.focus(button);
    await page.keyboard.press('Enter');
  }
  await page.waitForSelector('input[name=product_id]', { timeout: SLOW });
  // Where the page is laid out anew it is looked at once that has settled.
  await expect.poll(() => clumsyTargets(page), { timeout: SLOW }).toEqual([]);
  await expect.poll(() => sideways(page), { timeout: SLOW }).toBeLessThanOrEqual(0);
  // One after the other, as the Tab key goes.
  await page.focus('input[name=product_id]');
  for (const text of ['P-99120', 'I-33', 'N-7', '412']) {
    await page.keyboard.type(text);
    await page.keyboard.press('Tab');
  }
  await page.fill('input[name=production_date_from]', '2026-11-01');
  await page.fill('input[name=production_date_to]', '2026-11-30');
  await page.keyboard.press('Tab');
  const address = (): Record<string, string> => Object.fromEntries(new URL(page.url()).searchParams);
  await expect.poll(address, { timeout: SLOW }).toEqual({ product_id: 'P-99120', inspection_id: 'I-33', instruction_id: 'N-7', monthly_sequence: '412', production_date_from: '2026-11-01', production_date_to: '2026-11-30' });
  await until('only one', async () => (await hits().count()) === 1, SLOW);
  expect(await hits().first().textContent()).toContain('Scratch on the housing');

  // Somebody else opens the address: the hits come first, what is set is told in words.
  await page.goto(page.url());
  await until('only one', async () => (await hits().count()) === 1, SLOW);
  expect(await page.isVisible('#further')).toBe(false);
  const chips = page.locator('.chip');
  await until('all of it is told', async () => (await chips.count()) === 5);
  expect(await chips.allTextContents()).toEqual(['Product id: P-99120×', 'Inspection id: I-33×', 'Instruction: N-7×', 'Monthly sequence: 412×', 'Produced 2026-11-01 to 2026-11-30×']);
  await expect.poll(() => clumsyTargets(page), { timeout: SLOW }).toEqual([]);
  await chips.filter({ hasText: 'Monthly sequence' }).press('Enter');
  await until('it is gone', async () => address()['monthly_sequence'] === undefined && (await chips.count()) === 4);
  await page.goBack();
  await until('it is back', () => address()['monthly_sequence'] === '412');
});

test('[REC-6] of a detected class its number, its number at once and who has seen it are asked for, and of no class nothing', async () => {
  await openAs(page, server, '/recordings');
  await hits().first().waitFor({ timeout: SLOW });
  await page.click('.filters-more');
  await page.click('.filters-all');
  expect(await page.isDisabled('input[name=min_count]')).toBe(true);
  await page.fill('input[name=class]', 'dent');
  await page.keyboard.press('Enter');
  const found = (words: readonly RegExp[]): Promise<boolean> => until(`hits: ${words.join(', ')}`, async () => {
    const all = await hits().allTextContents();
    return all.length === words.length && words.every((each) => all.some((hit) => each.test(hit)));
  }, SLOW);
  await found([/dent × 5, up/, /dent × 30, 3 at once/, /dent × 40, 2 at once.*analysis, fine/]);
  await page.fill('input[name=min_count]', '10');
  await page.keyboard.press('Enter');
  await found([/× 30/, /× 40/]);
  await page.fill('input[name=min_at_once]', '3');
  await page.keyboard.press('Enter');
  await found([/× 30/]);
  await page.fill('input[name=min_at_once]', '');
  await page.keyboard.press('Enter');
  await page.selectOption('select[name=source]', 'analysis');
  await found([/× 40/]);
  expect(Object.fromEntries(new URL(page.url()).searchParams)).toEqual({ class: 'dent', min_count: '10', source: 'analysis' });
  // A number that is none is told, and not searched for.
  await page.fill('input[name=min_count]', '-3');
  await page.keyboard.press('Enter');
  expect(await page.evaluate(() => document.querySelector<HTMLInputElement>('input[name=min_count]')?.validationMessage)).not.toBe('');
  expect(new URL(page.url()).searchParams.get('min_count')).toBe('10');
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
    await page.click('.filters-all');
    expect(await clumsyTargets(page)).toEqual([]);
  }
}, 300_000);
