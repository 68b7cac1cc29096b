import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { DirectoryStore } from '../../platform/object-store/directory-store.ts';
import { fakePictures, startApi } from '../testing/harness.ts';
import { VideoStreamArchiveEvent } from '../events/service.ts';
import { FrameChoice } from './frame-choice.ts';
import { frameKey } from './keys.ts';

const SECOND = 1000;
const rule = { detected: [{ class_name: 'scratch', min_confidence: 0.6 }], every_seconds: 2 };

interface FrameBody { id: string; camera: string; captured_at: string; reason: string; classes: string[]; state: string; key: string; width: number | null; sha256: string | null; error: string | null; created_by: string | null }

test('[SD-51] a picture lies beside the segments of its hour', () => {
  expect(frameKey('line-1', Date.parse('2026-11-29T02:03:04.567Z'))).toBe('line-1/2026/11/29/02/1795917784567.jpg');
});

test('[SD-51] whatever is seen when: only pictures with what the rule names are chosen, none sooner after the one before than it says', () => {
  const pictures = fc.array(fc.record({ after: fc.integer({ min: 1, max: 3 * SECOND }), className: fc.constantFrom('scratch', 'dent'), confidence: fc.double({ min: 0, max: 1, noNaN: true }) }), { maxLength: 100 });
  fc.assert(fc.property(pictures, (steps) => {
    const choice = new FrameChoice();
    choice.follow(new Map([['line-1', rule]]));
    let at = 1_000_000;
    const seen = steps.map(({ after, className, confidence }) => ({ camera: 'line-1', capturedAt: (at += after), detections: [{ className, confidence }] }));
    const chosen = choice.choose(seen);
    for (const [i, { capturedAt }] of chosen.entries()) {
      expect(seen.find((each) => each.capturedAt === capturedAt)?.detections[0]).toMatchObject({ className: 'scratch' });
      if (i > 0) expect(capturedAt - (chosen[i - 1]?.capturedAt ?? 0)).toBeGreaterThanOrEqual(2 * SECOND);
    }
    const first = seen.find(({ detections: [one] }) => one?.className === 'scratch' && one.confidence >= 0.6);
    expect(chosen[0]?.capturedAt).toBe(first?.capturedAt);
    expect(choice.choose([{ camera: 'line-2', capturedAt: at, detections: [{ className: 'scratch', confidence: 1 }] }])).toEqual([]);
  }), { numRuns: 200 });
});

/** A directory that takes nothing while it is down. */
class OutageStore extends DirectoryStore {
  down = false;

  override put(...args: Parameters<DirectoryStore['put']>): Promise<void> {
    return this.down ? Promise.reject(new MediaError('UNAVAILABLE', 'no store')) : super.put(...args);
  }
}

/** A server that has recorded everything, but for `missing`. */
const start = async () => {
  const state = { missing: false, made: 0 };
  const archive = await mkdtemp(join(tmpdir(), 'frames-'));
  const clock = new FakeClock();
  const store = new OutageStore(archive, clock);
  const h = await startApi({
    clock, archive: store,
    pictures: fakePictures({
      picture: (at) => state.missing ? Promise.reject(new MediaError('NOT_FOUND', 'Nothing was recorded at this moment.', { reason: 'NOTHING_RECORDED' }))
        : Promise.resolve({ width: 1280, height: 720, etag: '"1"', contentType: 'image/jpeg', wall: at + 0.2, bytes: () => { state.made++; return Promise.resolve(Buffer.from(`picture of ${String(at)}`)); } }),
    }),
  });
  const { access_token: token } = await h.login();
  await h.call('POST', '/v1/cameras', { token, json: { id: 'line-1', recording: { policy: 'always', archive_frames: rule } } });
  const now = h.clock.now();
  await h.db.insertInto('segments').values({ id: `line-1/${String(now - 60_000)}-a-0`, camera_id: 'line-1', session_id: 'a', epoch: 1, start_ms: now - 60_000, end_ms: now + 600_000, bytes: 1, sha256: null, open: 1, tracks: '[]', gap_before: null, expired_at: null }).execute();
  const frames = async (): Promise<FrameBody[]> => (await h.call<{ items: FrameBody[] }>('GET', '/v1/frames?camera=line-1', { token })).body.items;
  const see = (at: number, confidence = 0.9): void => { h.api.observe([{ camera: 'line-1', capturedAt: at, detections: [{ className: 'scratch', confidence }] }]); };
  /** Seconds pass until it is as wanted. */
  const until = async (wanted: (all: readonly FrameBody[]) => boolean): Promise<FrameBody[]> => {
    await expect.poll(async () => { h.clock.advance(1_000); return wanted(await frames()); }, { timeout: 10_000 }).toBe(true);
    return await frames();
  };
  return {
    h, token, now, state, store, see, until, archive, spool: join(h.directory, 'frames'),
    async [Symbol.asyncDispose]() {
      await h[Symbol.asyncDispose]();
      await rm(archive, { recursive: true, force: true });
    },
  };
};

test('[SD-51] a picture with a defect goes to the archive as JPEG and JSON, and can be had from there', async () => {
  await using s = await start();
  const { h, token, now } = s;
  await h.db.insertInto('detections').values({
    camera_id: 'line-1', stream_epoch: 1, rtp_timestamp: 90, captured_at_ms: now, sequence: 7, class_name: 'scratch', class_id: 2, confidence: 0.9, x: 0.1, y: 0.2, width: 0.3, height: 0.4, track_id: null, model: 'inspect-320', model_digest: 'abc', analysis_id: null,
  }).execute();
  s.see(now);
  s.see(now + 500); // too soon
  s.see(now + 5_000, 0.3); // not sure enough
  const [frame] = await s.until((all) => all.length === 1 && all[0]?.state === 'stored');
  expect(frame).toMatchObject({ camera: 'line-1', captured_at: new Date(now).toISOString(), reason: 'detected', classes: ['scratch'], width: 1280, created_by: 'policy: detected' });
  const key = frame?.key ?? '';
  expect(await readFile(join(s.archive, key), 'utf8')).toBe(`picture of ${String(now)}`);
  expect(JSON.parse(await readFile(join(s.archive, key.replace('.jpg', '.json')), 'utf8'))).toMatchObject({
    version: 1, camera: 'line-1', image: { key, sha256: frame?.sha256, width: 1280, height: 720 }, reason: 'detected', detections: [{ class_name: 'scratch', bbox: { x: 0.1, y: 0.2, width: 0.3, height: 0.4 }, model: 'inspect-320', model_digest: 'abc', frame: { epoch: 1, rtp_timestamp: 90, sequence: 7 } }],
  });
  const events = await h.call<{ items: { event: unknown }[] }>('GET', '/v1/events?topic=video-stream-archive', { token });
  expect(events.body.items.map(({ event }) => VideoStreamArchiveEvent.parse(event))).toMatchObject([{
    event_type: 'frame_archived', frame_id: frame?.id, camera: 'line-1', captured_at: new Date(now).toISOString(), image: { key, width: 1280, sha256: frame?.sha256 }, reason: 'detected', classes: ['scratch'],
  }]);
  const image = await h.call<string>('GET', `/v1/frames/${frame?.id ?? ''}/image`, { token });
  expect([image.status, image.headers.get('content-type'), image.body]).toEqual([200, 'image/jpeg', `picture of ${String(now)}`]);
  expect(await readdir(s.spool)).toEqual([]);
});

test('[SD-51] by hand: the picture shown at a moment, once however often it is asked for; nothing recorded is 404', async () => {
  await using s = await start();
  const at = new Date(s.now - 10_000).toISOString();
  const ask = () => s.h.call<FrameBody>('POST', '/v1/cameras/line-1/frames', { token: s.token, json: { at } });
  const first = await ask();
  expect([first.status, first.body.reason, first.body.created_by]).toEqual([202, 'manual', 'admin']);
  expect((await ask()).body.id).toBe(first.body.id);
  await s.until((all) => all.length === 1 && all[0]?.state === 'stored');
  s.state.missing = true;
  const none = await s.h.call('POST', '/v1/cameras/line-1/frames', { token: s.token, json: { at: new Date(s.now - 20_000).toISOString() } });
  expect([none.status, none.headers.get('content-type')]).toEqual([404, 'application/problem+json']);
  const { access_token: viewer } = await (async () => {
    await s.h.call('POST', '/v1/users', { token: s.token, json: { username: 'viewer', password: 'long enough for all', role: 'viewer' } });
    return s.h.login('viewer', 'long enough for all');
  })();
  expect((await s.h.call('POST', '/v1/cameras/line-1/frames', { token: viewer, json: {} })).status).toBe(403);
});

test('[SD-51] while the object store takes nothing pictures wait on the disk, the recording may go meanwhile; one that was lost there is made again', async () => {
  await using s = await start();
  s.store.down = true;
  s.see(s.now);
  s.see(s.now + 3_000);
  await s.until((all) => all.length === 2 && all.every(({ state }) => state === 'made'));
  const files = await readdir(s.spool);
  expect(files).toHaveLength(2);
  await rm(join(s.spool, files[0] ?? ''));
  s.store.down = false;
  await s.until((all) => all.every(({ state }) => state === 'stored'));
  expect(s.state.made).toBe(3);
  expect(await readdir(s.spool)).toEqual([]);
});

test('[SD-51] a picture that was not recorded fails in words, and old ones leave the archive', async () => {
  await using s = await start();
  s.see(s.now);
  await s.until((all) => all[0]?.state === 'stored');
  s.state.missing = true;
  s.see(s.now + 10_000);
  await s.until((frames) => frames.length === 2);
  s.h.clock.step(130 * SECOND);
  const all = await s.until((frames) => frames[0]?.state === 'failed');
  expect(all[0]?.error).toContain('Nothing was recorded');
  const key = all[1]?.key ?? '';
  expect(await readFile(join(s.archive, key), 'utf8')).not.toBe('');
  s.h.clock.step(91 * 86_400_000);
  await expect.poll(async () => { s.h.clock.advance(60_000); return (await s.h.db.selectFrom('frames').selectAll().execute()).length; }, { timeout: 10_000 }).toBe(0);
  await expect(readFile(join(s.archive, key))).rejects.toThrow('ENOENT');
});
