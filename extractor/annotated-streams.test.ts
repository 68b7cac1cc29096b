/** The pool and those who watch with boxes burned in. */
import { expect, test } from 'vitest';
import type { AccessUnit } from '../core/access-unit.ts';
import { toAvcc } from '../core/codec/h264/nal.ts';
import type { AnnotatedUnitMessage } from './protocol.ts';
import { setUp, settle } from './testing-pool.ts';

const SPS = Buffer.from('6742c01fd9005005ba10000003001000000303c0f1832480', 'hex');
const PPS = Buffer.from('68cb8cb2', 'hex');
const NEVER = new AbortController().signal;
const LINGER_MS = 2_000;
const IDLE_MS = 3_000;

const unitOf = (handle: number, seq: number, randomAccess = false): AnnotatedUnitMessage => ({
  handle, frame: { stream: '', epoch: 1, rtpTs: seq, captureNtp: null, seq }, pts: seq * 3000, wall: seq, randomAccess,
  data: toAvcc([...(randomAccess ? [SPS, PPS] : []), Buffer.from([randomAccess ? 0x65 : 0x41, 0x88, 0x55])]),
});
const failure = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => { throw new Error('it did not fail'); }, (error: unknown) => error);

/** One live camera without detectors, its first picture published. */
const live = async () => {
  const all = setUp(['a']);
  all.set('a', []);
  const [stream] = all.streams;
  stream!.become('live');
  all.publish(stream!, 0, true);
  await settle();
  const value = async (name: 'annotatedEncoders' | 'annotatedFrames' | 'branchDropped'): Promise<number> => (await all.metrics[name].get()).values.reduce((sum, one) => sum + one.value, 0);
  return { ...all, stream: stream!, annotated: all.pool.annotated, value };
};

test('[DIS-4] [EXT-1] nobody watches: no process, no stream; the first viewer starts both, others share them, and after the last both are gone', async () => {
  const { annotated, extractors, clock } = await live();
  const events: string[] = [];
  annotated.onStream(({ camera }) => { events.push(`+${camera}`); });
  annotated.onRemoved((camera) => { events.push(`-${camera}`); });
  expect([extractors.length, annotated.get('a'), annotated.list()]).toEqual([0, undefined, []]);
  const held = [annotated.hold('a'), annotated.hold('a')];
  await settle();
  expect([extractors.length, [...extractors[0]!.burning], events]).toEqual([1, [0], ['+a']]);
  held[0]![Symbol.dispose]();
  held[0]![Symbol.dispose]();
  clock.advance(60_000);
  expect([...extractors[0]!.burning]).toEqual([0]);
  held[1]![Symbol.dispose]();
  clock.advance(LINGER_MS - 1);
  expect([...extractors[0]!.burning]).toEqual([0]);
  clock.advance(1);
  expect([[...extractors[0]!.burning], events, annotated.list()]).toEqual([[], ['+a', '-a'], []]);
  clock.advance(IDLE_MS);
  expect(extractors[0]!.ended).toBe(true);
});

test('[DIS-4] a viewer that comes back within two seconds finds the encoder', async () => {
  const { annotated, extractors, clock } = await live();
  annotated.hold('a')[Symbol.dispose]();
  const stream = annotated.get('a');
  clock.advance(1_500);
  using _held = annotated.hold('a');
  clock.advance(60_000);
  expect(annotated.get('a')).toBe(stream);
  expect(extractors).toHaveLength(1);
});

test('[DIS-4] the stream has the source\'s identity and times, tracks of its own and no sound; viewers get it from the last random access picture on', async () => {
  const { annotated, extractors } = await live();
  using _held = annotated.hold('a');
  await settle();
  const stream = annotated.get('a');
  const got: AccessUnit[] = [];
  stream!.hub.attach((unit) => { got.push(unit); });
  expect(stream!.tracks).toBeNull();
  for (const [seq, key] of [[0, true], [1, false], [2, true], [3, false]] as const) extractors[0]!.annotated(unitOf(0, seq, key));
  expect(got.map(({ kind, frame, pts, dts, wall, randomAccess }) => [kind, frame.stream, frame.seq, pts, dts, wall, randomAccess])).toEqual([0, 1, 2, 3].map((seq) => ['video', 'a', seq, seq * 3000, seq * 3000, seq, seq % 2 === 0]));
  expect(stream!.tracks).toMatchObject({ video: { codec: 'h264', width: 1280, height: 720, reorderDepth: 0 }, audio: null });
  expect(new Set(got.map(({ tracks }) => tracks)).size).toBe(1); // the same until something changes
  expect(stream!.hub.gop().map(({ frame }) => frame.seq)).toEqual([2, 3]);
  stream!.requestKeyframe();
  expect(extractors[0]!.keyframesAsked).toBe(1);
});

test('[DIS-4] a viewer is let in with the first picture, and refused when none comes, nobody publishes, or there is no such camera', async () => {
  const { annotated, extractors, clock, stream } = await live();
  const waiting = annotated.summon('a', NEVER);
  await settle();
  extractors[0]!.annotated(unitOf(0, 0, true));
  const held = await waiting;
  (await annotated.summon('a', NEVER))[Symbol.dispose](); // at once
  held[Symbol.dispose]();
  clock.advance(LINGER_MS);

  const late = failure(annotated.summon('a', NEVER));
  clock.advance(10_000);
  expect(await late).toMatchObject({ code: 'UNAVAILABLE', reason: 'NO_PICTURE', retryAfterSeconds: 1 });
  const client = new AbortController();
  const left = failure(annotated.summon('a', client.signal));
  client.abort(new Error('the client hung up'));
  expect(await left).toEqual(new Error('the client hung up'));
  const interrupted = failure(annotated.summon('a', NEVER));
  stream.become('interrupted');
  expect(await interrupted).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'NO_PUBLISHER' });
  expect(await failure(annotated.summon('a', NEVER))).toMatchObject({ reason: 'NO_PUBLISHER' });
  expect(await failure(annotated.summon('none', NEVER))).toMatchObject({ code: 'NOT_FOUND' });
  expect(() => annotated.hold('none')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  clock.advance(LINGER_MS);
  expect(annotated.list()).toEqual([]);
});

test('[DIS-4] those who wait for a first picture are bounded', async () => {
  const { annotated, clock } = await live();
  const waiting = Array.from({ length: 256 }, () => failure(annotated.summon('a', NEVER)));
  expect(await failure(annotated.summon('a', NEVER))).toMatchObject({ code: 'UNAVAILABLE', reason: 'TOO_MANY_WAITING' });
  clock.advance(10_000);
  await Promise.all(waiting);
  expect(clock.waiting.length).toBeLessThan(20);
});

test('[DIS-4] [EXT-7] after a crash the next process burns in, and what an old one says reaches nobody', async () => {
  const { annotated, extractors, clock, publish, stream, value } = await live();
  using _held = annotated.hold('a');
  await settle();
  extractors[0]!.burnInStats({ handle: 0, encoders: 1, encoded: 30, dropped: { encoder_busy: 2, late: 1 } });
  expect([await value('annotatedEncoders'), await value('annotatedFrames'), await value('branchDropped')]).toEqual([1, 30, 3]);
  extractors[0]!.crash(null);
  expect(await value('annotatedEncoders')).toBe(0);
  clock.advance(1_000);
  publish(stream, 1, true);
  await settle();
  expect([...extractors[1]!.burning]).toEqual([1]);
  let got = 0;
  annotated.get('a')!.hub.attach(() => { got++; });
  extractors[1]!.annotated(unitOf(0, 0, true));
  expect(got).toBe(0);
  extractors[1]!.annotated(unitOf(1, 1, true));
  expect(got).toBe(1);
});

test('[DIS-4] what is no H.264 is refused, and costs nobody else anything', async () => {
  const { annotated, extractors } = await live();
  using _held = annotated.hold('a');
  await settle();
  let got = 0;
  annotated.get('a')!.hub.attach(() => { got++; });
  for (const data of [Buffer.from([0, 0, 0, 99, 1]), toAvcc([Buffer.from([0x67, 1]), PPS]), Buffer.alloc(0)]) extractors[0]!.annotated({ ...unitOf(0, 0, true), data });
  expect(got).toBe(0);
  extractors[0]!.annotated(unitOf(0, 1, true));
  expect(got).toBe(1);
});

test('[DIS-4] the end of a session ends what is shown of it, an interruption does not, and the removal of the camera ends the stream', async () => {
  const { annotated, extractors, stream, remove, value } = await live();
  using _held = annotated.hold('a');
  await settle();
  extractors[0]!.burnInStats({ handle: 0, encoders: 1, encoded: 1, dropped: {} });
  extractors[0]!.annotated(unitOf(0, 0, true));
  const phases: string[] = [];
  annotated.get('a')!.onSession(({ phase }) => { phases.push(phase); });
  stream.become('interrupted');
  expect([annotated.get('a')!.tracks === null, annotated.get('a')!.hub.gop().length]).toEqual([false, 1]);
  stream.become('ended');
  expect([annotated.get('a')!.tracks, annotated.get('a')!.hub.gop(), phases]).toEqual([null, [], ['interrupted', 'ended']]);
  const removed: string[] = [];
  annotated.onRemoved((camera) => { removed.push(camera); });
  remove('a');
  expect([removed, annotated.list(), await value('annotatedEncoders')]).toEqual([['a'], [], 0]);
});

test('[DIS-4] as many cameras as the configuration allows are watched so at a time, further ones are told to come later', () => {
  const { pool: { annotated } } = setUp(['a', 'b', 'c']);
  using _a = annotated.hold('a');
  {
    using _b = annotated.hold('b');
    expect(() => annotated.hold('c')).toThrow(expect.objectContaining({ code: 'UNAVAILABLE', reason: 'TOO_MANY_ANNOTATED' }));
    using _again = annotated.hold('a');
  }
});

test('[DIS-4] pictures that come after the session was interrupted, or has ended, are of nothing', async () => {
  const { annotated, extractors, stream } = await live();
  using _held = annotated.hold('a');
  await settle();
  const watched = annotated.get('a');
  const got: number[] = [];
  watched?.hub.attach(({ frame }) => { got.push(frame.seq); });
  extractors[0]!.annotated(unitOf(0, 1, true));
  for (const phase of ['interrupted', 'ended'] as const) {
    stream.become(phase);
    extractors[0]!.annotated(unitOf(0, 2, true));
  }
  expect([got, watched?.tracks]).toEqual([[1], null]);
});
