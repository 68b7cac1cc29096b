import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { DetectionService } from '../control-api/detections/service.ts';
import { MarkService } from '../control-api/marks/service.ts';
import { RecordingSearch } from '../control-api/recordings/search.ts';
import type { MarkSearch } from '../control-api/recordings/search.ts';
import { RecordingStore } from '../control-api/recordings/store.ts';
import { systemClock } from '../core/clock.ts';
import { openDatabase } from '../platform/database/open.ts';
import type { Database } from '../platform/database/schema.ts';
import { silentLogger } from '../platform/logging.ts';
import { PostgresCluster } from '../platform/testing/postgres-cluster.ts';
import { CLASSES, SEGMENT_MS, fillIndex, markOf } from '../test/support/large-index.ts';
import { seededRandom } from '../test/support/random.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';

const SIZE = { cameras: 40, segments: 25_000, sightings: 12_500, detections: 20, marks: 200_000, until: Date.parse('2026-11-28T00:00:00.000Z') };
const HOUR_MS = 3_600_000;
const LIMIT = 50;
const QUERIES = 100;

type Query = (random: () => number) => Promise<number>;

/** Searches as quality staff ask, three filters each; they resolve with the number of hits. */
const queriesOf = (db: Kysely<Database>): Readonly<Record<string, Query>> => {
  const marks = new MarkService(db, systemClock);
  const search = new RecordingSearch(db, marks);
  const runs = new RecordingStore(db);
  const pick = <T>(random: () => number, values: readonly T[]): T | undefined => values[Math.floor(random() * values.length)];
  const any = (random: () => number) => markOf(Math.floor(random() * SIZE.marks), SIZE);
  const hours = (random: () => number, count: number) => {
    const from = SIZE.until - SEGMENT_MS * SIZE.segments * random();
    return { from, to: from + count * HOUR_MS };
  };
  const seen = (className: string | undefined, more: { readonly minCount?: number; readonly minConfidence?: number } = {}) => ({ className: className ?? 'person', minCount: more.minCount, minAtOnce: undefined, minConfidence: more.minConfidence });
  const byMarks = async (filter: MarkSearch): Promise<number> => (await search.byMarks(filter, undefined, LIMIT)).hits.length;
  return {
    'work order, time, result': (random) => { const mark = any(random); return byMarks({ work_order_id: mark.work_order_id ?? '', from: mark.from_ms - 12 * HOUR_MS, to: mark.from_ms + 12 * HOUR_MS, inspection_result: mark.inspection_result ?? '' }); },
    'machine, product type, result': (random) => { const mark = any(random); return byMarks({ machine_number: mark.machine_number ?? '', product_type: mark.product_type ?? '', inspection_result: 'NG' }); },
    'production date, tag, camera': (random) => { const mark = any(random); return byMarks({ production_date: mark.production_date ?? '', tags: ['rework'], cameras: [mark.camera_id] }); },
    'free text, camera, time': (random) => byMarks({ q: pick(random, ['scratch', 'weld crack', '検査', 'surface near', 'cell 3 dent']), cameras: [`cell-${Math.floor(random() * SIZE.cameras)}`], ...hours(random, 24) }),
    'free text of one mark, result, product type': (random) => { const mark = any(random); return byMarks({ q: `${mark.title ?? ''} ${mark.machine_number ?? ''}`, inspection_result: mark.inspection_result ?? '', product_type: mark.product_type ?? '' }); },
    'class with confidence, camera, time': (random) => search.bySightings({ cameras: [`cell-${Math.floor(random() * SIZE.cameras)}`], ...hours(random, 8) }, seen(pick(random, CLASSES), { minConfidence: 0.9 }), undefined, LIMIT).then(({ hits }) => hits.length),
    'class with count, all cameras, time': (random) => search.bySightings(hours(random, 8), seen(pick(random, CLASSES), { minCount: 10 }), undefined, LIMIT).then(({ hits }) => hits.length),
    'class, result, product type': (random) => byMarks({ seen: seen(pick(random, CLASSES), { minConfidence: 0.8 }), inspection_result: 'NG', product_type: any(random).product_type ?? '' }),
    'class nobody saw so surely, tag, time': (random) => byMarks({ seen: seen('dent', { minConfidence: 1 }), tags: ['shift-1'], ...hours(random, 8) }),
    'cameras, from, to': (random) => runs.recordings({ cameras: ['cell-1', 'cell-2', 'cell-3'], ...hours(random, 24) }, undefined, LIMIT).then((rows) => rows.length),
  };
};

/** What a camera saw, as its recordings page asks for it, of moments all over the index. */
const measureTimelines = async (name: string, db: Kysely<Database>): Promise<Figure[]> => {
  const random = seededRandom(11);
  using detections = new DetectionService({ db, clock: systemClock, logger: silentLogger(), retentionHours: 168 });
  const figures: Figure[] = [];
  for (const [window, hours] of [['15 minutes', 0.25], ['a day', 24], ['all there is', (SIZE.segments * SEGMENT_MS) / HOUR_MS]] as const) {
    const times: number[] = [];
    let seen = 0;
    for (let i = 0; i < QUERIES + 5; i++) {
      const to = SIZE.until - random() * (SEGMENT_MS * SIZE.segments - hours * HOUR_MS);
      const start = performance.now();
      const { lanes } = await detections.timeline(`cell-${Math.floor(random() * SIZE.cameras)}`, { from: to - hours * HOUR_MS, to, count: 180 });
      if (i < 5) continue;
      times.push(performance.now() - start);
      seen += lanes.reduce((sum, lane) => sum + lane.count, 0);
    }
    const p95 = quantile(times, 0.95);
    figures.push({ figure: `${name}: time line of ${window}, p95 (${Math.round(seen / QUERIES)} detections)`, value: round(p95, 1), unit: 'ms' });
  }
  return figures;
};

const measure = async (name: string, db: Kysely<Database>, targetMs: number): Promise<Figure[]> => {
  const random = seededRandom(7);
  const figures: Figure[] = [];
  const all: number[] = [];
  const ofCpu: number[] = [];
  for (const [query, ask] of Object.entries(queriesOf(db))) {
    const times: number[] = [];
    const cpu: number[] = [];
    let hits = 0;
    for (let i = 0; i < QUERIES + 5; i++) {
      const start = performance.now();
      const used = process.cpuUsage();
      const found = await ask(random);
      // The first ones compile and warm up.
      if (i < 5) continue;
      times.push(performance.now() - start);
      const { user, system } = process.cpuUsage(used);
      cpu.push((user + system) / 1000);
      hits += found;
    }
    all.push(...times);
    ofCpu.push(...cpu);
    figures.push({ figure: `${name}: p95 by ${query} (${round(hits / QUERIES, 1)} hits)`, value: round(quantile(times, 0.95), 1), unit: 'ms' });
  }
  const p95 = quantile(all, 0.95);
  return [
    { figure: `${name}: p95 of searches with three filters`, value: round(p95, 1), unit: 'ms', target: `${targetMs} ms at most`, met: p95 <= targetMs },
    { figure: `${name}: CPU time the asking process takes for one, p95`, value: round(quantile(ofCpu, 0.95), 1), unit: 'ms' },
    { figure: `${name}: median`, value: round(quantile(all, 0.5), 1), unit: 'ms' },
    { figure: `${name}: slowest of ${all.length}`, value: round(Math.max(...all), 1), unit: 'ms' },
    ...figures,
  ];
};

const timed = async (what: string, work: () => Promise<void>): Promise<void> => {
  const start = performance.now();
  await work();
  console.log(`       ${what}: ${round((performance.now() - start) / 1000, 0)} s`);
};

export const bench: Bench = {
  what: `searches, ${LIMIT} hits a page, of ${SIZE.cameras * SIZE.segments} segments, ${SIZE.cameras * SIZE.sightings * SIZE.detections} detections and ${SIZE.marks} marks, one after the other in the process that asks`,
  async run() {
    const folder = await mkdtemp(join(tmpdir(), 'imageflow-bench-'));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    const figures: Figure[] = [];
    {
      const db = await openDatabase(join(folder, 'control.db'));
      await using _closed = { [Symbol.asyncDispose]: () => db.destroy() };
      await timed('SQLite filled', () => fillIndex(db, SIZE));
      figures.push(...(await measure('SQLite', db, 50)), ...(await measureTimelines('SQLite', db)));
    }
    await using cluster = await PostgresCluster.start();
    const url = await cluster.createDatabase();
    await (await openDatabase(url)).destroy();
    const unhurried = new Kysely<Database>({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: 1 }) }) });
    await timed('PostgreSQL filled', () => fillIndex(unhurried, SIZE));
    await unhurried.destroy();
    const db = await openDatabase(url);
    await using _closed = { [Symbol.asyncDispose]: () => db.destroy() };
    figures.push(...(await measure('PostgreSQL', db, 80)), ...(await measureTimelines('PostgreSQL', db)));
    return figures;
  },
};
