import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import { silentLogger } from '../platform/logging.ts';
import { createMetrics } from '../platform/metrics.ts';
import { PublicationEnds } from './gap-cause.ts';
import { RecordingRun } from './recording-run.ts';
import { SegmentInventory } from './segment-inventory.ts';
import { segmentPath } from './segment-path.ts';
import { SegmentWriter } from './segment-writer.ts';
import { hangingWrites } from './testing-disk.ts';
import { TestStream, testInit, testPart } from './testing-parts.ts';

const rig = async (flushMs = 200) => {
  const directory = await mkdtemp(join(tmpdir(), 'imageflow-run-'));
  const clock = new FakeClock();
  const stream = new TestStream();
  const inventory = new SegmentInventory({ append: () => undefined });
  const init = testInit();
  let sequence = 0;
  const run = new RecordingRun(stream, { directory, segmentMs: 10_000, flushMs }, { clock, logger: silentLogger(), metrics: createMetrics('test'), inventory, publicationEnds: new PublicationEnds(), keptBy: () => 'restart' }, () => sequence++, () => undefined);
  const over = run.run().then(() => 'over', (error: unknown) => (error as Error).message);
  const until = async (condition: () => boolean): Promise<void> => { while (!condition()) await setImmediate(); };
  return {
    directory, clock, inventory, over, until,
    publish: (at: number): void => { stream.parts.publish(testPart({ at, init })); },
    /** Ten seconds pass while the run waits for the disk. */
    deadline: async (): Promise<void> => {
      await until(() => clock.waiting.includes(10_000));
      clock.advance(10_000);
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
};

test.each(['answer', 'refuse'] as const)('a segment whose disk hung beyond every deadline is closed when the disk is back: %s', async (outcome) => {
  await using r = await rig();
  r.publish(0);
  await r.until(() => r.inventory.list().length > 0);
  const [before] = r.inventory.list();
  using disk = await hangingWrites(r.directory);
  r.publish(200);
  await r.deadline(); // of the write
  await r.deadline(); // of closing
  expect(await r.over).toBe('the disk does not answer');
  expect(r.inventory.list()).toEqual([before]);
  if (outcome === 'answer') disk.answer();
  else disk.refuse(new Error('EIO'));
  await r.until(() => r.inventory.list()[0]?.open === false);
  const [after] = r.inventory.list();
  const bytes = await readFile(segmentPath(r.directory, after?.id ?? ''));
  expect(after).toMatchObject({ duration: outcome === 'answer' ? 400 : 200, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
});

test('closing waits for a write under way: the file is what its record says', async () => {
  await using r = await rig();
  const init = testInit();
  const writer = await SegmentWriter.open(r.directory, testPart({ at: 0, init }), 0, null);
  await writer.write([testPart({ at: 0, init })]);
  using disk = await hangingWrites(r.directory);
  const late = writer.write([testPart({ at: 200, init })]);
  const closing = writer.close(true);
  for (let i = 0; i < 20; i++) await setImmediate();
  disk.answer();
  await late;
  const { record, problem } = await closing;
  expect(problem).toBeUndefined();
  expect(record?.bytes).toBe((await readFile(segmentPath(r.directory, writer.id))).length);
});

test('a file that a hanging disk created after all is removed again', async () => {
  await using r = await rig();
  const real = SegmentWriter.open;
  const gate = Promise.withResolvers<undefined>();
  let opened: SegmentWriter | undefined;
  SegmentWriter.open = async (...args) => {
    await gate.promise;
    return (opened = await real.call(SegmentWriter, ...args));
  };
  try {
    r.publish(0);
    await r.deadline();
    expect(await r.over).toBe('the disk does not answer');
    gate.resolve(undefined);
    await r.until(() => opened !== undefined);
    while ((await readdir(join(r.directory, 'cam'))).length > 0) await setImmediate();
  } finally {
    SegmentWriter.open = real;
  }
});

test('[REC-1] parts that come while a write takes long are all kept, also those of a write that time made due', async () => {
  await using r = await rig(250);
  r.publish(0);
  await r.until(() => r.clock.waiting.includes(250));
  const disk = await hangingWrites(r.directory);
  r.clock.advance(250);
  await r.until(() => r.clock.waiting.includes(10_000)); // the write is under way
  r.publish(200);
  await setImmediate();
  r.publish(400);
  await setImmediate();
  disk.answer();
  disk[Symbol.dispose]();
  await r.until(() => r.inventory.list().length > 0);
  r.publish(10_000); // begins another segment: the first one is closed
  await r.until(() => r.inventory.list().some(({ open: growing }) => !growing));
  const file = (await readFile(segmentPath(r.directory, r.inventory.list()[0]?.id ?? ''))).toString('latin1');
  expect(file.split('mfhd')).toHaveLength(1 + 3);
});
