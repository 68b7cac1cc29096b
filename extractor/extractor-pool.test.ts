import { expect, test } from 'vitest';
import type { Scene } from '../media-control/port.ts';
import type { ResultMessage } from './protocol.ts';
import { DETECTOR, TRACKS, setUp, settle } from './testing-pool.ts';
import type { FakeExtractor } from './testing-pool.ts';

test('[D-17][INF-1] an extractor is told the workers and their tokens in its first message, and each change of them', () => {
  const workers = [{ address: 'unix:/w', token: 'sesame' }];
  const { streams: [stream], extractors, set } = setUp(['a'], 1, workers);
  stream!.become('live');
  expect(extractors[0]?.hello).toEqual({ workers: [{ address: 'unix:/w', token: 'sesame' }], deadlineMs: 1000 });
  set('a', [{ ...DETECTOR, fps: 5 }]);
  expect(extractors[0]?.workers).toBeUndefined();
  workers.push({ address: '10.0.0.2:7001', token: 'open' });
  set('a', [DETECTOR]);
  expect(extractors[0]?.workers).toEqual(workers);
});

test('[EXT-6] a picture larger than the pipe carries is left out and counted as such, and the camera goes on', async () => {
  const { streams: [stream], extractors, publish, pool } = setUp(['a']);
  stream!.become('live');
  publish(stream!, 0, true);
  publish(stream!, 1, true, (16 << 20) + 1);
  publish(stream!, 2, true);
  await settle();
  expect(extractors[0]?.sent.map(({ seq }) => seq)).toEqual([0, 2]);
  expect(pool.stats('a')?.skipped).toEqual({ too_large: 1 });
});

test('[EXT-7] a process that cannot even be started is tried again later, and its failure reaches no publisher', () => {
  const { clock, refusals, streams: [stream], extractors } = setUp(['a']);
  refusals.push(new Error('ENOSPC: no space left on device, mkdtemp'));
  expect(() => { stream!.become('live'); }).not.toThrow();
  expect(extractors).toHaveLength(0);
  clock.advance(60_000);
  expect(extractors).toHaveLength(1);
});

test('[EXT-1] a process starts with the first live camera that has a detector, and gets the cached GOP', async () => {
  const { streams: [stream], extractors, publish, pool, set } = setUp(['a']);
  publish(stream!, 0, true);
  publish(stream!, 1);
  set('a', []);
  stream!.become('live');
  expect(extractors).toEqual([]);
  set('a', [DETECTOR]);
  expect(pool.pids).toEqual([1]);
  publish(stream!, 2);
  await settle();
  expect(extractors[0]?.sent.map((s) => s.seq)).toEqual([0, 1, 2]);
  expect([...extractors[0]!.cameras.values()]).toMatchObject([{ camera: 'a', codec: { codec: 'vp8' }, detectors: [DETECTOR] }]);
});

test.each(['interrupted', 'ended'] as const)('[EXT-1] of a camera that is %s the decoder goes after the idle time, and the last one takes the process with it', async (phase) => {
  const { streams: [stream], extractors, publish, pool, clock } = setUp(['a']);
  stream!.become('live');
  publish(stream!, 0, true);
  await settle();
  const [extractor] = extractors;
  extractor!.stats(0, 1);
  expect(pool.stats('a')?.decodersActive).toBe(1);
  stream!.become(phase);
  clock.advance(2900);
  expect(extractor!.cameras.size).toBe(1);
  clock.advance(200);
  expect(extractor!.cameras.size).toBe(0);
  expect(pool.stats('a')).toMatchObject({ decodersActive: 0, decodedFrames: 20 });
  expect(extractor!.ended).toBe(true);
});

test('a camera that comes back within the idle time keeps its decoder', () => {
  const { streams: [stream], extractors, clock } = setUp(['a']);
  stream!.become('live');
  stream!.become('interrupted');
  clock.advance(2000);
  stream!.become('live');
  clock.advance(10_000);
  expect(extractors).toHaveLength(1);
  expect(extractors[0]?.ended).toBe(false);
});

test('[EXT-6] a full pipe is waited for; what is late by then is only decoded', async () => {
  const { streams: [stream], extractors, publish, clock } = setUp(['a']);
  stream!.become('live');
  publish(stream!, 0, true);
  await settle();
  const extractor = extractors[0]!;
  extractor.full = true;
  publish(stream!, 1);
  await settle();
  publish(stream!, 2);
  await settle();
  expect(extractor.sent.map((s) => s.seq)).toEqual([0, 1]);
  clock.advance(300);
  publish(stream!, 3);
  extractor.drain();
  await settle();
  expect(extractor.sent.slice(2).map((s) => [s.seq, s.decodeOnly])).toEqual([[2, true], [3, false]]);
});

test('[EXT-6] hopelessly behind it goes on at the next random access unit, and counts what it left out', async () => {
  const { streams: [stream], extractors, publish, clock, pool } = setUp(['a']);
  stream!.become('live');
  publish(stream!, 0, true);
  await settle();
  const extractor = extractors[0]!;
  extractor.full = true;
  publish(stream!, 1);
  await settle();
  publish(stream!, 2);
  clock.advance(4000);
  publish(stream!, 3);
  publish(stream!, 4, true);
  extractor.drain();
  await settle();
  expect(extractor.sent.map((s) => s.seq)).toEqual([0, 1, 4]);
  expect(pool.stats('a')?.skipped.queue_full).toBe(2);
});

test('[EXT-7] after a crash all its cameras go on in a new process; one that crashes it twice in a minute gets its own', async () => {
  const { streams, extractors, clock, pool } = setUp(['a', 'b']);
  for (const stream of streams) stream.become('live');
  expect(extractors).toHaveLength(1);
  extractors[0]!.crash(0);
  expect(pool.pids).toEqual([]);
  clock.advance(250);
  expect(pool.pids).toEqual([2]);
  const handleOfA = 2; // handles count up: 0 and 1 were of the first process
  extractors[1]!.crash(handleOfA);
  // 'a' does not wait for the shared process.
  expect(pool.pids).toEqual([3]);
  clock.advance(500);
  expect(pool.pids).toEqual([3, 4]);
  await settle();
  for (const stream of streams) stream.hub.publish({ kind: 'video', frame: { stream: stream.camera, epoch: 1, rtpTs: 0, captureNtp: null, seq: 0 }, pts: 0, dts: 0, wall: 0, arrivedAt: clock.monotonic(), randomAccess: true, data: Buffer.alloc(1), byteLength: 1, tracks: TRACKS });
  await settle();
  expect(extractors.slice(2).map((e) => [...e.cameras.values()].map((c) => c.camera))).toEqual([['a'], ['b']]);
});

test('a process that crashes again and again is started less and less often', () => {
  const { streams: [stream], extractors, clock } = setUp(['a']);
  stream!.become('live');
  for (let i = 0; i < 600; i++) {
    extractors.at(-1)!.crash(null);
    clock.advance(100);
    if (extractors.at(-1)!.ended) clock.advance(1);
  }
  // 60 s: at 0.2, 0.6, 1.4, 3, 6.2, 12.6, 22.6 s …
  expect(extractors.length).toBeLessThan(14);
  expect(extractors.length).toBeGreaterThan(5);
});

test('cameras are spread over the processes', () => {
  const { streams, extractors } = setUp(['a', 'b', 'c', 'd'], 2);
  for (const stream of streams) stream.become('live');
  expect(extractors).toHaveLength(2);
});

test('results go to the Hub at once and to the journal in batches; those of another camera\'s name are refused', () => {
  const { streams: [stream], extractors, clock, pool, journal } = setUp(['a']);
  stream!.become('live');
  const seen: number[] = [];
  pool.detections('a').attach(({ result }) => { seen.push(result.frame.seq); });
  const result = (camera: string, seq: number): ResultMessage => ({
    handle: 0, detector: 'detect',
    result: { frame: { stream: camera, epoch: 1, rtpTs: 2, captureNtp: null, seq }, capturedAt: 5, model: 'm', modelDigest: 'd', inferenceMs: 6, width: 1, height: 1, detections: [] },
    timings: { queueMs: 1, waitMs: 2, inferenceMs: 3, shareMs: 3, totalMs: 4 },
  });
  extractors[0]!.result(result('a', 1));
  extractors[0]!.result(result('b', 2));
  extractors[0]!.result(result('a', 3));
  expect(seen).toEqual([1, 3]);
  expect(journal).toEqual([]);
  clock.advance(200);
  expect(journal).toMatchObject([{ type: 'detections', results: [{ frame: { seq: 1 } }, { frame: { seq: 3 } }] }]);
  expect(pool.stats('a')?.inferredFrames).toBe(2);
});

test('[INF-6] a new process numbers the tracks of a camera on from the last that was told', async () => {
  const { streams: [a, b], extractors, publish, clock } = setUp(['a', 'b']);
  for (const stream of [a!, b!]) {
    stream.become('live');
    publish(stream, 0, true);
  }
  await settle();
  const lastTracks = (extractor: FakeExtractor): number[] => [...extractor.cameras.values()].map(({ lastTrack }) => lastTrack);
  expect(lastTracks(extractors[0]!)).toEqual([0, 0]);
  const detection = (trackId: string | null) => ({ className: 'n', classId: 0, confidence: 0.5, bbox: { x: 0, y: 0, width: 1, height: 1 }, trackId });
  extractors[0]!.result({
    handle: 0, detector: 'detect',
    result: { frame: { stream: 'a', epoch: 1, rtpTs: 2, captureNtp: null, seq: 1 }, capturedAt: 5, model: 'm', modelDigest: 'd', inferenceMs: 6, width: 1, height: 1, detections: ['3', '12', null].map(detection) },
    timings: { queueMs: 1, waitMs: 2, inferenceMs: 3, shareMs: 3, totalMs: 4 },
  });
  extractors[0]!.crash(null);
  clock.advance(1000);
  await settle();
  expect(lastTracks(extractors[1]!)).toEqual([12, 0]);
});

test('a decoder that lost its way asks the camera for a key frame, not too often', () => {
  const { streams: [stream], extractors, clock } = setUp(['a']);
  stream!.become('live');
  for (let i = 0; i < 4; i++) {
    extractors[0]!.stats(0, 1, true);
    clock.advance(1000);
  }
  expect(stream!.keyframesAsked).toBe(2);
});

test('a removed camera ends its Hub and its decoder; disposing ends all processes', async () => {
  const { streams, extractors, pool, remove } = setUp(['a', 'b']);
  for (const stream of streams) stream.become('live');
  const branch = pool.detections('a').subscribe({ name: 't', dropPolicy: 'keep-latest', maxUnits: 1, maxBytes: 1000 });
  remove('a');
  expect((await branch.next()).done).toBe(true);
  expect(pool.stats('a')).toBeNull();
  await pool[Symbol.asyncDispose]();
  expect(extractors.every((e) => e.ended)).toBe(true);
});

test('[INF-6] a process is told which objects are drawn; rules and lines are the edge\'s own, and a change of them begins nothing anew', async () => {
  const { streams: [stream], extractors, publish, set } = setUp(['a']);
  const zones = [{ id: 'z', polygon: [[0, 0], [1, 0], [1, 1]] }] as const;
  const scene: Scene = { classes: ['person'], zonesOnly: false, anchor: 'foot', zones, lines: [], rules: [] };
  set('a', [{ ...DETECTOR, scene }]);
  stream!.become('live');
  publish(stream!, 0, true);
  await settle();
  const sent = () => [...(extractors[0]?.cameras.values() ?? [])].map(({ detectors }) => detectors);
  expect(sent()).toMatchObject([[{ id: 'detect', shown: { classes: ['person'], zonesOnly: false, anchor: 'foot', zones } }]]);
  const before = sent()[0];
  set('a', [{ ...DETECTOR, scene: { ...scene, lines: [{ id: 'l', from: [0, 0], to: [1, 1] }], rules: [{ type: 'cross', id: 'r', classes: [], minConfidence: 0, line: 'l', direction: 'both' }] } }]);
  expect(sent()[0]).toBe(before);
  set('a', [{ ...DETECTOR, scene: { ...scene, classes: [] } }]);
  expect(sent()[0]?.[0]).not.toHaveProperty('shown');
});
