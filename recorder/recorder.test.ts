import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import type { EdgeEvent } from '../media-control/port.ts';
import type { Part } from '../muxer/port.ts';
import { silentLogger } from '../platform/logging.ts';
import { createMetrics } from '../platform/metrics.ts';
import type { SegmentRecord } from './port.ts';
import { KeptRanges } from './kept-ranges.ts';
import { Recorder } from './recorder.ts';
import { LocalSegments } from './segment-file.ts';
import { readSegmentIndex, recordedSamples } from './segment-index.ts';
import { hangingWrites } from './testing-disk.ts';
import { TestStream, testInit, testPart } from './testing-parts.ts';

const rig = async (settings: { readonly flush_ms?: number; readonly policy?: () => 'always' | 'off' } = {}) => {
  const directory = await mkdtemp(join(tmpdir(), 'imageflow-recorder-'));
  const clock = new FakeClock();
  const stream = new TestStream();
  const events: EdgeEvent[] = [];
  const metrics = createMetrics('test');
  const recorder = await Recorder.start(directory, { segment_seconds: 1, flush_ms: settings.flush_ms ?? 200, window_minutes: 15, min_free_bytes: 0, max_bytes: null }, {
    streams: stream, journal: { append: (event) => { events.push(event); } }, clock, logger: silentLogger(), metrics, policyOf: settings.policy ?? (() => 'always'), kept: () => new KeptRanges([]),
  });
  const written = async (): Promise<number> => (await metrics.recordedBytes.get()).values[0]?.value ?? 0;
  let expected = 0;
  const until = async (condition: () => boolean): Promise<void> => { while (!condition()) await setImmediate(); };
  await until(() => stream.parts.branchCount > 0 || settings.policy !== undefined);
  return {
    directory, clock, stream, events, recorder, metrics, written, until,
    segments: (): SegmentRecord[] => recorder.knownSegments(),
    publish: (part: Part): void => {
      expected += part.byteLength;
      stream.parts.publish(part);
    },
    settle: async (): Promise<void> => { while ((await written()) < expected) await setImmediate(); },
    drops: async () => (await metrics.branchDropped.get()).values.map(({ labels, value }) => [labels.reason, value]),
    async [Symbol.asyncDispose]() {
      await recorder[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
};

test('[REC-1] a segment closes at the first random access part after segment_seconds, not before', async () => {
  await using r = await rig();
  const init = testInit();
  for (let i = 0; i < 12; i++) r.publish(testPart({ at: i * 200, init, randomAccess: i % 3 === 0 }));
  await r.settle();
  await r.until(() => r.segments().length === 2 && !r.segments()[0]?.open);
  expect(r.segments().map(({ duration, open, gapBefore }) => ({ duration, open, gapBefore }))).toEqual([
    { duration: 1_200, open: false, gapBefore: null },
    { duration: 200, open: true, gapBefore: null }, // told on its first part, then every two seconds
  ]);
});

test('recording begins at a random access part; what came before is counted', async () => {
  await using r = await rig();
  const init = testInit();
  r.stream.parts.publish(testPart({ at: 0, init, randomAccess: false }));
  r.publish(testPart({ at: 200, init }));
  await r.settle();
  expect(await r.drops()).toEqual([['awaiting_random_access', 1]]);
  expect(r.segments()[0]?.start).toBe(1_750_000_000_200);
});

test('[REC-4] a new epoch or session begins a new segment, and what is missing between them is on record', async () => {
  await using r = await rig();
  const init = testInit();
  r.publish(testPart({ at: 0, init }));
  r.publish(testPart({ at: 200, init, epoch: 2 }));
  r.publish(testPart({ at: 3_400, init, epoch: 3 }));
  r.publish(testPart({ at: 9_600, init, sessionId: 'session-2', epoch: 4 }));
  await r.settle();
  await r.until(() => r.segments().length === 4);
  expect(r.segments().map(({ epoch, gapBefore }) => [epoch, gapBefore])).toEqual([[1, null], [2, null], [3, 3_000], [4, 6_000]]);
  expect(r.segments().map(({ gapCause }) => gapCause)).toEqual([undefined, undefined, 'publisher_lost', 'publisher_lost']);
});

test('[REC-4] pictures missing within a publication are a gap, too, and so is what a failed disk, a restart or a policy costs', async () => {
  let policy: 'always' | 'off' = 'always';
  await using r = await rig({ policy: () => policy });
  const init = testInit();
  const epoch = r.clock.now();
  const publish = (at: number, more: { readonly sessionId?: string; readonly epoch?: number } = {}): void => { r.publish(testPart({ at, init, epoch, ...more })); };
  publish(0);
  publish(200);
  publish(2_000); // a segment ends here anyway
  publish(2_200);
  publish(5_400); // before this one would
  await r.until(() => r.segments().length === 3);
  r.stream.change('session-1', 'ended');
  policy = 'off';
  r.recorder.refresh('cam');
  await r.until(() => r.stream.parts.branchCount === 0);
  policy = 'always';
  r.recorder.refresh('cam');
  await r.until(() => r.stream.parts.branchCount === 1);
  publish(9_200);
  await r.settle();
  await r.until(() => r.segments().length === 4);
  expect(r.segments().map(({ gapBefore, gapCause }) => [gapBefore, gapCause])).toEqual([[null, undefined], [1_600, 'network_loss'], [3_000, 'network_loss'], [3_600, 'recording_off']]);
  await r.recorder[Symbol.asyncDispose]();
  const again = await Recorder.start(r.directory, { segment_seconds: 1, flush_ms: 200, window_minutes: 15, min_free_bytes: 0, max_bytes: null }, {
    streams: r.stream, journal: { append: () => undefined }, clock: r.clock, logger: silentLogger(), metrics: r.metrics, policyOf: () => 'always', kept: () => new KeptRanges([]),
  });
  await using _again = again;
  await r.until(() => r.stream.parts.branchCount === 1);
  r.stream.parts.publish(testPart({ at: 20_000, init, epoch: epoch + 1, sessionId: 'session-2' }));
  await r.until(() => again.knownSegments().length === 5);
  expect(again.knownSegments().map(({ gapCause }) => gapCause)).toEqual([undefined, 'network_loss', 'network_loss', 'recording_off', 'restart']);
});

test('[REC-4] what a publication sent that cannot be recorded is a gap that says so', async () => {
  await using r = await rig();
  const init = testInit();
  r.publish(testPart({ at: 0, init }));
  r.stream.refuse(2);
  r.publish(testPart({ at: 4_000, init, epoch: 3 }));
  await r.settle();
  await r.until(() => r.segments().length === 2);
  expect(r.segments().map(({ gapCause }) => gapCause)).toEqual([undefined, 'codec_not_recorded']);
});

test('[REC-4] a clock of the server that is set forward begins a segment and is on record, and so is what is missing after it is set back', async () => {
  await using r = await rig();
  const init = testInit();
  const start = 1_750_000_000_000;
  r.publish(testPart({ at: 0, init }));
  r.publish(testPart({ at: 200, init, sessionStart: start + 3_600_000 })); // the same timeline, an hour later
  r.publish(testPart({ at: 400, init, sessionStart: start + 3_600_000 }));
  r.publish(testPart({ at: 2_000, init, sessionStart: start, sessionId: 'session-2', epoch: 2 })); // an hour back: earlier than what is there
  r.publish(testPart({ at: 5_200, init, sessionStart: start, sessionId: 'session-3', epoch: 3 }));
  await r.settle();
  await r.until(() => r.segments().length === 4);
  expect(r.segments().map(({ start: at, gapBefore, gapCause }) => [at - start, gapBefore, gapCause]).sort(([a], [b]) => Number(a) - Number(b))).toEqual([
    [0, null, undefined], [2_000, null, undefined], [5_200, 3_000, 'publisher_lost'], [3_600_200, 3_600_000, 'clock_set'],
  ]);
});

test('[REC-4] new tracks begin a new segment even between key frames: nothing is lost when audio joins', async () => {
  await using r = await rig();
  r.publish(testPart({ at: 0, init: testInit() }));
  r.publish(testPart({ at: 200, init: testInit(), randomAccess: false }));
  await r.settle();
  await r.until(() => r.segments().length === 2);
  expect(await r.drops()).toEqual([]);
});

test('the segment closes when the publisher is lost, after everything it sent; its return is another segment', async () => {
  await using r = await rig();
  const init = testInit();
  r.publish(testPart({ at: 0, init }));
  r.publish(testPart({ at: 200, init }));
  r.stream.change('session-1', 'interrupted');
  await r.until(() => r.segments()[0]?.open === false);
  expect(r.segments()[0]?.duration).toBe(400);
  r.publish(testPart({ at: 5_000, init, epoch: 2 }));
  await r.until(() => r.segments().length === 2);
  expect(r.segments().map(({ open }) => open)).toEqual([false, true]);
});

test('the part that a lost publisher leaves goes into its segment, though the recorder was waiting for it', async () => {
  await using r = await rig();
  const init = testInit();
  r.publish(testPart({ at: 0, init }));
  await r.settle();
  for (let i = 0; i < 20; i++) await setImmediate();
  r.publish(testPart({ at: 200, init }));
  r.stream.change('session-1', 'ended');
  await r.until(() => r.segments().reduce((sum, { duration }) => sum + duration, 0) === 400);
  await r.until(() => r.segments().every(({ open }) => !open));
  expect(r.segments()).toHaveLength(1);
});

test('a stop while a segment is being closed leaves nothing in the queue', async () => {
  await using r = await rig();
  const init = testInit();
  r.publish(testPart({ at: 0, init }));
  await r.until(() => r.segments().length === 1);
  r.stream.change('session-1', 'interrupted');
  for (let i = 0; i < 3; i++) await Promise.resolve(); // the file is being closed
  r.publish(testPart({ at: 1_000, init, epoch: 2 }));
  await r.recorder[Symbol.asyncDispose]();
  expect(r.segments().map(({ epoch, open }) => [epoch, open])).toEqual([[1, false], [2, false]]);
});

test('a segment that begins while what a lost publisher left is still written closes, too', async () => {
  await using r = await rig();
  const init = testInit();
  for (let at = 0; at <= 1_000; at += 200) r.publish(testPart({ at, init })); // the last begins another segment
  r.stream.change('session-1', 'ended');
  await r.until(() => r.segments().length === 2);
  await r.until(() => r.segments().every(({ open }) => !open));
  expect(r.segments().map(({ duration }) => duration)).toEqual([1_000, 200]);
});

test('[REC-9] policy off stops after what is queued and closes; always goes on', async () => {
  let policy: 'always' | 'off' = 'off';
  await using r = await rig({ policy: () => policy });
  const init = testInit();
  r.stream.parts.publish(testPart({ at: 0, init }));
  expect(r.stream.parts.branchCount).toBe(0);
  policy = 'always';
  r.recorder.refresh('cam');
  await r.until(() => r.stream.parts.branchCount === 1);
  r.publish(testPart({ at: 200, init }));
  policy = 'off';
  r.recorder.refresh('cam');
  await r.until(() => r.segments()[0]?.open === false && r.stream.parts.branchCount === 0);
  expect(r.segments().map(({ duration }) => duration)).toEqual([200]);
});

test('flush_ms groups parts into one write, and a stalled camera does not keep the last one back', async () => {
  await using r = await rig({ flush_ms: 1_000 });
  const init = testInit();
  r.publish(testPart({ at: 0, init }));
  r.publish(testPart({ at: 200, init }));
  await r.until(() => r.clock.waiting.includes(1_000)); // for more parts, at most as long as flush_ms
  expect(r.segments()).toEqual([]);
  r.clock.advance(1_000);
  await r.until(() => r.segments().length > 0);
  expect(r.segments()).toMatchObject([{ duration: 400 }]);
});

test('FrameRefs come back from the file also when they do not follow from the ones before', async () => {
  await using r = await rig();
  const init = testInit();
  const parts = [0, 200, 400].map((at) => testPart({ at, init, rtpJump: at === 200 ? 777 : 0 }));
  for (const part of parts) r.publish(part);
  await r.settle();
  await r.recorder[Symbol.asyncDispose]();
  const [segment] = r.segments();
  if (!segment) throw new Error('nothing recorded');
  const frames = parts.flatMap(({ samples }) => samples.map(({ frame }) => frame));
  for (const record of [segment, { ...segment, open: true }]) { // by the index at its end, and box by box
    expect([...recordedSamples(await readSegmentIndex(new LocalSegments(r.directory), record))].map(({ frame }) => frame)).toEqual(frames);
  }
});

test('a clean stop closes every segment, and the next start knows them without reading the files', async () => {
  await using r = await rig();
  r.publish(testPart({ at: 0, init: testInit() }));
  await r.recorder[Symbol.asyncDispose]();
  const [segment] = r.segments();
  expect(segment).toMatchObject({ open: false, duration: 200 });
  const manifest = await readFile(join(r.directory, 'cam', 'segments.jsonl'), 'utf8');
  expect(JSON.parse(manifest.trim())).toEqual(segment);
  const events: EdgeEvent[] = [];
  const again = await Recorder.start(r.directory, { segment_seconds: 1, flush_ms: 200, window_minutes: 1e6, min_free_bytes: 0, max_bytes: null }, {
    streams: new TestStream(), journal: { append: (event) => { events.push(event); } }, clock: r.clock, logger: silentLogger(), metrics: r.metrics, policyOf: () => 'off', kept: () => new KeptRanges([]),
  });
  await again[Symbol.asyncDispose]();
  expect(events).toEqual([{ type: 'segment', segment }]);
});

test('a slow disk that falls half a minute behind is a failure with an alarm, and recording starts again by itself', async () => {
  await using r = await rig();
  const init = testInit();
  for (let i = 0; i < 400; i++) r.stream.parts.publish(testPart({ at: i * 200, init })); // in one go: nothing can be written meanwhile
  await r.until(() => r.events.some(({ type }) => type === 'alarm'));
  expect(r.events.filter(({ type }) => type === 'alarm')).toMatchObject([{ alarm: { code: 'recording_failed', raised: true } }]);
  r.clock.advance(1_000);
  for (let at = 80_200; !r.events.some((event) => event.type === 'alarm' && !event.alarm.raised); at += 200) {
    r.stream.parts.publish(testPart({ at, init }));
    await setImmediate();
  }
});

test('[REC-3] a disk that hangs is asked once, however long it does; what comes meanwhile is counted, and recording resumes when it answers', async () => {
  await using r = await rig();
  const init = testInit();
  r.publish(testPart({ at: 0, init }));
  await r.settle();
  using disk = await hangingWrites(r.directory);
  let at = 200;
  const next = (): void => { r.stream.parts.publish(testPart({ at, init })); at += 200; };
  const turn = async (): Promise<void> => { for (let i = 0; i < 20; i++) await setImmediate(); };
  next();
  for (let i = 0; i < 2; i++) { // the write, and closing the segment
    await r.until(() => r.clock.waiting.includes(10_000));
    r.clock.advance(10_000);
  }
  await r.until(() => r.events.some(({ type }) => type === 'alarm'));
  for (let i = 0; i < 30; i++) {
    next();
    r.clock.advance(10_000);
    await turn();
  }
  expect(disk.asked).toBe(1);
  expect(await r.drops()).toEqual([['write_failed', 31]]);
  disk.answer();
  while (!r.events.some((event) => event.type === 'alarm' && !event.alarm.raised)) {
    next();
    await turn();
  }
  expect(r.segments().at(-1)?.gapCause).toBe('disk');
});
