import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { writeBye, writeSenderReport } from '../../core/rtp/rtcp-writer.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { negotiatePublish } from './publish-negotiation.ts';
import { FakePeer, FakeStream, packetWith } from './testing.ts';
import { WhipPublisher } from './whip-publisher.ts';

const OFFER = readFileSync(new URL('../../test/fixtures/sdp/chromium-publish.sdp', import.meta.url), 'utf8').replaceAll(/\r?\n/g, '\r\n');
const plan = negotiatePublish(OFFER, 8e6);
const PT = plan.video.codec.payloadType;
const RTX = plan.video.codec.rtxPayloadType ?? -1;
const TWCC = plan.video.transportSequenceId ?? -1;
const SPS = Buffer.from('6742c01fd9005005ba10000003001000000303c0f1832480', 'hex');
const PPS = Buffer.from('68cb8cb2', 'hex');
const stapA = (...nals: Buffer[]): Buffer => Buffer.concat([Buffer.from([0x78]), ...nals.flatMap((nal) => [Buffer.from([nal.length >> 8, nal.length & 255]), nal])]);
const KEY = stapA(SPS, PPS, Buffer.from([0x65, 0x88, 1, 2, 3]));
const DELTA = Buffer.from([0x41, 0x9a, 1, 2, 3]);

let clock: FakeClock;
let peer: FakePeer;
let stream: FakeStream;
let publisher: WhipPublisher;
let closed: number;
let transportSequence: number;
let allowed: number;

const start = (): void => {
  clock = new FakeClock();
  peer = new FakePeer();
  stream = new FakeStream();
  closed = 0;
  transportSequence = 0;
  allowed = 8e6;
  publisher = new WhipPublisher({ stream, plan, peer, clock, logger: silentLogger(), ssrc: 99, keyframeIntervalMs: 4_000, jitterBufferMs: 200, maxBitrateBps: () => allowed, answeredBitrateBps: 8e6, onClosed: () => { closed++; } });
  peer.become('connected');
};
beforeEach(start);

/** One single-packet picture. */
const send = (sequenceNumber: number, payload: Buffer, fields: { ssrc?: number; payloadType?: number; timestamp?: number } = {}): void => {
  const twcc = Buffer.alloc(2);
  twcc.writeUInt16BE(transportSequence++);
  peer.receive(packetWith(payload, { marker: true, payloadType: PT, ssrc: 7, sequenceNumber, timestamp: sequenceNumber * 3_000, ...fields }, [{ id: TWCC, data: twcc }]));
};
const repair = (original: number, payload: Buffer): void => {
  const osn = Buffer.alloc(2);
  osn.writeUInt16BE(original);
  send(1, Buffer.concat([osn, payload]), { payloadType: RTX, ssrc: 8, timestamp: original * 3_000 });
};
const seqs = (): number[] => stream.units.map((unit) => unit.frame.rtpTs / 3_000);

test('pictures in order come out at once, as access units with the timestamps of the camera', () => {
  send(10, KEY);
  send(11, DELTA);
  expect(seqs()).toEqual([10, 11]);
  expect(stream.units[0]).toMatchObject({ kind: 'video', randomAccess: true, tracks: { video: { codec: 'h264', width: 1280 } } });
});

test('without NACK a loss costs a few timers, not one every millisecond', () => {
  publisher.end('left', 'test');
  clock = new FakeClock();
  peer = new FakePeer();
  stream = new FakeStream();
  let timers = 0;
  const counting = Object.assign(Object.create(clock) as FakeClock, { after: (delay: number, callback: () => void) => { timers++; return clock.after(delay, callback); }, every: clock.every.bind(clock), monotonic: clock.monotonic.bind(clock), now: clock.now.bind(clock) });
  publisher = new WhipPublisher({ stream, plan: { ...plan, video: { ...plan.video, nack: false } }, peer, clock: counting, logger: silentLogger(), ssrc: 99, keyframeIntervalMs: 4_000, jitterBufferMs: 200, maxBitrateBps: () => 8e6, answeredBitrateBps: 8e6, onClosed: () => undefined });
  peer.become('connected');
  send(10, KEY);
  send(12, DELTA);
  timers = 0;
  clock.advance(400);
  expect(timers).toBeLessThan(20);
  expect(peer.take('nack')).toEqual([]);
});

test('[EXT-4] a publisher that may send less than the answer allows is told so each second, and from then on what it may, also when that is all again', () => {
  const told = (): number[] => {
    peer.sent.length = 0;
    clock.advance(1_000);
    return peer.take('remb').map(({ bitrateBps }) => bitrateBps);
  };
  send(10, KEY);
  expect(told()).toEqual([]);
  allowed = 500_000;
  expect(told()).toEqual([500_000]);
  allowed = 8e6;
  expect([...told(), ...told()]).toEqual([8e6, 8e6]);
});

test('[ING-8] a lost packet is asked for, its retransmission unwrapped, and the order kept', () => {
  send(10, KEY);
  send(12, DELTA);
  clock.advance(20);
  expect(peer.take('nack').map((nack) => [nack.media, nack.lost])).toEqual([[7, [11]]]);
  expect(seqs()).toEqual([10]);
  repair(11, DELTA);
  expect(seqs()).toEqual([10, 11, 12]);
  expect(publisher.stats()).toMatchObject({ lostPackets: 0, nacksSent: 1 });
});

test('[ING-8] a packet that does not come within the buffer\'s time is given up, and a key frame asked for', () => {
  send(10, KEY);
  send(12, DELTA);
  clock.advance(250);
  expect(publisher.stats().lostPackets).toBe(1);
  clock.advance(400); // half a second after the publisher began at the latest
  expect(peer.take('pli')).toHaveLength(1);
});

test('[ING-8] transport feedback tells what came every 50 ms: padding probes, old pictures sent again as probes, and nothing of a packet from elsewhere', () => {
  send(10, KEY);
  send(11, DELTA);
  peer.receive(packetWith(Buffer.alloc(0), { payloadType: RTX, ssrc: 8 }, [{ id: TWCC, data: Buffer.from([0, 2]) }]));
  clock.advance(50);
  const [feedback] = peer.take('twcc');
  expect([feedback?.baseSequence, feedback?.arrivals.filter((arrival) => arrival !== null).length]).toEqual([0, 3]);
  transportSequence = 3;
  repair(10, KEY); // published long ago
  clock.advance(50);
  expect(peer.take('twcc').map((twcc) => [twcc.baseSequence, twcc.arrivals.length])).toEqual([[3, 1]]);
  expect(seqs()).toEqual([10, 11]);
  send(30_000, DELTA);
  clock.advance(50);
  expect(peer.take('twcc')).toHaveLength(0);
});

test('[D-2] a publisher that sends no key frame by itself is asked every four seconds, by FIR when it does not answer', () => {
  send(10, KEY);
  for (let i = 1; i <= 90; i++) { clock.advance(50); send(10 + i, DELTA); }
  expect(peer.take('pli')).toHaveLength(1);
  for (let i = 91; i <= 110; i++) { clock.advance(50); send(10 + i, DELTA); }
  expect(peer.take('fir').map((fir) => fir.entries)).toEqual([[{ ssrc: 7, sequence: 0 }]]);
});

test('receiver reports go out each second, with what the sender needs for its round trip', () => {
  send(10, KEY);
  peer.receive(writeSenderReport({ ssrc: 7, ntp: clock.now(), rtpTs: 30_000, packets: 1, octets: 1 }));
  clock.advance(1_000);
  const [report] = peer.take('rr');
  expect(report?.reports).toMatchObject([{ ssrc: 7, fractionLost: 0, delaySinceLastSr: 65_536 }]);
});

test('sender reports give pictures the device\'s clock', () => {
  send(10, KEY);
  peer.receive(writeSenderReport({ ssrc: 7, ntp: clock.now() - 1_234, rtpTs: 30_000, packets: 1, octets: 1 }));
  send(11, DELTA);
  expect(stream.units[1]?.frame.captureNtp).toBeCloseTo(clock.now() - 1_234 + 1000 / 30, 0);
});

test('a second source of the same payload type is ignored while the first sends, and taken when that is silent', () => {
  send(10, KEY);
  send(500, KEY, { ssrc: 70 });
  expect(stream.units).toHaveLength(1);
  clock.advance(600);
  send(501, KEY, { ssrc: 70 });
  expect(stream.units).toHaveLength(2);
});

test('[ING-9] five seconds without a packet, a failed connection, a closed one and BYE all mean lost', () => {
  send(10, KEY);
  clock.advance(5_100);
  expect([stream.ended, peer.isDisposed, closed]).toEqual([['lost: no packets for 5 s'], true, 1]);
  for (const state of ['failed', 'closed'] as const) {
    start();
    peer.become(state);
    expect([stream.ended.length, closed]).toEqual([1, 1]);
  }
  start();
  send(10, KEY);
  peer.receive(writeBye(7));
  expect(stream.ended).toEqual(['lost: RTCP BYE']);
});

test('a publisher whose stream was taken closes its transport and says nothing', () => {
  publisher.close('replaced');
  publisher.end('left', 'DELETE');
  peer.receive(packetWith(KEY, { payloadType: PT }));
  clock.advance(10_000);
  expect([stream.ended, stream.units, peer.isDisposed, closed, peer.sent]).toEqual([[], [], true, 1, []]);
});

test('any packets are taken or ignored, and never crash', () => {
  fc.assert(fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 80 }), fc.tuple(fc.constantFrom(PT, RTX, 111, 200, 201, 205), fc.uint8Array({ maxLength: 60 })).map(([second, rest]) => Uint8Array.from([0x80, second, ...rest]))), { maxLength: 30 }), (packets) => {
    for (const packet of packets) { peer.receive(Buffer.from(packet)); clock.advance(7); }
  }), { numRuns: 200 });
});
