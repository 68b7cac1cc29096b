/** The lanes of a time line in a real browser: a camera with a detector that was away for a while, on a desktop, and under fingers on a phone. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CDPSession, Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import type { Chromium } from '../support/chromium.ts';
import { storedDetections } from '../support/detections.ts';
import type { StoredDetection } from '../support/detections.ts';
import { playVod } from '../support/hls-player.ts';
import { blankPage } from '../support/live-peers.ts';
import { ffmpegPush } from '../support/media.ts';
import { openAs, sideways } from '../support/pages.ts';
import { closedSegments, endOf, segmentsOf, startOf } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';

const CAMERA = 'belt';
const MODEL = 'inspect-320';
const CLIP = join(import.meta.dirname, '..', '..', 'demo', 'clips', 'inspection-720p30.mp4');
const SECONDS = '8';
const BREAK_MS = 6000;
/** Generous: two processors carry the server, its detector and a browser without a graphics card. */
const SLOW = 60_000;
const DESKTOP = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };

interface Range { readonly from: number; readonly to: number }
/** A part of the time line as it is drawn: where it is in the window, by time. */
interface Drawn extends Range { readonly height: number; readonly top: number; readonly width: number }

const stack = new AsyncDisposableStack();
let server: TestServer;
let browser: Chromium;
let page: Page;
let recorded: Range;
let gap: Range;
let detections: readonly StoredDetection[];

const iso = (ms: number): string => new Date(Math.round(ms)).toISOString();
const momentsOf = (className?: string): number[] => detections.filter((each) => className === undefined || each.class_name === className).map((each) => Date.parse(each.captured_at));

beforeAll(async () => {
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '2' } }));
  const camera = await server.addCamera(CAMERA, { name: 'Inspection belt', pipelines: [MODEL] });
  for (let publication = 0; publication < 2; publication++) {
    const known = (await segmentsOf(server, CAMERA)).length;
    const { code, stderr } = await ffmpegPush(CLIP, server.rtspUrl(camera), { output: ['-t', SECONDS, '-c', 'copy'] }).exit;
    if (code !== 0) throw new Error(`ffmpeg ended with ${String(code)}: ${stderr}`);
    await until('it is recorded', async () => { const all = await segmentsOf(server, CAMERA); return all.length > known && all.every(({ open }) => !open); }, SLOW);
    if (publication === 0) await new Promise((resolve) => { setTimeout(resolve, BREAK_MS); });
  }
  const segments = await closedSegments(server, CAMERA);
  recorded = { from: startOf(segments[0]!), to: endOf(segments.at(-1)!) };
  const { items } = await server.request<{ items: { start: string; end: string }[] }>('GET', `/v1/recordings/${CAMERA}/gaps`);
  const widest = items.map(({ start, end }) => ({ from: Date.parse(start), to: Date.parse(end) })).sort((a, b) => b.to - b.from - (a.to - a.from))[0];
  if (!widest || widest.to - widest.from < BREAK_MS / 2) throw new Error('there is no gap');
  gap = widest;
  detections = await until('something is detected before and after the gap, and no more comes', async () => {
    const all = await storedDetections(server, `camera=${CAMERA}`);
    await new Promise((resolve) => { setTimeout(resolve, 1500); });
    const moments = all.map(({ captured_at: at }) => Date.parse(at));
    return (await storedDetections(server, `camera=${CAMERA}`)).length === all.length && moments.some((at) => at < gap.from) && moments.some((at) => at > gap.to) && all;
  }, 2 * SLOW);
  await server.request('POST', `/v1/recordings/${CAMERA}/marks`, { kind: 'pin', from: iso(recorded.from + 1000), to: iso(recorded.from + 3000), title: 'Look again' });
  browser = stack.use(await startChromium({ viewport: DESKTOP }));
  page = await browser.context.newPage();
}, 300_000);
afterAll(() => stack.disposeAsync());

const shownWindow = (): Promise<Range> =>
  page.evaluate(() => { const bar = document.querySelector('.timeline .track'); return { from: Number(bar?.getAttribute('aria-valuemin')), to: Number(bar?.getAttribute('aria-valuemax')) }; });
const bar = (): Promise<{ readonly x: number; readonly y: number; readonly width: number; readonly height: number }> =>
  page.evaluate(() => { const { x, y, width, height } = document.querySelector('.timeline .track')!.getBoundingClientRect(); return { x, y, width, height }; });
/** Everything that is drawn of a kind, in the order of its time. */
const drawn = (selector: string): Promise<Drawn[]> =>
  page.evaluate((of) => {
    const track = document.querySelector('.timeline .track')!;
    const box = track.getBoundingClientRect();
    const [start, end] = [Number(track.getAttribute('aria-valuemin')), Number(track.getAttribute('aria-valuemax'))];
    const at = (x: number): number => start + ((x - box.left) / box.width) * (end - start);
    return [...document.querySelectorAll(`.timeline ${of}`)].filter((each) => each.checkVisibility({ opacityProperty: true })).map((each) => each.getBoundingClientRect())
      .map(({ left, right, height, top, width }) => ({ from: at(left), to: at(right), height, top: top - box.top, width })).sort((a, b) => a.from - b.from);
  }, selector);
const showing = async (range: Range): Promise<void> => {
  await openAs(page, server, `/cameras/${CAMERA}/recordings?from=${iso(range.from)}&to=${iso(range.to)}`);
  await page.waitForSelector('.track .found', { state: 'attached', timeout: SLOW });
};
/** Unix ms that a pixel of the time line is. */
const pixel = async (): Promise<number> => { const [{ from, to }, { width }] = await Promise.all([shownWindow(), bar()]); return (to - from) / width; };
/** Of these moments those that no part shows, and of the parts those in which there is none; parts are a hair wider than their time, and have edges between two pixels. */
const unlike = (parts: readonly Range[], moments: readonly number[], slack: number): { readonly unseen: readonly number[]; readonly empty: readonly Range[] } => ({
  unseen: moments.filter((at) => !parts.some(({ from, to }) => at >= from - slack && at <= to + slack)),
  empty: parts.filter(({ from, to }) => !moments.some((at) => at >= from - slack && at <= to + slack)),
});

describe('[REC-5] on a desktop', () => {
  beforeEach(() => page.setViewportSize(DESKTOP));

  test('the gap is drawn exactly where nothing was recorded, and what was recorded before and behind it', async () => {
    await showing(recorded);
    const one = await pixel();
    const [drawnGap, ...others] = (await drawn('.lane .gap')).filter(({ from, to }) => to - from > BREAK_MS / 2);
    expect(others).toEqual([]);
    expect(Math.abs((drawnGap?.from ?? NaN) - gap.from)).toBeLessThanOrEqual(2 * one);
    expect(Math.abs((drawnGap?.to ?? NaN) - gap.to)).toBeLessThanOrEqual(2 * one);
    expect(drawnGap?.height).toBeGreaterThan(8);
    const [{ height }, segments] = [await bar(), await drawn('.track .segment')];
    expect(drawnGap?.top).toBeGreaterThanOrEqual(height); // in its lane, below the bar
    expect(unlike(segments, [recorded.from + 500, gap.from - 500, gap.to + 500, recorded.to - 500], one).unseen).toEqual([]);
    expect(segments.some(({ from, to }) => from < (gap.from + gap.to) / 2 && to > (gap.from + gap.to) / 2)).toBe(false);
    expect(await page.getAttribute('.lane .gap', 'title')).toMatch(/missing/);
    expect(await page.locator('.gaps li').count()).toBeGreaterThan(0);
    const [mark] = await drawn('.lane .mark');
    expect(Math.abs((mark?.from ?? NaN) - (recorded.from + 1000))).toBeLessThanOrEqual(2 * one);
  });

  test('every detection is under a part of the lane, no part is without one, near by as on the whole day', async () => {
    await showing(recorded);
    const near = await drawn('.track .found');
    expect(near.length).toBeGreaterThan(4);
    expect(unlike(near, momentsOf(), await pixel())).toEqual({ unseen: [], empty: [] });
    expect(Math.min(...near.map(({ height }) => height))).toBeGreaterThan(5);
    const height = (await bar()).height;
    for (const part of near) expect(part.top + part.height, 'it stands on the bottom of the bar').toBeGreaterThan(height - 3);

    await page.click('.window-controls >> text=24 h');
    await until('the day is shown', async () => { const { from, to } = await shownWindow(); return Math.abs(to - from - 86_400_000) < 1000; });
    const day = await until('parts of a day', async () => { const parts = await drawn('.track .found'); return parts.length > 0 && parts.every(({ from, to }) => to - from > 60_000) && parts; }, SLOW);
    expect(unlike(day, momentsOf(), await pixel())).toEqual({ unseen: [], empty: [] });
    expect((await drawn('.lane .gap')).every(({ width }) => width >= 3)).toBe(true);
    expect((await drawn('.lane .mark')).every(({ width }) => width >= 3)).toBe(true);
    expect(await page.locator('.not-shown').count()).toBe(0);
  });

  test('one class alone is shown, and the moment that is pointed at says what was seen', async () => {
    await showing(recorded);
    const names = [...new Set(detections.map((each) => each.class_name))];
    expect(names.length).toBeGreaterThan(1);
    const [rarest] = names.sort((a, b) => momentsOf(a).length - momentsOf(b).length);
    await page.selectOption('.class-choice select', rarest ?? '');
    await until('only those', async () => {
      const { unseen, empty } = unlike(await drawn('.track .found'), momentsOf(rarest), await pixel());
      return unseen.length === 0 && empty.length === 0;
    });
    const [at = NaN] = momentsOf(rarest);
    const { x, y, width, height } = await bar();
    const { from, to } = await shownWindow();
    await page.mouse.move(x + (width * (at - from)) / (to - from), y + height - 4);
    await page.waitForSelector(`.preview-frame .seen:has-text("${String(rarest)}")`, { timeout: SLOW });
    await page.mouse.move(5, 5);
  });

  test('where more was seen than can be drawn the page says so, and shows all the rest', async () => {
    const database = new Database(join(server.dataDir, 'imageflow.db'), { timeout: SLOW });
    const of = (what: string): void => { database.prepare(what).run({ from: recorded.from - 3_600_000 }); };
    try {
      of(`insert into sightings (camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence) with recursive n (i) as (select 0 union all select i + 1 from n where i < 200000) select '${CAMERA}', 'noise', @from + i / 100.0, @from + i / 100.0, 1, 1, 0.5 from n`);
      of(`insert into detections (camera_id, stream_epoch, rtp_timestamp, captured_at_ms, sequence, class_name, class_id, confidence, x, y, width, height, model, model_digest) with recursive n (i) as (select 0 union all select i + 1 from n where i < 20001) select '${CAMERA}', 1, 0, @from + i / 10.0, i, 'noise', 0, 0.5, 0, 0, 1, 1, 'noise', '' from n`);
      await openAs(page, server, `/cameras/${CAMERA}/recordings?at=${iso(recorded.from + 1000)}`);
      await page.waitForSelector('.track .segment', { state: 'attached', timeout: SLOW });
      expect(await page.locator('.not-shown').count()).toBe(0);
      await page.click('.window-controls >> text=24 h');
      expect(await page.textContent('.not-shown', { timeout: SLOW })).toBe('Not shown: detections: there are too many. Zoom in to see them.');
      expect(await page.locator('.failure').count()).toBe(0);
      expect((await drawn('.lane .gap')).length).toBeGreaterThan(0);
    } finally {
      for (const table of ['sightings', 'detections']) database.prepare(`delete from ${table} where class_name = 'noise'`).run();
      database.close();
    }
  });
});

describe('[REC-5] under fingers on a phone', () => {
  let fingers: CDPSession;
  let down = false;
  const touch = async (type: 'touchStart' | 'touchMove' | 'touchEnd', at: readonly (readonly [number, number])[]): Promise<void> => {
    down = type !== 'touchEnd';
    await fingers.send('Input.dispatchTouchEvent', { type, touchPoints: at.map(([x, y], id) => ({ x: Math.round(x), y: Math.round(y), id })) });
  };
  /** From where each finger begins to where it ends, in steps, as fingers go. */
  const gesture = async (begin: readonly (readonly [number, number])[], end: readonly (readonly [number, number])[]): Promise<void> => {
    await touch('touchStart', begin);
    for (let step = 1; step <= 8; step++) {
      await touch('touchMove', begin.map(([x, y], i) => [x + ((end[i]?.[0] ?? x) - x) * (step / 8), y + ((end[i]?.[1] ?? y) - y) * (step / 8)]));
      await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(resolve); }));
    }
    await touch('touchEnd', []);
  };
  const xOf = async (at: number): Promise<number> => { const [{ x, width }, { from, to }] = await Promise.all([bar(), shownWindow()]); return x + (width * (at - from)) / (to - from); };
  const momentAt = async (x: number): Promise<number> => { const [{ x: left, width }, { from, to }] = await Promise.all([bar(), shownWindow()]); return from + ((x - left) / width) * (to - from); };
  const played = (): Promise<string> => page.evaluate(() => document.querySelector('.summary strong')?.textContent ?? '');
  const marked = (): string => new URL(page.url()).search;
  /** Where the needle is. */
  const needle = async (): Promise<number> => { const [only] = await drawn('.needle'); return only === undefined ? NaN : (only.from + only.to) / 2; };

  beforeAll(async () => {
    fingers = await browser.context.newCDPSession(page);
    await fingers.send('Emulation.setTouchEmulationEnabled', { enabled: true, maxTouchPoints: 5 });
  });
  afterAll(async () => { await fingers.send('Emulation.setTouchEmulationEnabled', { enabled: false }); });
  beforeEach(async () => {
    await page.setViewportSize(PHONE);
    // The recording, some time before it, and no range marked.
    await showing({ from: recorded.from - 5000, to: recorded.to });
    await page.keyboard.press('Escape');
    await page.waitForSelector('.range', { state: 'detached' });
    await page.evaluate(() => { document.querySelector('video')?.pause(); document.querySelector('.timeline')?.scrollIntoView({ block: 'center' }); });
  });
  afterEach(async () => { if (down) await touch('touchEnd', []); });

  test('a tap plays from there', async () => {
    const { y, height } = await bar();
    const wanted = gap.to + 2000;
    const x = await xOf(wanted);
    await gesture([[x, y + height / 2]], [[x, y + height / 2]]);
    await until('the needle is there and goes on', async () => { const at = await needle(); return at >= wanted - 1000 && at < recorded.to + 1000; }, SLOW);
    expect(await played()).toMatch(/^(Playing|At) /);
    expect(marked()).toBe('');
    expect(await sideways(page)).toBeLessThanOrEqual(0);
  });

  test('a finger that goes along the bar marks a range, one that goes along the scale looks for a moment and plays from it', async () => {
    const { y, height } = await bar();
    const [from, to] = [await xOf(recorded.from + 1000), await xOf(recorded.from + 6000)];
    await gesture([[from, y + height / 2]], [[to, y + height / 2]]);
    await page.waitForSelector('.range', { timeout: SLOW });
    const query = new URL(page.url()).searchParams;
    const two = 2 * (await pixel());
    expect(Math.abs(Date.parse(query.get('from') ?? '') - (recorded.from + 1000))).toBeLessThanOrEqual(two);
    expect(Math.abs(Date.parse(query.get('to') ?? '') - (recorded.from + 6000))).toBeLessThanOrEqual(two);

    const scale = await page.evaluate(() => { const box = document.querySelector('.timeline .ticks')!.getBoundingClientRect(); return box.top + box.height / 2; });
    const wanted = gap.to + 3000;
    const end = await xOf(wanted);
    await touch('touchStart', [[from, scale]]);
    for (const x of [from + 10, (from + end) / 2, end]) await touch('touchMove', [[x, scale]]);
    await page.waitForSelector('.preview-frame', { timeout: SLOW });
    await touch('touchEnd', []);
    await page.waitForSelector('.preview-frame', { state: 'detached', timeout: SLOW });
    await until('it plays from there', async () => { const at = await needle(); return at >= wanted - 1000 && at < recorded.to + 1000; }, SLOW);
    expect(new URL(page.url()).searchParams.get('from')).toBe(query.get('from')); // the range stays
  });

  test('two fingers spread and close the time line around what they hold, move it, and mark nothing', async () => {
    const { x, y, width, height } = await bar();
    const line = y + height / 2;
    const at = (share: number): readonly [number, number] => [x + width * share, line];
    const before = await shownWindow();
    const span = ({ from, to }: Range): number => to - from;
    const [left, right] = [await momentAt(x + width * 0.4), await momentAt(x + width * 0.6)];
    await gesture([at(0.4), at(0.6)], [at(0.2), at(0.8)]);
    await until('it shows a third', async () => Math.abs(span(await shownWindow()) - span(before) / 3) < span(before) / 20);
    const two = 2 * (await pixel());
    expect(Math.abs((await momentAt(x + width * 0.2)) - left)).toBeLessThanOrEqual(two);
    expect(Math.abs((await momentAt(x + width * 0.8)) - right)).toBeLessThanOrEqual(two);
    await until('detections of this window', async () => { const { unseen } = unlike(await drawn('.track .found'), momentsOf().filter((each) => each > left && each < right), await pixel()); return unseen.length === 0; });

    const held = await momentAt(x + width * 0.5);
    await gesture([at(0.3), at(0.5)], [at(0.5), at(0.7)]);
    await until('it was moved', async () => Math.abs((await momentAt(x + width * 0.7)) - held) < 2 * (await pixel()));
    expect(Math.abs(span(await shownWindow()) - span(before) / 3)).toBeLessThan(span(before) / 20);

    await gesture([at(0.2), at(0.8)], [at(0.4), at(0.6)]);
    await until('it shows as much as before', async () => Math.abs(span(await shownWindow()) - span(before)) < span(before) / 10);
    expect(marked()).toBe('');
  });

  test('a second finger makes a pinch of what the first had begun: no range is left behind', async () => {
    const { x, y, width, height } = await bar();
    const line = y + height / 2;
    const before = await shownWindow();
    await touch('touchStart', [[x + width * 0.4, line]]);
    await touch('touchMove', [[x + width * 0.45, line]]);
    await page.waitForSelector('.range', { timeout: SLOW });
    await touch('touchStart', [[x + width * 0.45, line], [x + width * 0.6, line]]);
    await touch('touchMove', [[x + width * 0.3, line], [x + width * 0.8, line]]);
    await touch('touchEnd', []);
    await until('it shows less', async () => { const { from, to } = await shownWindow(); return to - from < (before.to - before.from) / 2; });
    await page.waitForSelector('.range', { state: 'detached', timeout: SLOW });
    expect(marked()).toBe('');
  });

  test('a finger that goes down the page scrolls it, and neither marks nor plays', async () => {
    const { x, y, width, height } = await bar();
    const [place, at] = [await page.evaluate(() => scrollY), await needle()];
    await gesture([[x + width * 0.3, y + height / 2]], [[x + width * 0.3, y + height / 2 - 250]]);
    await until('the page is scrolled', async () => (await page.evaluate(() => scrollY)) > place + 50);
    expect(marked()).toBe('');
    expect(Math.abs((await needle()) - at) < 3000 || Number.isNaN(at)).toBe(true);
  });
});

test('[REC-5] a player reads what was detected from the playlist, as date ranges on its own time line, across the gap', async () => {
  const blank = await blankPage(() => browser.context.newPage(), server);
  const vod = await playVod(blank, `${server.http}/v1/recordings/${CAMERA}/playback.m3u8?from=${iso(recorded.from)}&to=${iso(recorded.to)}&token=${server.token}`);
  await blank.close();
  expect([vod.error, vod.errors]).toEqual([null, []]);
  expect(vod.dateRanges.length).toBeGreaterThan(1);
  expect(vod.dateRanges.some(({ end }) => end <= gap.from + 1000) && vod.dateRanges.some(({ start }) => start >= gap.to - 1000)).toBe(true);
  const within = detections.map((each) => ({ at: Date.parse(each.captured_at), className: each.class_name })).filter(({ at }) => at >= Math.round(recorded.from) && at < Math.round(recorded.to));
  for (const { at, className } of within) expect(vod.dateRanges.filter((range) => range.className === className && at >= range.start && at < range.end), `${className} at ${iso(at)}`).toHaveLength(1);
  for (const range of vod.dateRanges) expect(range.count, range.id).toBe(within.filter(({ at, className }) => className === range.className && at >= range.start && at < range.end).length);
  // On the player's time line the gap takes no time.
  // One that begins in the very first second of a recording begins before it, for it begins at a full second.
  const [before, behind] = [vod.dateRanges.filter(({ start }) => start >= recorded.from && start < gap.from), vod.dateRanges.filter(({ start }) => start >= gap.to)];
  expect(Math.min(before.length, behind.length)).toBeGreaterThan(0);
  for (const { id, start, place } of before) expect(Math.abs(place - (start - recorded.from) / 1000), id).toBeLessThan(0.5);
  for (const { id, start, place } of behind) expect(Math.abs(place - (start - gap.to + gap.from - recorded.from) / 1000), id).toBeLessThan(0.5);
});
