import { beforeEach, describe, expect, test } from 'vitest';
import { ntpMiddle } from '../../core/rtp/ntp.ts';
import { writeFir, writeNack, writePli, writeReceiverReport } from '../../core/rtp/rtcp-writer.ts';
import { egressFixture, isContinuous, OFFER, pictures } from './testing-egress.ts';
import { H264, PARAMETER_SETS } from './testing.ts';

let fixture: ReturnType<typeof egressFixture>;
beforeEach(() => { fixture = egressFixture(); });

describe('fan-out', () => {
  test('[D-3] three viewers get the very same buffers; only the payload type is theirs', async () => {
    fixture.camera.publish(1_000);
    const [a, b] = [await fixture.watch(), await fixture.watch()];
    await fixture.play(OFFER.replaceAll('a=rtpmap:108 H264/90000\r\n', ''));
    const c = fixture.engine.peers.at(-1);
    c?.connect();
    fixture.camera.key();
    expect(a.track().buffers.length).toBeGreaterThan(3);
    expect(b.track().buffers).toEqual(a.track().buffers);
    a.track().buffers.forEach((buffer, i) => { expect(b.track().buffers[i]).toBe(buffer); expect(c?.track().buffers[i]).toBe(buffer); });
    expect([a, b, c].map((peer) => peer?.plan.send[0]?.payloadType)).toEqual([108, 108, 102]);
    const payloadTypes = [a, b, c].map((peer) => [...new Set(peer?.track().rtp.map((p) => p.payloadType))]);
    expect(payloadTypes).toEqual([a, b, c].map((peer) => [peer?.plan.send[0]?.payloadType]));
    expect(new Set(a.track().rtp.map((p) => p.ssrc)).size).toBe(1);
  });

  test('[D-3] no packet is larger than 1,200 bytes, however large the picture', async () => {
    fixture.camera.publish(1_000);
    const peer = await fixture.watch();
    const unit = fixture.camera.key(200_000);
    expect(Math.max(...peer.track().sent.map((packet) => packet.length))).toBeLessThanOrEqual(1_200);
    expect(pictures(peer.track().rtp).map((p) => p.data)).toEqual([unit.data]);
  });

  test('[D-4] viewers see the timestamps of the camera in its first epoch', async () => {
    fixture.camera.publish(0xffff_ff00);
    const peer = await fixture.watch();
    const units = [fixture.camera.key(), (fixture.clock.advance(40), fixture.camera.delta())];
    expect(pictures(peer.track().rtp).map((p) => p.timestamp)).toEqual(units.map((u) => u.frame.rtpTs));
  });

  test('a camera that keeps its parameter sets to itself: they are put before its key frames', async () => {
    fixture.camera.publish(1_000);
    const peer = await fixture.watch();
    fixture.camera.bareKey();
    expect(pictures(peer.track().rtp)[0]).toMatchObject({ sps: PARAMETER_SETS[0], pps: PARAMETER_SETS[1], randomAccess: true });
  });

  test('the egress is attached to the Hub only while somebody watches', async () => {
    fixture.camera.publish(1_000);
    const peer = await fixture.join();
    expect(fixture.camera.hub.branchCount).toBe(0);
    peer.connect();
    expect(fixture.camera.hub.branchCount).toBe(1);
    peer.setState('closed');
    expect(fixture.camera.hub.branchCount).toBe(0);
    expect(peer.disposed).toBe(true);
    expect(fixture.egress.viewers('line-1')).toBe(0);
  });
});

describe('first picture', () => {
  test('the first viewer is sent the cached GOP at once, with its own timestamps, and no key frame is asked for', async () => {
    fixture.camera.publish(1_000);
    fixture.camera.key(); fixture.frames(10);
    const gop = [...fixture.camera.hub.gop()];
    const peer = await fixture.watch();
    expect(pictures(peer.track().rtp).map((p) => [p.timestamp, p.data])).toEqual(gop.map((u) => [u.frame.rtpTs, u.data]));
    fixture.frames(3);
    expect(isContinuous(peer.track().rtp)).toBe(true);
    expect(pictures(peer.track().rtp)).toHaveLength(14);
    expect(fixture.camera.keyframeRequests).toBe(0);
  });

  test('a later viewer gets the packets that the others got, the very buffers', async () => {
    fixture.camera.publish(1_000);
    const first = await fixture.watch();
    fixture.camera.key(); fixture.frames(5);
    const second = await fixture.watch();
    expect(second.track().buffers).toHaveLength(first.track().buffers.length);
    second.track().buffers.forEach((buffer, i) => { expect(buffer).toBe(first.track().buffers[i]); });
    fixture.frames(2);
    expect(isContinuous(second.track().rtp)).toBe(true);
  });

  test('no GOP is known: one key frame is asked for, and nothing is sent before it', async () => {
    fixture.camera.publish(1_000);
    const peer = await fixture.watch();
    expect(fixture.camera.keyframeRequests).toBe(1);
    fixture.frames(3);
    expect(peer.track().rtp).toEqual([]);
    fixture.camera.key();
    expect(pictures(peer.track().rtp)).toHaveLength(1);
  });

  test('a large GOP goes out in steps, live pictures behind it, nothing twice and nothing missing', async () => {
    fixture.camera.publish(1_000);
    fixture.camera.key(900_000);
    for (let i = 0; i < 5; i++) { fixture.clock.advance(40); fixture.camera.delta(200_000); }
    const peer = await fixture.watch();
    const atOnce = peer.track().sent.reduce((sum, packet) => sum + packet.length, 0);
    expect(atOnce).toBeLessThan(600_000);
    fixture.camera.delta();
    expect(peer.track().sent.reduce((sum, packet) => sum + packet.length, 0)).toBe(atOnce);
    fixture.clock.advance(40);
    fixture.camera.delta();
    expect(isContinuous(peer.track().rtp)).toBe(true);
    expect(pictures(peer.track().rtp)).toHaveLength(8);
  });
});

describe('publisher changes', () => {
  test('[ING-9][D-4] the publisher returns with another base three times: numbers go on, time goes on by the wall', async () => {
    fixture.camera.publish(3_000_000_000);
    const peer = await fixture.watch();
    const starts = [fixture.camera.key()];
    fixture.frames(3);
    for (const base of [5, 4_294_000_000, 1_500_000_000]) {
      fixture.clock.advance(1_000);
      fixture.camera.publish(base);
      fixture.clock.advance(40);
      fixture.camera.delta(); // no decoder can use it
      starts.push(fixture.camera.key());
      fixture.frames(3);
    }
    const sent = pictures(peer.track().rtp);
    expect(isContinuous(peer.track().rtp)).toBe(true);
    expect(sent).toHaveLength(16);
    const at = starts.map((unit) => sent.find((p, i) => p.randomAccess && sent.slice(0, i).filter((q) => q.randomAccess).length === starts.indexOf(unit)));
    for (let i = 1; i < at.length; i++) expect(((at[i]?.timestamp ?? 0) - (at[i - 1]?.timestamp ?? 0)) >>> 0).toBe(((starts[i]?.arrivedAt ?? 0) - (starts[i - 1]?.arrivedAt ?? 0)) * 90);
    expect(peer.disposed).toBe(false);
  });

  test('the data channel tells the offset of each epoch, so that boxes find their pictures', async () => {
    fixture.camera.publish(1_000);
    fixture.camera.key();
    const peer = await fixture.watch();
    fixture.clock.advance(500);
    fixture.camera.publish(2_000_000_000);
    const unit = fixture.camera.key();
    const messages = peer.lanes[0]?.messages.map((m) => JSON.parse(m) as { type: string; epoch: number; offset: number }) ?? [];
    expect(messages.map((m) => m.type)).toEqual(['timeline', 'timeline']);
    expect(messages[0]).toMatchObject({ offset: 0 });
    expect(messages[1]?.epoch).toBe(unit.frame.epoch);
    expect((unit.frame.rtpTs + (messages[1]?.offset ?? 0)) >>> 0).toBe(pictures(peer.track().rtp).at(-1)?.timestamp);
  });

  test('[D-6] B-frames that begin in mid-stream close the viewers, who are told 406 when they ask again', async () => {
    fixture.camera.publish(1_000);
    const peer = await fixture.watch();
    fixture.camera.key();
    fixture.camera.publish(1_000, { video: { ...H264, reorderDepth: 2 } });
    fixture.camera.key();
    expect(peer.disposed).toBe(true);
    await expect(fixture.play()).rejects.toMatchObject({ code: 'NOT_ACCEPTABLE', reason: 'B_FRAMES' });
  });

  test('another codec closes the viewers who did not negotiate it', async () => {
    fixture.camera.publish(1_000);
    const peer = await fixture.watch();
    fixture.camera.key();
    fixture.camera.publish(1_000, { video: { kind: 'video', codec: 'vp8', clockRate: 90_000, width: 640, height: 480, codecString: 'vp8', reorderDepth: 0 } });
    fixture.camera.key();
    expect(peer.disposed).toBe(true);
  });
});

describe('feedback', () => {
  test('[DIS-1] a NACK is answered by RTX with the original number, and never from before the viewer came', async () => {
    fixture.camera.publish(1_000);
    fixture.camera.key(); fixture.frames(2);
    const early = await fixture.watch();
    fixture.camera.key(); fixture.frames(1);
    const late = await fixture.watch();
    const plan = late.plan.send[0];
    const before = early.track().rtp[0]?.sequenceNumber ?? 0;
    const wanted = late.track().rtp[1];
    late.track().clear();
    late.track().receiveRtcp(writeNack(1, plan?.ssrc ?? 0, [before, wanted?.sequenceNumber ?? 0]));
    const [rtx, ...more] = late.track().rtp;
    expect(more).toEqual([]);
    expect(rtx).toMatchObject({ ssrc: plan?.rtxSsrc, timestamp: wanted?.timestamp, marker: wanted?.marker });
    expect(rtx?.payload.readUInt16BE(0)).toBe(wanted?.sequenceNumber);
    expect(rtx?.payload.subarray(2)).toEqual(wanted?.payload);
  });

  test('without RTX the packet is sent again as it was', async () => {
    fixture.camera.publish(1_000);
    await fixture.play(OFFER.replaceAll(/a=fmtp:\d+ apt=.*\r\n/g, ''));
    const peer = fixture.engine.peers.at(-1);
    peer?.connect();
    fixture.camera.key();
    const [first] = peer?.track().rtp ?? [];
    peer?.track().clear();
    peer?.track().receiveRtcp(writeNack(1, peer.plan.send[0]?.ssrc ?? 0, [first?.sequenceNumber ?? 0]));
    expect(peer?.track().rtp).toEqual([first]);
  });

  test('a viewer that asks for everything again and again gets a bounded answer', async () => {
    fixture.camera.publish(1_000);
    const peer = await fixture.watch();
    fixture.camera.key(300_000);
    const all = peer.track().rtp.map((p) => p.sequenceNumber);
    peer.track().clear();
    for (let i = 0; i < 20; i++) peer.track().receiveRtcp(writeNack(1, peer.plan.send[0]?.ssrc ?? 0, all));
    expect(peer.track().sent).toHaveLength(500);
    fixture.clock.advance(100);
    peer.track().clear();
    peer.track().receiveRtcp(writeNack(1, peer.plan.send[0]?.ssrc ?? 0, all));
    expect(peer.track().rtp).toHaveLength(100);
  });

  test('[DIS-1] PLIs and FIRs of all viewers become one request to the camera; a repeated FIR is none', async () => {
    fixture.camera.publish(1_000);
    fixture.camera.key();
    const peers = [await fixture.watch(), await fixture.watch(), await fixture.watch()];
    fixture.clock.advance(3_000);
    for (const peer of peers) {
      const ssrc = peer.plan.send[0]?.ssrc ?? 0;
      peer.track().receiveRtcp(writePli(1, ssrc));
      peer.track().receiveRtcp(writeFir(1, ssrc, 3));
      peer.track().receiveRtcp(writePli(1, 12_345)); // of nobody here
    }
    expect(fixture.camera.keyframeRequests).toBe(1);
    fixture.camera.key();
    fixture.clock.advance(1_000);
    peers[0]?.track().receiveRtcp(writeFir(1, peers[0].plan.send[0]?.ssrc ?? 0, 3));
    expect(fixture.camera.keyframeRequests).toBe(1);
  });

  test('[DIS-1] a viewer that asks for a picture at once has lost the beginning: it is sent again, and the camera is not asked before the second time', async () => {
    fixture.camera.publish(1_000);
    fixture.camera.key(); fixture.frames(2);
    const peer = await fixture.watch();
    const ssrc = peer.plan.send[0]?.ssrc ?? 0;
    fixture.camera.delta();
    const whole = peer.track().rtp;
    peer.track().clear();
    peer.track().receiveRtcp(writePli(1, ssrc));
    expect(peer.track().rtp.map(({ ssrc: of }) => of)).toEqual(whole.map(() => peer.plan.send[0]?.rtxSsrc));
    expect(peer.track().rtp.map(({ payload }) => [payload.readUInt16BE(0), payload.subarray(2)])).toEqual(whole.map(({ sequenceNumber, payload }) => [sequenceNumber, payload]));
    expect(fixture.camera.keyframeRequests).toBe(0);
    peer.track().clear();
    peer.track().receiveRtcp(writePli(1, ssrc));
    expect(peer.track().rtp).toEqual([]);
    expect(fixture.camera.keyframeRequests).toBe(1);
  });

  test('[DIS-1] a viewer that asks for a picture later needs a new one', async () => {
    fixture.camera.publish(1_000);
    fixture.camera.key();
    const peer = await fixture.watch();
    fixture.clock.advance(2_001);
    peer.track().clear();
    peer.track().receiveRtcp(writePli(1, peer.plan.send[0]?.ssrc ?? 0));
    expect(peer.track().rtp).toEqual([]);
    expect(fixture.camera.keyframeRequests).toBe(1);
  });

  test('[DIS-1] a large beginning is sent again in steps, and no more of it when the viewer is gone', async () => {
    fixture.camera.publish(1_000);
    fixture.camera.key(3 << 20);
    const peer = await fixture.watch();
    fixture.clock.advance(100);
    const whole = peer.track().rtp.length;
    peer.track().clear();
    peer.track().receiveRtcp(writePli(1, peer.plan.send[0]?.ssrc ?? 0));
    const step = peer.track().rtp.length;
    expect(step).toBeLessThan(whole / 4);
    fixture.clock.advance(5);
    const steps = peer.track().rtp.length;
    expect(steps).toBeGreaterThan(step);
    peer.setState('closed');
    fixture.clock.advance(100);
    expect(peer.track().rtp.length).toBe(steps);
    expect(steps).toBeLessThan(whole);
  });

  test('a sender report each second ties egress time to the wall clock; the receiver report gives the round trip', async () => {
    fixture.camera.publish(9_000);
    const peer = await fixture.watch();
    fixture.camera.key();
    const packets = peer.track().rtp.length;
    fixture.clock.advance(1_000);
    const sr = peer.track().rtcp.find((p) => p.type === 'sr');
    expect(sr).toMatchObject({ ssrc: peer.plan.send[0]?.ssrc, rtpTs: 9_000 + 90_000, packets });
    expect(sr?.type === 'sr' && Math.round(sr.ntp)).toBe(fixture.clock.now());
    const sentAt = ntpMiddle(fixture.clock.now());
    fixture.clock.advance(80);
    const session = fixture.egress.session('line-1', [...(peer.plan.name.split(' '))].at(-1) ?? '');
    peer.track().receiveRtcp(writeReceiverReport(1, [{ ssrc: peer.plan.send[0]?.ssrc ?? 0, fractionLost: 64, cumulativeLost: 1, highestSequence: 1, jitter: 0, lastSr: sentAt, delaySinceLastSr: 65_536 * 0.05 }]));
    expect(session?.viewer.feedback.stats.rttMs).toBeCloseTo(30, 0);
    expect(session?.viewer.feedback.stats.lossFraction).toBe(0.25);
  });

  test('any bytes as RTCP leave the viewer alone', async () => {
    fixture.camera.publish(1_000);
    const peer = await fixture.watch();
    for (let i = 0; i < 300; i++) peer.track().receiveRtcp(Buffer.from(Array.from({ length: i % 60 }, (_, k) => (i * 31 + k * 17) & 0xff)));
    expect(peer.disposed).toBe(false);
  });
});
