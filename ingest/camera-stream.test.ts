import { describe, expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import { silentLogger } from '../platform/logging.ts';
import { createMetrics } from '../platform/metrics.ts';
import type { SessionInfo } from './port.ts';
import { EdgeStreamRegistry } from './stream-registry.ts';
import { FakeDriver, pictureUnit as unit } from './testing.ts';

const setUp = (options: { readonly maxSessions?: number; readonly graceSeconds?: number } = {}) => {
  const clock = new FakeClock();
  const metrics = createMetrics('test');
  const registry = new EdgeStreamRegistry({ graceSeconds: options.graceSeconds ?? 15, maxSessions: options.maxSessions ?? 10, clock, metrics, logger: silentLogger() });
  const stream = registry.add({ id: 'c' });
  const sessions: SessionInfo[] = [];
  stream.onSession((session) => sessions.push(session));
  return { clock, metrics, registry, stream, sessions };
};

test('a listener to sessions that throws stops no media, and the others are told', () => {
  const { registry } = setUp();
  const stream = registry.add({ id: 'line-9' });
  const told: string[] = [];
  stream.onSession(() => { throw new Error('a bug'); });
  stream.onSession(({ phase }) => { told.push(phase); });
  const publication = stream.beginPublication(new FakeDriver());
  let units = 0;
  stream.hub.attach(() => { units++; });
  publication.publish(unit(publication));
  expect(units).toBe(1);
  expect(told).toContain('live');
});

describe('a camera\'s stream', () => {
  test('[ING-9] continues the session of a publisher who returns in time, with a later epoch and continuous sequence numbers', () => {
    const { clock, stream, sessions } = setUp();
    const first = stream.beginPublication(new FakeDriver());
    first.publish(unit(first));
    first.end('lost', 'gone');
    expect(stream.session).toMatchObject({ phase: 'interrupted', reason: 'gone' });
    clock.advance(14_000);
    const second = stream.beginPublication(new FakeDriver());
    const next = unit(second);
    second.publish(next);
    expect(second.epoch).toBeGreaterThan(first.epoch);
    expect(next.frame.seq).toBe(1);
    expect(new Set(sessions.map(({ id }) => id)).size).toBe(1);
    expect(sessions.map(({ phase }) => phase)).toEqual(['connecting', 'live', 'interrupted', 'connecting', 'live']);
  });

  test('[ING-9] ends the session when nobody returns, and the next publisher begins another', () => {
    const { clock, stream } = setUp();
    const first = stream.beginPublication(new FakeDriver());
    first.publish(unit(first));
    const { id } = stream.session ?? { id: null };
    first.end('lost', 'gone');
    clock.advance(15_500);
    expect(stream.session).toMatchObject({ phase: 'ended', reason: 'publisher did not return' });
    expect(stream.session).not.toHaveProperty('left');
    expect(stream.tracks).toBeNull();
    expect(stream.hub.gop()).toEqual([]);
    const second = stream.beginPublication(new FakeDriver());
    expect(stream.session?.id).not.toBe(id);
    expect(second.nextSeq()).toBe(0);
  });

  test('gives a new publisher the stream of the one still there', () => {
    const { stream } = setUp();
    const [before, after] = [new FakeDriver(), new FakeDriver()];
    const first = stream.beginPublication(before);
    first.publish(unit(first));
    const { id } = stream.session ?? { id: null };
    const second = stream.beginPublication(after);
    expect(before.closed).toEqual(['replaced']);
    expect(second.epoch).toBe(first.epoch + 1); // in the same millisecond
    const seen: number[] = [];
    stream.hub.attach(({ frame }) => seen.push(frame.epoch));
    first.publish(unit(first));
    first.end('left', 'late goodbye');
    second.publish(unit(second));
    expect(seen).toEqual([second.epoch]);
    expect(stream.session).toMatchObject({ id, phase: 'live', epoch: second.epoch });
  });

  test('never repeats or lowers an epoch, though the host\'s clock is set back', () => {
    const { clock, stream } = setUp();
    const first = stream.beginPublication(new FakeDriver());
    clock.step(-3_600_000);
    expect(stream.beginPublication(new FakeDriver()).epoch).toBe(first.epoch + 1);
  });

  test('[ING-10] forgets the cached GOP at a new epoch', () => {
    const { stream } = setUp();
    const first = stream.beginPublication(new FakeDriver());
    first.publish(unit(first));
    expect(stream.hub.gop()).toHaveLength(1);
    stream.beginPublication(new FakeDriver());
    expect(stream.hub.gop()).toEqual([]);
  });

  test('[ING-10] keeps at most 900 units of a GOP', () => {
    const { stream } = setUp();
    const publication = stream.beginPublication(new FakeDriver());
    for (let i = 0; i < 900; i++) publication.publish(unit(publication, { randomAccess: i === 0, pts: i }));
    expect(stream.hub.gop()).toHaveLength(900);
    publication.publish(unit(publication, { randomAccess: false, pts: 900 }));
    expect(stream.hub.gop()).toEqual([]);
  });

  test('[ING-9] closes a publisher that falls silent and waits for it', () => {
    const { clock, stream } = setUp();
    const driver = new FakeDriver();
    const publication = stream.beginPublication(driver);
    publication.publish(unit(publication));
    clock.advance(9_500);
    expect(driver.closed).toEqual([]);
    clock.advance(1_000);
    expect(driver.closed).toEqual(['nothing received for 10 s']);
    expect(stream.session?.phase).toBe('interrupted');
  });

  test('[ING-9] a stream whose pictures stop is interrupted, though its sound goes on', () => {
    const { clock, stream } = setUp();
    const driver = new FakeDriver();
    const publication = stream.beginPublication(driver);
    const picture = unit(publication);
    publication.publish(picture);
    for (let i = 0; i < 550; i++) {
      clock.advance(20);
      publication.publish({ ...picture, kind: 'audio' });
    }
    expect(stream.session?.phase).toBe('interrupted');
    expect(driver.closed).toHaveLength(1);
  });

  test('[ING-9] a publisher that returns with sound alone is not live before its first picture', () => {
    const { stream } = setUp();
    const first = stream.beginPublication(new FakeDriver());
    first.publish(unit(first));
    first.end('lost', 'gone');
    const second = stream.beginPublication(new FakeDriver());
    second.publish({ ...unit(second), kind: 'audio' });
    expect(stream.session?.phase).toBe('connecting');
    second.publish(unit(second));
    expect(stream.session?.phase).toBe('live');
  });

  test('[ING-9] a stream without video lives by its sound', () => {
    const { clock, stream } = setUp();
    const publication = stream.beginPublication(new FakeDriver());
    const sound = { ...unit(publication), kind: 'audio', tracks: { video: null, audio: null } } as const;
    for (let i = 0; i < 550; i++) {
      publication.publish(sound);
      clock.advance(20);
    }
    expect(stream.session?.phase).toBe('live');
  });

  test('[ING-7] counts what it sees and what its transport tells, over all publishers of the session', async () => {
    const { clock, metrics, stream } = setUp();
    const driver = new FakeDriver();
    const publication = stream.beginPublication(driver);
    for (let i = 0; i < 61; i++) {
      publication.publish(unit(publication, { pts: i * 3_000, randomAccess: i % 30 === 0, bytes: 100 }));
      clock.advance(1000 / 30);
    }
    driver.transport = { ...driver.transport, bytes: 7_000, packets: 70, lostPackets: 2, refused: { malformed: 3, damaged: 1, awaiting_random_access: 0, audio_out_of_order: 0 } };
    const stats = stream.stats();
    expect(stats).toMatchObject({ bytes: 7_000, packets: 70, lostPackets: 2, accessUnits: 61, keyframeIntervalMs: 1_000, videoCodec: 'vp8', audioCodec: null, width: 640, height: 360 });
    expect(stats?.fps).toBeGreaterThan(26);
    expect(stats?.fps).toBeLessThan(32);
    expect(stats?.bitrateBps).toBe((stats?.fps ?? 0) * 800);
    publication.end('lost', 'gone');
    const second = new FakeDriver();
    second.transport = { ...second.transport, bytes: 500, packets: 5 };
    stream.beginPublication(second);
    expect(stream.stats()).toMatchObject({ bytes: 7_500, packets: 75 });
    clock.advance(1_000);
    expect(stream.stats()?.fps).toBe(0);
    const text = await metrics.registry.metrics();
    expect(text).toContain('imageflow_ingest_bytes_total{camera="c",protocol="rtsp",process="test"} 7500');
    expect(text).toContain('imageflow_ingest_lost_packets_total{camera="c",process="test"} 2');
    expect(text).toContain('imageflow_ingest_refused_total{camera="c",reason="malformed",process="test"} 3');
    expect(text).toContain('imageflow_ingest_refused_total{camera="c",reason="damaged",process="test"} 1');
    expect(text).toContain('imageflow_access_units_total{camera="c",process="test"} 61');
    expect(text).toContain('imageflow_sessions{state="connecting",process="test"} 1');
  });

  test('passes on requests for key frames', () => {
    const { stream } = setUp();
    const driver = new FakeDriver();
    stream.requestKeyframe();
    stream.beginPublication(driver);
    stream.requestKeyframe();
    expect(driver.keyframes).toBe(1);
  });
});

describe('the registry', () => {
  test('[ING-11] refuses a publisher beyond the limit, but not one that replaces another', () => {
    const { registry, stream } = setUp({ maxSessions: 1 });
    const publication = stream.beginPublication(new FakeDriver());
    const other = registry.add({ id: 'd' });
    expect(() => other.beginPublication(new FakeDriver())).toThrow(expect.objectContaining({ code: 'UNAVAILABLE', reason: 'SESSION_LIMIT', retryAfterSeconds: 30 }));
    expect(other.session).toBeNull();
    stream.beginPublication(new FakeDriver());
    publication.end('left', 'of no effect');
    expect(() => other.beginPublication(new FakeDriver())).toThrow();
    stream.beginPublication(new FakeDriver()).end('left', 'bye');
    expect(other.beginPublication(new FakeDriver()).epoch).toBeGreaterThan(0);
  });

  test('closes the publisher of a camera that is removed, and says so', () => {
    const { registry, stream, sessions } = setUp();
    const driver = new FakeDriver();
    const publication = stream.beginPublication(driver);
    const removed: string[] = [];
    registry.onRemoved((camera) => removed.push(camera));
    registry.remove('c');
    expect(driver.closed).toEqual(['camera removed']);
    expect(sessions.at(-1)).toMatchObject({ phase: 'ended', reason: 'camera removed', left: true });
    expect(removed).toEqual(['c']);
    expect(registry.get('c')).toBeUndefined();
    publication.publish(unit(publication)); // too late: ignored
    expect(() => stream.beginPublication(new FakeDriver())).toThrow('removed');
  });

  test('tells of the streams there are and those to come, until told to stop', () => {
    const { registry } = setUp();
    const seen: string[] = [];
    const listening = registry.onStream(({ camera }) => seen.push(camera));
    expect(registry.add({ id: 'd' })).toBe(registry.add({ id: 'd' }));
    listening[Symbol.dispose]();
    registry.add({ id: 'e' });
    expect(seen).toEqual(['c', 'd']);
    expect(registry.list()).toHaveLength(3);
  });

  test('leaves nothing behind when disposed', () => {
    const { clock, registry, stream } = setUp();
    const driver = new FakeDriver();
    stream.beginPublication(driver);
    registry[Symbol.dispose]();
    clock.advance(60_000);
    expect(driver.closed).toEqual(['camera removed']);
    expect(registry.list()).toEqual([]);
  });
});
