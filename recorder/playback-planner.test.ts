import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import type { ProgressivePlan } from '../core/fmp4/progressive.ts';
import { planPlayback } from './playback-plan.ts';
import { PlaybackPlanner } from './playback-planner.ts';
import type { SegmentRecord } from './port.ts';
import { LocalSegments } from './segment-file.ts';
import type { SegmentFiles } from './segment-file.ts';
import { readSegmentIndex } from './segment-index.ts';
import { segmentPath } from './segment-path.ts';
import { SegmentWriter } from './segment-writer.ts';
import { testInit, testPart } from './testing-parts.ts';

const NEVER = new AbortController().signal;
const START = 1_750_000_000_000;
const range = { camera: 'cam', from: START + 300, to: START + 19_500 };
let directory: string;
const records: SegmentRecord[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'imageflow-planner-'));
  await mkdir(join(directory, 'elsewhere', 'cam'), { recursive: true });
  const init = testInit();
  for (let i = 0; i < 20; i++) {
    const parts = [0, 200, 400, 600, 800].map((ms) => testPart({ at: i * 1000 + ms, init }));
    const writer = await SegmentWriter.open(directory, parts[0]!, i, null);
    await writer.write(parts);
    const { record } = await writer.close(false);
    if (record) records.push(record);
  }
});
afterAll(() => rm(directory, { recursive: true }));

const content = ({ header, extents, byteLength }: ProgressivePlan) => ({ header: header.toString('hex'), byteLength, extents: Array.from({ length: extents.count }, (_, i) => extents.at(i)) });
const here = (files: SegmentFiles) => planPlayback(range, records, { files, indexOf: (segment) => readSegmentIndex(files, segment) }, NEVER);

test('[REC-5] what the thread plans is what would be planned without it, wherever the files are', async () => {
  const local = new LocalSegments(directory);
  const elsewhere = new LocalSegments(join(directory, 'elsewhere'));
  const wanted = await here(local);
  await using planner = new PlaybackPlanner(directory, elsewhere, systemClock);
  const planned = await planner.plan(range, records, NEVER);
  expect(content(planned.plan)).toEqual(content(wanted.plan));
  expect({ ...planned, plan: null }).toEqual({ ...wanted, plan: null });

  for (const { id } of records.slice(3, 9)) await rename(segmentPath(directory, id), segmentPath(join(directory, 'elsewhere'), id));
  expect(content((await planner.plan(range, records, NEVER)).plan)).toEqual(content(wanted.plan));

  await rename(segmentPath(directory, records[12]!.id), join(directory, 'gone'));
  const without = await planner.plan(range, records, NEVER);
  expect(without.missing).toEqual([{ segment: 12, reason: 'the recorded file is gone' }]);
  expect(without.found).toEqual(records.flatMap((_, i) => (i === 12 ? [] : [i])));
  await rename(join(directory, 'gone'), segmentPath(directory, records[12]!.id));
  for (const { id } of records.slice(3, 9)) await rename(segmentPath(join(directory, 'elsewhere'), id), segmentPath(directory, id));
});

test('a refusal keeps its words; one that is given up takes no other with it for good; too many are refused', async () => {
  await using planner = new PlaybackPlanner(directory, new LocalSegments(directory), systemClock);
  await expect(planner.plan({ ...range, from: 1, to: 2 }, records, NEVER)).rejects.toMatchObject({ code: 'NOT_FOUND', reason: 'NOTHING_RECORDED' });
  const stop = new AbortController();
  const given = planner.plan(range, records, stop.signal).catch((error: unknown) => error);
  stop.abort(new MediaError('DEADLINE_EXCEEDED', 'too late'));
  expect(await given).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect((await planner.plan(range, records, NEVER)).found).toHaveLength(20);
  const many = await Promise.allSettled(Array.from({ length: 12 }, () => planner.plan(range, records, NEVER)));
  expect(many.filter(({ status }) => status === 'fulfilled')).toHaveLength(8);
  for (const each of many) if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'UNAVAILABLE', reason: 'TOO_MANY_PLAYBACKS' });
});
