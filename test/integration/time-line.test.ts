/** Whatever clocks and connections do: what was pushed is what is played, picture by picture. From depacketised pictures to the bytes of a playback. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { ALL_FORMATS, BufferSource, EncodedPacketSink, Input } from 'mediabunny';
import { expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { EdgeCameraStream } from '../../ingest/camera-stream.ts';
import type { Publication } from '../../ingest/port.ts';
import { StreamTimeline } from '../../ingest/timeline/stream-timeline.ts';
import { CameraMuxers } from '../../muxer/camera-muxers.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { DISK_DEADLINE } from '../../recorder/deadline.ts';
import { KeptRanges } from '../../recorder/kept-ranges.ts';
import { Recorder } from '../../recorder/recorder.ts';
import { LocalSegments } from '../../recorder/segment-file.ts';
import { LocalSegmentReader } from '../../recorder/segment-reader.ts';
import { clip } from '../support/media.ts';
import { readClip } from '../support/mp4-source.ts';

const GOP = 8;
const RUNS = 60;
/** So many pictures behind a jump, and what waits for reordering across it, may be moved: decode times only go forward. */
const REORDERED = 6;
const TWO_TICKS_S = 2.01 / 90_000;
const NEVER = new AbortController().signal;

type Event =
  /** A group in decode order: with B-frames, the last in time first. */
  | { readonly do: 'pictures'; readonly intervals: readonly number[]; readonly reordered: boolean }
  /** The camera makes none. */
  | { readonly do: 'pause'; readonly ms: number }
  /** The network holds what comes and gives it out at once. */
  | { readonly do: 'stall'; readonly intervals: readonly number[] }
  | { readonly do: 'camera-clock'; readonly ms: number }
  | { readonly do: 'host-clock'; readonly ms: number }
  | { readonly do: 'reconnect'; readonly ms: number; readonly rtpBase: number };

const interval = fc.integer({ min: 10, max: 150 });
const either = (min: number, max: number): fc.Arbitrary<number> => fc.tuple(fc.integer({ min, max }), fc.boolean()).map(([ms, back]) => (back ? -ms : ms));
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('pictures' as const), intervals: fc.array(interval, { minLength: 3, maxLength: 3 }), reordered: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pause' as const), ms: fc.integer({ min: 0, max: 5_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stall' as const), intervals: fc.array(interval, { minLength: 1, maxLength: 20 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('camera-clock' as const), ms: either(10_000, 1_200_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('host-clock' as const), ms: fc.integer({ min: 0, max: 3_600_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reconnect' as const), ms: fc.integer({ min: 0, max: 8_000 }), rtpBase: fc.oneof(fc.integer({ min: 2 ** 32 - 400_000, max: 2 ** 32 - 1 }), fc.nat(2 ** 32 - 1)) }) },
);

interface Pushed {
  readonly publication: number;
  readonly captureMs: number;
  /** How often a clock was set before it: distances to pictures with another number are not the camera's. */
  readonly clocks: number;
  /** Pictures pushed since the camera's clock jumped. */
  readonly sinceJump: number;
}

const media = readClip(clip('vtest-720p30-bframes.mp4'));
const sets = media.tracks.video?.codec === 'h264' ? { sps: media.tracks.video.sps, pps: media.tracks.video.pps } : undefined;
/** One slice, told from all others by its number. */
const picture = (id: number, key: boolean): Buffer => {
  const data = Buffer.alloc(12);
  data.writeUInt32BE(8);
  data[4] = key ? 0x65 : 0x41;
  data[5] = 0xff; // first_mb_in_slice 0, slice_type 0 (P): nothing looks further
  data.writeUInt32BE(id, 8);
  return data;
};

/** Everything one camera went through, and a playback of all of it. `hostTurns`: whether the host's clock is set forward or back. */
const play = async (directory: string, events: readonly Event[], hostTurns: 1 | -1): Promise<{ readonly pushed: readonly Pushed[]; readonly played: readonly { readonly id: number; readonly at: number }[] }> => {
  await using stack = new AsyncDisposableStack();
  const clock = new FakeClock();
  const logger = silentLogger();
  const metrics = createMetrics('test');
  const stream = stack.use(new EdgeCameraStream({ camera: 'cam', graceMs: 4_000, clock, metrics, logger, admit: () => undefined }));
  const nothing: Disposable = { [Symbol.dispose]: () => undefined };
  const muxers = new CameraMuxers({ get: () => stream, list: () => [stream], onStream: (listener) => { listener(stream); return nothing; }, onRemoved: () => nothing }, { partMs: 200, logger, metrics });
  const recorder = stack.use(await Recorder.start(directory, { segment_seconds: 2, flush_ms: 1, window_minutes: 1e6, min_free_bytes: 0, max_bytes: null }, {
    streams: muxers, journal: { append: () => undefined }, clock, logger, metrics, policyOf: () => 'always', kept: () => new KeptRanges([]),
  }));
  /** Whoever waits for the disk has a deadline of ten seconds, which must not come before the disk does. */
  const written = async (): Promise<void> => {
    for (let calm = 0; calm < 5; calm = clock.waiting.includes(DISK_DEADLINE) ? 0 : calm + 1) await setImmediate();
  };
  const pass = async (ms: number): Promise<void> => {
    await written();
    clock.advance(ms);
    stream.tick();
  };

  const pushed: Pushed[] = [];
  let publication: Publication | null = null;
  let timeline: StreamTimeline | null = null;
  let publications = 0;
  let clocks = 0;
  let hostSet = false;
  let sinceJump = Infinity;
  let rtpBase = 4_294_900_000;
  let cameraAhead = 0;
  let sinceKey = 0;
  const begin = (): StreamTimeline => {
    const begun: Publication = stream.beginPublication({ protocol: 'rtsp', requestKeyframe: () => undefined, close: () => undefined, stats: () => ({ bytes: 0, packets: 0, lost: 0, recovered: 0, jitterMs: 0, roundTripMs: null, discarded: 0 }) } as never);
    publication = begun;
    publications++;
    sinceKey = 0;
    return timeline = new StreamTimeline({ camera: 'cam', epoch: begun.epoch, nextSeq: () => begun.nextSeq(), publish: (unit) => { begun.publish(unit); }, video: 'h264', ...(sets ? { parameterSets: sets } : {}), audio: null, clock });
  };
  const push = (captureMs: number, key: boolean): void => {
    const to = timeline ?? begin();
    // A clock set forward is followed at a key frame, one set back not at all.
    if (key && hostSet) { clocks++; hostSet = false; }
    const rtp = (rtpBase + Math.round((captureMs + cameraAhead) * 90)) >>> 0;
    pushed.push({ publication: publications, captureMs, clocks, sinceJump: sinceJump++ });
    to.video({ data: picture(pushed.length - 1, key), timestamp: rtp, randomAccess: key, sps: null, pps: null, size: null }, clock.monotonic());
  };
  const next = (): boolean => {
    if (timeline === null) begin();
    return sinceKey++ % GOP === 0;
  };

  for (const step of events) {
    switch (step.do) {
      case 'pictures': {
        const [a = 0, b = 0, c = 0] = step.intervals;
        const from = clock.monotonic();
        if (step.reordered && sinceKey % GOP !== 0) {
          await pass(a + b + c);
          push(from + a + b + c, false);
          push(from + a, false);
          push(from + a + b, false);
          sinceKey++;
        } else {
          for (const ms of step.intervals) { await pass(ms); push(clock.monotonic(), next()); }
        }
        break;
      }
      case 'stall': {
        const from = clock.monotonic();
        await pass(step.intervals.reduce((sum, ms) => sum + ms, 0));
        let at = from;
        for (const ms of step.intervals) push(at += ms, next());
        break;
      }
      case 'pause': await pass(step.ms); break;
      case 'camera-clock':
        if (sinceJump === 0) break; // two at once could add up to a glitch, which is none
        cameraAhead += step.ms;
        clocks++;
        sinceJump = 0;
        break;
      case 'host-clock': clock.step(hostTurns * step.ms); hostSet ||= hostTurns > 0; break;
      case 'reconnect':
        (publication as Publication | null)?.end('lost', 'test');
        publication = timeline = null;
        sinceKey = 0;
        await pass(step.ms);
        ({ rtpBase } = step);
        break;
    }
  }
  await pass(40);
  push(clock.monotonic(), next()); // at least one
  (publication as Publication | null)?.end('left', 'test');
  await recorder[Symbol.asyncDispose](); // writes what is queued

  const segments = recorder.knownSegments();
  const from = Math.min(...segments.map(({ start }) => start));
  // The index counts a segment's length in decode times, which end some pictures earlier where pictures are reordered.
  const to = Math.max(...segments.map(({ start, duration }) => start + duration));
  const file = await new LocalSegmentReader(new LocalSegments(directory), logger).playback({ camera: 'cam', from: Math.floor(from), to: Math.ceil(to) + 10_000 }, segments, NEVER);
  const pieces: Buffer[] = [];
  for await (const piece of file.read(0, file.byteLength, NEVER)) pieces.push(piece);
  using input = new Input({ formats: ALL_FORMATS, source: new BufferSource(Buffer.concat(pieces)) });
  const track = await input.getPrimaryVideoTrack();
  const played: { id: number; at: number }[] = [];
  if (track) for await (const packet of new EncodedPacketSink(track).packets()) played.push({ id: Buffer.from(packet.data).readUInt32BE(packet.data.length - 4), at: packet.timestamp });
  return { pushed, played };
};

test('[REC-1] [REC-5] gaps, wraps, jumps of either clock, reordering, stalls and reconnects: what was pushed is what is played, sample by sample', async () => {
  await fc.assert(fc.asyncProperty(fc.array(event, { minLength: 5, maxLength: 40 }), fc.constantFrom(1 as const, -1 as const), async (events, hostTurns) => {
    fc.pre(events.reduce((sum, step) => sum + (step.do === 'host-clock' ? step.ms : 0), 0) < 5 * 3_600_000); // a playback is at most six hours
    const directory = await mkdtemp(join(tmpdir(), 'imageflow-line-'));
    try {
      const { pushed, played } = await play(directory, events, hostTurns);
      expect(played.map(({ id }) => id).sort((a, b) => a - b)).toEqual(pushed.map((_, id) => id));
      const at = new Map(played.map((each) => [each.id, each.at]));
      const publications = new Set(pushed.map(({ publication }) => publication));
      for (const publication of publications) {
        const mine = pushed.flatMap((each, id) => (each.publication === publication ? [{ ...each, id, at: at.get(id) ?? NaN }] : []));
        // Decoded in the order in which they were pushed.
        expect(played.map(({ id }) => id).filter((id) => pushed[id]?.publication === publication)).toEqual(mine.map(({ id }) => id));
        const shown = mine.toSorted((a, b) => a.captureMs - b.captureMs);
        for (const [i, picture] of shown.entries()) {
          const before = shown[i - 1];
          if (!before) continue;
          const step = picture.at - before.at;
          const exact = before.clocks === picture.clocks && before.sinceJump >= REORDERED && picture.sinceJump >= REORDERED;
          if (exact) expect(Math.abs(step - (picture.captureMs - before.captureMs) / 1000), `${String(before.id)}→${String(picture.id)}`).toBeLessThan(TWO_TICKS_S);
          else expect(step, `${String(before.id)}→${String(picture.id)}`).toBeGreaterThan(0);
        }
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }), { numRuns: RUNS, seed: 20261128, endOnFailure: true });
});
