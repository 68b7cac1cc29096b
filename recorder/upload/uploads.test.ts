import { stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { h264Track } from '../../core/codec/h264/track.ts';
import type { Tracks } from '../../core/track.ts';
import { PartMuxer } from '../../muxer/part-muxer.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { TestInstallation } from '../integrity/testing-recordings.ts';
import { KeptRanges } from '../kept-ranges.ts';
import type { SegmentRecord, UploadedMedia, UploadedUnit } from '../port.ts';
import { Recorder } from '../recorder.ts';
import type { RecorderDeps } from '../recorder.ts';
import type { SegmentDisk } from '../segment-writer.ts';
import { TestStream, testInit, testPart } from '../testing-parts.ts';
import { verifyRecordings } from '../verify.ts';

const TRACKS: Tracks = { video: h264Track(Buffer.from('6764001facb200a00b7420000003002000000781e30649', 'hex'), Buffer.from('68ebccb22c', 'hex')), audio: null };
const FRAME = 40;
const HOUR = 3_600_000;

let installation: TestInstallation;
beforeEach(async () => {
  installation = await TestInstallation.create();
  installation.clock.advance(HOUR);
});
afterEach(() => installation[Symbol.asyncDispose]());

/** A file of pictures every 40 ms, a key frame every 400 ms; `until` tells when its reading goes on. */
const file = (start: number, seconds: number, between: (batch: number) => Promise<void> | void = () => undefined): UploadedMedia => {
  const unitAt = (i: number): UploadedUnit => {
    const wall = start + i * FRAME;
    return {
      duration: FRAME,
      unit: {
        kind: 'video', frame: { stream: 'cam', epoch: start, rtpTs: i * FRAME * 90, captureNtp: wall, seq: i }, pts: i * FRAME * 90, dts: i * FRAME * 90, wall, arrivedAt: 0,
        randomAccess: i % 10 === 0, data: Buffer.from([0, 0, 0, 1, i & 0xff]), byteLength: 5, tracks: TRACKS,
      },
    };
  };
  return {
    camera: 'cam', start, duration: seconds * 1000,
    async *units() {
      const all = Array.from({ length: (seconds * 1000) / FRAME }, (_, i) => unitAt(i));
      for (let i = 0; i < all.length; i += 25) {
        await between(i / 25);
        yield all.slice(i, i + 25);
      }
    },
  };
};

const rig = async (more: Partial<RecorderDeps> & { readonly windowMinutes?: number } = {}) => {
  const stream = new TestStream();
  const metrics = createMetrics('test');
  const bytes = async (): Promise<number> => (await metrics.recordedBytes.get()).values[0]?.value ?? 0;
  const { windowMinutes = 1e6, ...deps } = more;
  const recorder = await Recorder.start(installation.recordings, { segment_seconds: 1, flush_ms: 200, window_minutes: windowMinutes, min_free_bytes: 0, max_bytes: null }, {
    streams: stream, journal: { append: (event) => { installation.events.push(event); } }, clock: installation.clock, logger: silentLogger(), metrics, policyOf: () => 'always', key: installation.key,
    kept: () => new KeptRanges([]), partMaker: (camera, sessionId, sessionStart) => new PartMuxer({ camera, sessionId, sessionStart, partMs: 200 }), ...deps,
  });
  while (stream.parts.branchCount === 0) await setImmediate();
  return {
    recorder,
    /** Records `seconds` live from `wall` on. */
    live: async (wall: number, seconds: number, session: string): Promise<void> => {
      const init = testInit();
      const parts = Array.from({ length: seconds * 5 }, (_, i) => testPart({ at: i * 200, init, sessionStart: wall, sessionId: session, epoch: wall }));
      const wanted = (await bytes()) + parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
      for (const part of parts) stream.parts.publish(part);
      while ((await bytes()) < wanted) await setImmediate();
      stream.change(session, 'ended');
      while (recorder.knownSegments().some(({ sessionId, open }) => sessionId === session && open)) await setImmediate();
    },
    [Symbol.asyncDispose]: () => recorder[Symbol.asyncDispose](),
  };
};
const verified = async (segments: readonly SegmentRecord[]): Promise<unknown> => (await verifyRecordings(installation.recordings, segments, { key: installation.key.public })).problems;

test('[SD-52] every gap within a file is filled, in segments of a session of its own, and nothing else is taken', async () => {
  await using r = await rig();
  const t0 = installation.clock.now() - HOUR / 2;
  await r.live(t0, 2, 'one');
  await r.live(t0 + 5_000, 1, 'two');
  const report = await r.recorder.upload(file(t0 - 2_000, 12));
  expect(report.taken).toEqual([{ from: t0 - 2_000, to: t0 }, { from: t0 + 2_000, to: t0 + 5_000 }, { from: t0 + 6_000, to: t0 + 10_000 }]);
  expect(report.alreadyRecorded).toEqual([{ from: t0, to: t0 + 2_000 }, { from: t0 + 5_000, to: t0 + 6_000 }]);
  expect(report.pictures).toBe(225);
  const segments = r.recorder.knownSegments();
  const mine = segments.filter(({ sessionId }) => sessionId === report.sessionId);
  expect(mine).toHaveLength(report.segments);
  expect(mine.every(({ open, sha256 }) => !open && sha256 !== null)).toBe(true);
  expect(mine.every(({ duration }) => duration <= 1_400)).toBe(true);
  expect(segments.every(({ start, duration }, i) => start + duration <= (segments[i + 1]?.start ?? Infinity) + 1)).toBe(true);
  expect(await verified(segments)).toEqual([]);
  expect(await r.recorder.upload(file(t0 - 2_000, 12))).toMatchObject({ taken: [], segments: 0, pictures: 0 });
  expect(r.recorder.knownSegments()).toEqual(segments);
});

test('[SD-52] two files of the same time that come together are recorded once', async () => {
  await using r = await rig();
  const t0 = installation.clock.now() - HOUR / 2;
  const reports = await Promise.all([r.recorder.upload(file(t0, 3)), r.recorder.upload(file(t0, 3))]);
  expect(reports.map(({ pictures }) => pictures)).toEqual([75, 0]);
});

test('[SD-52] [REC-10] a camera that is recorded meanwhile and an upload are one chain, whichever closes first', async () => {
  const t0 = installation.clock.now() - HOUR / 2;
  {
    await using r = await rig();
    let batches = 0;
    const report = await r.recorder.upload(file(t0, 8, async () => {
      if (batches++ % 3 === 1) await r.live(installation.clock.now(), 1, `live-${String(batches)}`);
    }));
    expect(report.pictures).toBe(200);
    const segments = r.recorder.knownSegments();
    expect(new Set(segments.flatMap(({ chain }) => chain?.position ?? [])).size).toBe(segments.length);
    expect(await verified(segments)).toEqual([]);
  }
  await using again = await rig();
  expect(installation.alarms).toEqual([]);
  expect(await verified(again.recorder.knownSegments())).toEqual([]);
});

test('[SD-52] of a file that cannot be read to its end what was closed stays whole, and the next upload brings the rest', async () => {
  const t0 = installation.clock.now() - HOUR / 2;
  await using r = await rig();
  await expect(r.recorder.upload(file(t0, 6, (batch) => { if (batch === 3) throw new Error('gone'); }))).rejects.toThrow('gone');
  const first = r.recorder.knownSegments();
  expect(first.length).toBeGreaterThan(0);
  expect(await verified(first)).toEqual([]);
  for (const { id, bytes } of first) expect((await stat(installation.path(id))).size).toBe(bytes);
  await r.recorder.upload(file(t0, 6));
  const all = r.recorder.knownSegments();
  expect(all.at(-1)).toMatchObject({ open: false });
  expect((all.at(-1)?.start ?? 0) + (all.at(-1)?.duration ?? 0)).toBeCloseTo(t0 + 6_000, 0);
  expect(await verified(all)).toEqual([]);
});

test('[SD-52] a stop ends an upload at its last whole part', async () => {
  const t0 = installation.clock.now() - HOUR / 2;
  const r = await rig();
  const reached = Promise.withResolvers<undefined>();
  const upload = r.recorder.upload(file(t0, 60, async (batch) => {
    if (batch === 2) reached.resolve(undefined);
    await setImmediate();
  }));
  upload.catch(() => undefined);
  await reached.promise;
  await r[Symbol.asyncDispose]();
  await expect(upload).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'STOPPING' });
  await using again = await rig();
  expect(installation.alarms).toEqual([]);
  expect(await verified(again.recorder.knownSegments())).toEqual([]);
});

test('[SD-52] [REC-3] after a kill in the middle what was written is whole, and the file sent again brings the rest', async () => {
  const t0 = installation.clock.now() - HOUR / 2;
  let killed: TestInstallation | undefined;
  {
    await using r = await rig();
    await r.recorder.upload(file(t0, 10, async (batch) => { if (batch === 5) killed = await installation.copy(); }));
  }
  await installation[Symbol.asyncDispose]();
  if (!killed) throw new Error('not killed');
  installation = killed;
  await using again = await rig();
  const left = again.recorder.knownSegments();
  expect(left.length).toBeGreaterThan(2);
  expect(installation.alarms).toEqual([]);
  expect(await verified(left)).toEqual([]);
  const { pictures } = await again.recorder.upload(file(t0, 10));
  expect(pictures).toBeGreaterThan(100);
  expect(pictures).toBeLessThan(150);
  const all = again.recorder.knownSegments();
  expect(all.reduce((sum, { duration }) => sum + duration, 0)).toBeGreaterThan(10_000 - 400);
  expect(await verified(all)).toEqual([]);
});

test('[SD-52] a full disk refuses the upload with 503', async () => {
  const full: SegmentDisk = { create: () => Promise.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' })), syncFolder: () => Promise.resolve() };
  await using r = await rig({ segmentDisk: full });
  await expect(r.recorder.upload(file(installation.clock.now() - HOUR / 2, 3))).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'DISK_FULL' });
});

test('[SD-52] [REC-2] what retention would take at once is refused, unless a mark keeps it', async () => {
  const now = installation.clock.now();
  const old = now - 20 * 60_000;
  {
    await using r = await rig({ windowMinutes: 15 });
    expect(() => { r.recorder.admitUpload('cam', old); }).toThrow(expect.objectContaining({ reason: 'BEFORE_WINDOW' }));
    expect(() => { r.recorder.admitUpload('cam', now + 60_000); }).toThrow(expect.objectContaining({ reason: 'IN_THE_FUTURE' }));
    await expect(r.recorder.upload(file(now - 1_000, 60))).rejects.toMatchObject({ reason: 'IN_THE_FUTURE' });
  }
  await using marked = await rig({ windowMinutes: 15, kept: () => new KeptRanges([{ camera: 'cam', from: old, to: old + 60_000 }]) });
  expect(await marked.recorder.upload(file(old, 3))).toMatchObject({ pictures: 75 });
});
