import { beforeEach, describe, expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { writeReceiverReport } from '../../core/rtp/rtcp-writer.ts';
import { parseSdp } from '../../core/sdp/parse.ts';
import type { DetectionUnit } from '../../extractor/port.ts';
import { egressFixture, OFFER } from './testing-egress.ts';
import { FakeLane, H264, OPUS_TRACK } from './testing.ts';
import type { FakePeer } from './testing.ts';

const AAC = { kind: 'audio' as const, codec: 'aac' as const, clockRate: 48_000, channels: 2, config: new Uint8Array([0x11, 0x90]), codecString: 'mp4a.40.2' };

let fixture: ReturnType<typeof egressFixture>;
beforeEach(() => { fixture = egressFixture(); });

describe('life of a viewer', () => {
  test('not connected within 15 s: closed', async () => {
    fixture.camera.publish(1_000);
    const peer = await fixture.join();
    fixture.clock.advance(14_999);
    expect(peer.disposed).toBe(false);
    fixture.clock.advance(1);
    expect(peer.disposed).toBe(true);
  });

  test('10 s of media without any RTCP: closed; while the camera is away nobody is', async () => {
    fixture.camera.publish(1_000);
    const [silent, alive] = [await fixture.watch(), await fixture.watch()];
    fixture.camera.key();
    for (let i = 0; i < 12; i++) {
      alive.track().receiveRtcp(writeReceiverReport(1, []));
      fixture.clock.advance(1_000);
      fixture.camera.delta();
    }
    expect([silent.disposed, alive.disposed]).toEqual([true, false]);
    fixture.clock.advance(60_000);
    expect(alive.disposed).toBe(false);
  });

  test('a revoked credential and a removed camera close their viewers', async () => {
    fixture.camera.publish(1_000);
    const first = await fixture.watch();
    fixture.listeners.revoked('somebody-else');
    expect(first.disposed).toBe(false);
    fixture.listeners.revoked('k1');
    expect(first.disposed).toBe(true);
    const second = await fixture.watch();
    fixture.listeners.removed('line-1');
    expect(second.disposed).toBe(true);
    expect(fixture.egress.viewers('line-1')).toBe(0);
  });

  test('[DIS-4] a stream made on demand is held from before its viewer is answered until that leaves, or is refused', async () => {
    const log: string[] = [];
    let refusal: MediaError | null = null;
    const demand = egressFixture({
      protocol: 'webrtc-annotated',
      summon: (camera) => {
        log.push(`+${camera}`);
        if (refusal) return Promise.reject(refusal);
        demand.camera.publish(1_000);
        return Promise.resolve({ [Symbol.dispose]: () => { log.push(`-${camera}`); } });
      },
    });
    const peer = await demand.watch();
    expect(log).toEqual(['+line-1']);
    expect((await demand.metrics.viewers.get()).values).toMatchObject([{ labels: { protocol: 'webrtc-annotated' }, value: 1 }]);
    demand.listeners.revoked('k1');
    expect([peer.disposed, log]).toEqual([true, ['+line-1', '-line-1']]);
    await expect(demand.play(OFFER.replaceAll(/H264|VP8/g, 'AV1'))).rejects.toMatchObject({ reason: 'NO_COMMON_CODEC' });
    expect(log.slice(2)).toEqual(['+line-1', '-line-1']);
    refusal = new MediaError('UNAVAILABLE', 'no', { reason: 'NO_PICTURE' });
    await expect(demand.play()).rejects.toBe(refusal);
    demand.distribution.turn('line-1', 'off');
    await expect(demand.play()).rejects.toMatchObject({ reason: 'DISTRIBUTION_OFF' });
    expect(log.slice(4)).toEqual(['+line-1']); // nothing is made for one who may not watch
  });

  test('[SD-53] switching distribution off closes the viewers and takes the branch off the Hub; on lets them in again', async () => {
    fixture.camera.publish(1_000);
    const [first, second] = [await fixture.watch(), await fixture.join()];
    fixture.distribution.turn('line-2', 'off');
    expect([first.disposed, second.disposed, fixture.camera.hub.branchCount]).toEqual([false, false, 1]);
    fixture.distribution.turn('line-1', 'off');
    expect([first.disposed, second.disposed, fixture.camera.hub.branchCount, fixture.detections.branchCount]).toEqual([true, true, 0, 0]);
    expect(fixture.egress.viewers('line-1')).toBe(0);
    await expect(fixture.play()).rejects.toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'DISTRIBUTION_OFF' });
    fixture.distribution.turn('line-1', 'on');
    expect((await fixture.watch()).disposed).toBe(false);
  });

  test('[SD-53] a viewer whose offer is being answered when distribution is switched off is refused', async () => {
    fixture.camera.publish(1_000);
    const playing = fixture.play();
    fixture.distribution.turn('line-1', 'off');
    await expect(playing).rejects.toMatchObject({ reason: 'DISTRIBUTION_OFF' });
    expect(fixture.engine.peers.map(({ disposed }) => disposed)).toEqual([true]);
    fixture.distribution.turn('line-1', 'on');
    for (let i = 0; i < 4; i++) await fixture.join(); // it holds none of the four places
  });

  test('disposing closes everything and leaves no timer and no branch', async () => {
    fixture.camera.publish(1_000);
    const peers = [await fixture.watch(), await fixture.join()];
    fixture.egress[Symbol.dispose]();
    expect(peers.map((p) => p.disposed)).toEqual([true, true]);
    expect(fixture.camera.hub.branchCount).toBe(0);
  });

  test('a client that hangs up while it is answered leaves nothing behind', async () => {
    fixture.camera.publish(1_000);
    const controller = new AbortController();
    const playing = fixture.play(OFFER, controller.signal);
    controller.abort();
    await expect(playing).rejects.toThrow(MediaError);
    expect(fixture.engine.peers[0]?.disposed).toBe(true);
    for (let i = 0; i < 4; i++) await fixture.join();
    await expect(fixture.play()).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'VIEWER_LIMIT' });
  });
});

describe('answers', () => {
  test('nobody publishes: 409 with Retry-After; no such camera: 404', async () => {
    await expect(fixture.play()).rejects.toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'NO_PUBLISHER', retryAfterSeconds: 2 });
    fixture.streams.clear();
    await expect(fixture.play()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('[D-6] B-frames: 406 that names the setting and where to watch instead', async () => {
    fixture.camera.publish(1_000, { video: { ...H264, reorderDepth: 1 } });
    await expect(fixture.play()).rejects.toMatchObject({ code: 'NOT_ACCEPTABLE', reason: 'B_FRAMES', context: { setting: 'b_frames', hls: '/hls/line-1/index.m3u8' } });
  });

  test('no codec in common: 406', async () => {
    fixture.camera.publish(1_000);
    await expect(fixture.play(OFFER.replaceAll('H264/90000', 'H265/90000'))).rejects.toMatchObject({ code: 'NOT_ACCEPTABLE', reason: 'NO_COMMON_CODEC' });
  });

  test('Opus is sent, on its own timeline; AAC is answered inactive and video plays (contract 0.4)', async () => {
    fixture.camera.publish(1_000, { audio: OPUS_TRACK });
    const { answer } = await fixture.play();
    expect(parseSdp(answer).media.map((m) => m.direction)).toEqual(['sendonly', 'sendonly', 'sendrecv']);
    const peer = fixture.engine.peers.at(-1);
    peer?.connect();
    fixture.camera.key();
    const units = [fixture.camera.sound(), (fixture.clock.advance(20), fixture.camera.sound())];
    expect(peer?.track('audio').rtp.map((p) => [p.timestamp, p.payload])).toEqual(units.map((u) => [u.frame.rtpTs, u.data]));

    fixture.camera.publish(1_000, { audio: AAC });
    const silent = await fixture.play();
    expect(parseSdp(silent.answer).media.map((m) => m.direction)).toEqual(['sendonly', 'inactive', 'sendrecv']);
    expect(fixture.engine.peers.at(-1)?.plan.send.map((t) => t.kind)).toEqual(['video']);
  });

  test('the answer has the SSRCs that packets come with', async () => {
    fixture.camera.publish(1_000);
    const { answer } = await fixture.play();
    const peer = fixture.engine.peers[0];
    peer?.connect();
    fixture.camera.key();
    const video = parseSdp(answer).media[0];
    expect(video?.ssrcGroups).toEqual([{ semantics: 'FID', ssrcs: [peer?.track().rtp[0]?.ssrc, peer?.plan.send[0]?.rtxSsrc] }]);
    expect(video?.feedback.map((f) => f.value)).toEqual(['nack', 'nack pli', 'ccm fir']);
  });
});

describe('detections', () => {
  const result = (seq: number): DetectionUnit => ({
    byteLength: 1, randomAccess: true, detector: 'detect',
    result: { frame: { stream: 'line-1', epoch: 1, rtpTs: 5, captureNtp: null, seq }, capturedAt: 0, model: 'm', modelDigest: 'd', inferenceMs: 1, width: 2, height: 2, detections: [] },
  });

  test('every result goes to every open lane, empty ones too; a slow lane is skipped and counted', async () => {
    fixture.camera.publish(1_000);
    fixture.camera.key();
    const [a, b] = [await fixture.watch(), await fixture.watch()];
    fixture.detections.publish(result(1));
    const lane = b.lanes[0];
    if (lane) lane.bufferedBytes = 300_000;
    fixture.detections.publish(result(2));
    const kinds = (peer: FakePeer) => peer.lanes[0]?.messages.map((m) => { const { type, sequence } = JSON.parse(m) as { type: string; sequence?: number }; return sequence ?? type; });
    expect(kinds(a)).toEqual(['timeline', 1, 2]);
    expect(kinds(b)).toEqual(['timeline', 1]);
    expect((await fixture.metrics.branchDropped.get()).values).toMatchObject([{ value: 1, labels: { camera: 'line-1', branch: 'detections', reason: 'slow_channel' } }]);
  });

  test('[EXT-1] a viewer that opens a channel of its own gets everything once, on that; when it closes it, on ours again', async () => {
    fixture.camera.publish(1_000);
    fixture.camera.key();
    const peer = await fixture.watch();
    const mine = new FakeLane('detections');
    peer.offerLane(mine);
    fixture.detections.publish(result(1));
    mine.open();
    fixture.detections.publish(result(2));
    fixture.clock.advance(500);
    fixture.camera.publish(2_000_000_000);
    fixture.camera.key();
    mine.isOpen = false;
    fixture.detections.publish(result(3));
    const kinds = (lane: FakeLane | undefined) => lane?.messages.map((m) => { const { type, sequence } = JSON.parse(m) as { type: string; sequence?: number }; return sequence ?? type; });
    expect(kinds(mine)).toEqual(['timeline', 2, 'timeline']);
    expect(kinds(peer.lanes[0])).toEqual(['timeline', 1, 'timeline', 3]);
  });

  test('nobody listens to a camera without viewers', async () => {
    fixture.camera.publish(1_000);
    const peer = await fixture.watch();
    expect(fixture.detections.branchCount).toBe(1);
    peer.setState('failed');
    expect(fixture.detections.branchCount).toBe(0);
  });
});
