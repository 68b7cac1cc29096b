/** Zones, lines and rules on the inspection belt, of which it is known what really passes; and the page that draws them. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import type { VideoAnalysisEvent } from '../../control-api/events/service.ts';
import { startChromium } from '../support/chromium.ts';
import { LiveDetections } from '../support/detections.ts';
import { InspectionTruth } from '../support/inspection-truth.ts';
import { ffmpegPush } from '../support/media.ts';
import { clumsyTargets, openAs, sideways } from '../support/pages.ts';
import { TestServer, until } from '../support/server.ts';

const CAMERA = 'belt';
const MODEL = 'inspect-320';
const CLIP = join(import.meta.dirname, '..', '..', 'demo', 'clips', 'inspection-720p30.mp4');
const [WIDTH, FRAMES] = [1280, 600];
const CLASSES = ['scratch', 'contamination', 'deformation'];
/** Drawn downwards through the middle: what the belt carries from right to left comes to its right-hand side. */
const LINE = { id: 'middle', from: [0.5, 0], to: [0.5, 1] };
const LEFT = { id: 'left', polygon: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] };
const PIPELINE = {
  id: MODEL, confidence: 0.45, anchor: 'centre', zones: [LEFT], lines: [LINE],
  rules: [
    { id: 'passed', type: 'cross', line: 'middle' },
    { id: 'defect left', type: 'count', zone: 'left', for_seconds: 0.3, clear_seconds: 0.5, clip: { pre_seconds: 1, post_seconds: 1 } },
    { id: 'two at once', type: 'count', zone: 'left', at_least: 2, for_seconds: 0.5 },
  ],
};
const PHONE = { width: 390, height: 844 };
const SLOW = 60_000;

const stack = new AsyncDisposableStack();
let server: TestServer;
let page: Page;
beforeAll(async () => {
  server = stack.use(await TestServer.start());
  page = await stack.use(await startChromium({ viewport: { width: 1440, height: 900 } })).context.newPage();
});
afterAll(() => stack.disposeAsync());

type RuleEvent = Extract<VideoAnalysisEvent, { rule: unknown }>;
const told = async (rule: string): Promise<RuleEvent[]> => {
  const { items } = await server.request<{ items: { event: VideoAnalysisEvent }[] }>('GET', `/v1/events?topic=video-analysis-events&camera=${CAMERA}&limit=1000`);
  return items.map(({ event }) => event).filter((event): event is RuleEvent => 'rule' in event && event.rule.id === rule);
};

/** The classes of the defects whose centres pass the middle, in that order. */
const passed = (): string[] => {
  const truth = new InspectionTruth();
  const side = new Map<number, boolean>();
  const passing: string[] = [];
  for (let frame = 0; frame < FRAMES; frame++) {
    for (const { id, classId, bbox } of truth.objects(frame)) {
      const left = bbox.x + bbox.width / 2 < WIDTH / 2;
      if (side.get(id) === false && left) passing.push(CLASSES[classId] ?? '');
      side.set(id, left);
    }
  }
  return passing;
};

test('[INF-6] every defect that the belt carries over the line is counted once, in its direction and class, also when control is killed meanwhile; one in the zone becomes a clip', { timeout: 240_000 }, async () => {
  const camera = await server.addCamera(CAMERA, { pipelines: [PIPELINE] });
  using live = await LiveDetections.open(camera.urls['websocket'] ?? '', server.token);
  const push = stack.use(ffmpegPush(CLIP, server.rtspUrl(camera), { output: ['-c', 'copy'] }));
  await until('the first has passed', async () => (await told('passed')).length > 0, SLOW);
  for (const pid of await server.pids('control')) process.kill(pid, 'SIGKILL');
  expect((await push.exit).code).toBe(0);

  const expected = passed();
  expect(expected.length).toBe(7);
  const crossings = await until('all have passed', async () => {
    const all = await told('passed').catch(() => []);
    return all.length >= expected.length && all;
  }, SLOW);
  expect(crossings.map(({ rule }) => [...rule.class_names])).toEqual(expected.map((name) => [name]));
  expect(new Set(crossings.map(({ rule }) => rule.direction))).toEqual(new Set(['to_right']));
  expect(new Set(crossings.map(({ rule }) => rule.occurrence_id)).size).toBe(expected.length);

  const inZone = await until('what was in the zone has ended', async () => {
    const all = await told('defect left');
    const [began, ended] = ['rule_began', 'rule_ended'].map((type) => all.filter((event) => event.event_type === type));
    return began && ended && began.length > 0 && ended.length === began.length && { began, ended };
  }, SLOW);
  expect(inZone.ended.map(({ rule }) => rule.occurrence_id)).toEqual(inZone.began.map(({ rule }) => rule.occurrence_id));
  const stretches = inZone.ended.map(({ from, to }) => ({ from: from ?? '', to: to ?? '' }));
  for (const { from, to } of stretches) expect(Date.parse(to) - Date.parse(from)).toBeGreaterThan(300);
  for (const { rule } of inZone.ended) {
    expect(rule).toMatchObject({ zone: 'left', line: null, type: 'count' });
  }
  const marks = await until('each is in a clip', async () => {
    const { items } = await server.request<{ items: { kind: string; created_by: string; from: string; to: string }[] }>('GET', `/v1/marks?camera=${CAMERA}&limit=100`);
    return stretches.every(({ from, to }) => items.some((mark) => mark.from <= from && mark.to >= to)) && items;
  });
  for (const { kind, created_by: by } of marks) expect([kind, by]).toEqual(['clip', `rule: ${MODEL}/defect left`]);

  // Every object says whether it is in the zone, as its own box does.
  const seen = live.messages.flatMap(({ detections }) => detections);
  expect(seen.length).toBeGreaterThan(20); // until control was killed, through which this socket came
  for (const { bbox, zones } of seen) expect(zones, JSON.stringify(bbox)).toEqual(bbox.x + bbox.width / 2 < WIDTH / 2 ? ['left'] : []);
});

test('[INF-6] [DIS-5] the page draws a zone over what the camera sees, saves it with a rule, and shows what the rule says', { timeout: 240_000 }, async () => {
  const camera = await server.addCamera('drawn', { pipelines: [MODEL] });
  stack.use(ffmpegPush(CLIP, server.rtspUrl(camera), { loop: true }));
  await until('live', async () => (await server.request<{ phase: string }>('GET', '/v1/cameras/drawn')).phase === 'live', SLOW);
  await openAs(page, server, '/cameras/drawn/scene');
  await page.waitForSelector('.scene-editor img', { timeout: SLOW });
  await page.getByRole('button', { name: 'Add zone' }).click();
  // The corner at the top left goes to the picture's corner by mouse, the one below by keys.
  const corner = await page.getByRole('button', { name: /^Corner 1 of Zone/ }).boundingBox();
  const picture = await page.locator('.scene-editor').boundingBox();
  if (!corner || !picture) throw new Error('no corner');
  await page.mouse.move(corner.x + corner.width / 2, corner.y + corner.height / 2);
  await page.mouse.down();
  await page.mouse.move(picture.x + 2, picture.y + 2, { steps: 5 });
  await page.mouse.move(picture.x - 30, picture.y - 30);
  await page.mouse.up();
  await page.getByRole('button', { name: /^Corner 4 of Zone/ }).press('ArrowDown');
  await page.getByLabel('Name of Zone').fill('press');
  await page.getByLabel('Name of Zone').press('Tab');
  await page.getByRole('button', { name: '+ Count' }).click();
  expect(await page.locator('.rule select').inputValue()).toBe('press');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved: it counts from now on.').waitFor();
  const { pipelines } = await server.request<{ pipelines: unknown }>('GET', '/v1/cameras/drawn');
  expect(pipelines).toMatchObject([{ id: MODEL, zones: [{ id: 'press', polygon: [[0, 0], [0.7, 0.3], [0.7, 0.7], [0.3, 0.71]] }], rules: [{ id: 'Count', type: 'count', zone: 'press', at_least: 1 }] }]);

  // A class the model does not have would match nothing: the page says so, and what it has.
  await page.locator('input[name="scene classes"]').fill('scratch, scrach');
  await page.locator('input[name="scene classes"]').press('Tab');
  await page.getByText('The model finds no “scrach”. It finds: scratch, contamination, deformation.').waitFor();
  await page.locator('input[name="scene classes"]').fill('scratch');
  await page.locator('input[name="scene classes"]').press('Tab');
  await expect.poll(() => page.getByText('The model finds no').count()).toBe(0);
  await page.getByRole('button', { name: 'Discard changes' }).click();

  // What cannot be is taken back, what somebody else did meanwhile is not overwritten, and changes can be given up.
  await page.getByLabel('At least').fill('0');
  await page.getByLabel('At least').press('Tab');
  await expect.poll(() => page.getByLabel('At least').inputValue()).toBe('1');
  await page.getByRole('button', { name: 'Add line' }).click();
  await page.getByRole('button', { name: '+ Crossing' }).click();
  await page.getByRole('button', { name: /^Corner 1 of press/ }).press('Insert');
  expect(await page.getByRole('button', { name: /^Corner \d of press/ }).count()).toBe(5);
  await server.request('PATCH', '/v1/cameras/drawn', { pipelines: [{ ...(pipelines as readonly object[])[0], classes: ['scratch', 'contamination', 'deformation'] }] });
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Somebody else has changed this detector meanwhile.').waitFor();
  await page.getByRole('button', { name: 'Discard changes' }).click();
  expect(await page.locator('[data-line]').count()).toBe(0);

  await openAs(page, server, '/cameras/drawn');
  await page.waitForSelector('.picture[data-status="playing"]', { timeout: SLOW });
  await page.waitForSelector('.scene-overlay [data-zone="press"]', { timeout: SLOW });
  await page.waitForSelector('.rule-events li', { timeout: SLOW });
  for (const path of ['/cameras/drawn', '/cameras/drawn/scene']) {
    for (const size of [PHONE, { width: 1440, height: 900 }]) {
      await page.setViewportSize(size);
      await openAs(page, server, path);
      await page.waitForSelector('[data-zone="press"]', { timeout: SLOW });
      if (path === '/cameras/drawn') await page.waitForSelector('.rule-events li', { timeout: SLOW });
      expect(await sideways(page), `${path} ${String(size.width)}`).toBeLessThanOrEqual(0);
      expect(await clumsyTargets(page), `${path} ${String(size.width)}`).toEqual([]);
    }
  }
});
