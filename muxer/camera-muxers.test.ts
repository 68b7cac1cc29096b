import { expect, test } from 'vitest';
import type { AccessUnit } from '../core/access-unit.ts';
import { h264Track } from '../core/codec/h264/track.ts';
import { Hub } from '../core/hub.ts';
import type { Tracks } from '../core/track.ts';
import type { CameraStream, SessionInfo, StreamRegistry } from '../ingest/port.ts';
import { silentLogger } from '../platform/logging.ts';
import { createMetrics } from '../platform/metrics.ts';
import { CameraMuxers } from './camera-muxers.ts';
import type { Part } from './port.ts';

const START = 1_750_000_000_000;
const TRACKS: Tracks = { video: h264Track(Buffer.from('6764001facb200a00b7420000003002000000781e30649', 'hex'), Buffer.from('68ebccb22c', 'hex')), audio: null };
const VP8: Tracks = { video: { kind: 'video', codec: 'vp8', clockRate: 90_000, width: 2, height: 2, codecString: 'vp8', reorderDepth: 0 }, audio: null };

/** A stream whose session the test sets. */
class ScriptedStream implements CameraStream {
  readonly camera = 'cam';
  readonly hub = new Hub<AccessUnit>();
  readonly tracks = null;
  session: SessionInfo | null = null;
  #listeners: ((session: SessionInfo) => void)[] = [];

  stats = (): null => null;
  requestKeyframe = (): void => undefined;
  beginPublication = (): never => { throw new Error('not in this test'); };
  onSession(listener: (session: SessionInfo) => void): Disposable {
    this.#listeners.push(listener);
    return { [Symbol.dispose]: () => { this.#listeners = this.#listeners.filter((l) => l !== listener); } };
  }

  enter(id: string, phase: SessionInfo['phase'], startedAt = START): void {
    const session: SessionInfo = { id, camera: 'cam', phase, protocol: 'rtsp', startedAt, endedAt: null, reason: null, epoch: startedAt };
    this.session = session;
    for (const listener of this.#listeners) listener(session);
  }

  picture(ms: number, epoch = START, tracks = TRACKS): void {
    this.hub.publish({
      kind: 'video', frame: { stream: 'cam', epoch, rtpTs: ms * 90, captureNtp: null, seq: 0 }, pts: ms * 90, dts: ms * 90, wall: epoch + ms, arrivedAt: ms,
      randomAccess: ms === 0, data: Buffer.from([1]), byteLength: 1, tracks,
    });
  }
}

const setUp = () => {
  const stream = new ScriptedStream();
  let removed: (camera: string) => void = () => undefined;
  const registry: StreamRegistry = {
    get: () => stream,
    list: () => [stream],
    onStream: (listener) => { listener(stream); return { [Symbol.dispose]: () => undefined }; },
    onRemoved: (listener) => { removed = listener; return { [Symbol.dispose]: () => undefined }; },
  };
  const metrics = createMetrics('test');
  const warnings: unknown[] = [];
  const logger = silentLogger();
  logger.warn = (fields: unknown) => { warnings.push(fields); };
  const muxers = new CameraMuxers(registry, { partMs: 200, logger, metrics });
  const muxer = muxers.get('cam') ?? expect.fail();
  const parts: Part[] = [];
  muxer.parts.attach((part) => { parts.push(part); });
  return { stream, muxers, muxer, parts, warnings, metrics, remove: () => { removed('cam'); } };
};

test('parts come out in the very call that publishes the picture after them', () => {
  const { stream, parts } = setUp();
  stream.enter('s1', 'live');
  for (let i = 0; i < 6; i++) stream.picture(i * 40);
  expect(parts).toHaveLength(1);
  expect(parts[0]).toMatchObject({ camera: 'cam', sessionId: 's1', sessionStart: START, sequence: 1, duration: 200 });
});

test('[ING-9] an interrupted session gives out what is pending before anyone is told, and goes on counting when the publisher returns', () => {
  const { stream, muxer, parts } = setUp();
  const told: [string, number][] = [];
  muxer.onSession((session) => { told.push([session.phase, parts.length]); });
  stream.enter('s1', 'live');
  stream.picture(0);
  stream.picture(40);
  stream.enter('s1', 'interrupted');
  expect(told).toEqual([['live', 0], ['interrupted', 1]]);
  expect(parts[0]?.samples).toHaveLength(2);
  stream.enter('s1', 'connecting');
  stream.picture(0, START + 3_000);
  stream.enter('s1', 'ended');
  expect(parts.map((part) => [part.sequence, part.epoch, part.discontinuity])).toEqual([[1, START, true], [2, START + 3_000, true]]);
});

test('a new session counts from its own start', () => {
  const { stream, parts } = setUp();
  stream.enter('s1', 'live');
  stream.picture(0);
  stream.enter('s1', 'ended');
  stream.enter('s2', 'connecting', START + 60_000);
  stream.picture(0, START + 60_000);
  stream.enter('s2', 'ended', START + 60_000);
  expect(parts.map((part) => [part.sessionId, part.sequence, part.samples[0]?.dts])).toEqual([['s1', 1, 90_000], ['s2', 1, 90_000]]);
});

test('a stream that no MP4 can carry is reported once, and its units are counted', async () => {
  const { stream, muxer, parts, warnings, metrics } = setUp();
  const refused: number[] = [];
  muxer.onUnmuxable((epoch) => { refused.push(epoch); });
  stream.enter('s1', 'live');
  for (let i = 0; i < 5; i++) stream.picture(i * 40, START, VP8);
  expect(parts).toEqual([]);
  expect(refused).toEqual([START]);
  expect(warnings).toEqual([{ camera: 'cam', session: 's1', reason: 'an MP4 cannot carry vp8' }]);
  const { values } = await metrics.branchDropped.get();
  expect(values.map(({ labels, value }) => [labels['reason'], value])).toEqual([['not_muxable', 5]]);
});

test('a removed camera gives out what is pending, ends its Hub, and nothing is attached any more', async () => {
  const { stream, muxers, muxer, parts, remove } = setUp();
  const branch = muxer.parts.subscribe({ name: 'recorder', dropPolicy: 'fail', maxUnits: 10, maxBytes: 1_000 });
  const gone: string[] = [];
  muxers.onRemoved((camera) => { gone.push(camera); });
  stream.enter('s1', 'live');
  stream.picture(0);
  remove();
  expect(gone).toEqual(['cam']);
  expect(parts).toHaveLength(1);
  expect((await branch.next()).done).toBe(false);
  expect((await branch.next()).done).toBe(true);
  expect(stream.hub.branchCount).toBe(0);
  expect(muxers.list()).toEqual([]);
});
