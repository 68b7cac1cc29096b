/** A whole WHEP egress for tests, with the offer of a real Chromium. */
import { readFileSync } from 'node:fs';
import { Hub } from '../../core/hub.ts';
import { H264Depacketizer } from '../../core/rtp/h264-depacketizer.ts';
import type { DepacketizedUnit, RtpPacket } from '../../core/rtp/port.ts';
import { parseWebRtcOffer } from '../../core/sdp/offer.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import type { DetectionUnit } from '../../extractor/port.ts';
import type { CameraStream } from '../../ingest/port.ts';
import type { Principal } from '../../media-control/port.ts';
import { FakeDistribution } from '../../media-control/testing-distribution.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { FakeCamera, FakeEngine } from './testing.ts';
import type { FakePeer } from './testing.ts';
import { WhepEgress } from './whep-egress.ts';
import type { WhepEgressOptions } from './whep-egress.ts';

export const OFFER = readFileSync(new URL('../../test/fixtures/sdp/chromium-play.sdp', import.meta.url), 'utf8');
const VIEWER: Principal = { kind: 'key', id: 'k1', camera: 'line-1', grants: 'view' };

/** An egress with one camera, `line-1`, and everything around it faked. */
export const egressFixture = (more: Partial<Pick<WhepEgressOptions, 'summon' | 'protocol'>> = {}) => {
  const clock = new FakeClock();
  const engine = new FakeEngine();
  const camera = new FakeCamera('line-1', clock);
  const metrics = createMetrics('test');
  const distribution = new FakeDistribution();
  const detections = new Hub<DetectionUnit>();
  const streams = new Map<string, CameraStream>([['line-1', camera]]);
  const listeners: { removed: (camera: string) => void; revoked: (id: string) => void } = { removed: () => undefined, revoked: () => undefined };
  const none = { [Symbol.dispose]: () => undefined };
  let next = 1_000;
  const egress = new WhepEgress({
    protocol: 'webrtc', ...more,
    engine, clock, metrics, distribution, logger: silentLogger(), viewersPerCamera: 4,
    streams: { get: (id) => streams.get(id), list: () => [...streams.values()], onStream: () => none, onRemoved: (listener) => { listeners.removed = listener; return none; } },
    authorizer: { onRevoked: (listener) => { listeners.revoked = listener; return none; } },
    detections: { detections: () => detections, stats: () => null },
    random: () => (next += 7_919), newId: () => `id-${String(next++)}`,
  });
  const play = (offer = OFFER, signal = new AbortController().signal) => egress.play('line-1', { text: offer, offer: parseWebRtcOffer(offer), clientAddress: null }, VIEWER, signal);
  /** A viewer whose offer was answered. */
  const join = async (offer = OFFER): Promise<FakePeer> => {
    await play(offer);
    const peer = engine.peers.at(-1);
    if (!peer) throw new Error('no peer');
    return peer;
  };
  /** A viewer who is connected. */
  const watch = async (offer = OFFER): Promise<FakePeer> => {
    const peer = await join(offer);
    peer.connect();
    return peer;
  };
  /** That many pictures, 40 ms apart. */
  const frames = (count: number): void => { for (let i = 0; i < count; i++) { clock.advance(40); camera.delta(); } };
  return { clock, engine, camera, metrics, detections, distribution, streams, listeners, egress, play, join, watch, frames };
};

export const pictures = (packets: readonly RtpPacket[]): DepacketizedUnit[] => {
  const out: DepacketizedUnit[] = [];
  const depacketizer = new H264Depacketizer();
  for (const packet of packets) depacketizer.push(packet, out);
  return out;
};

export const isContinuous = (packets: readonly RtpPacket[]): boolean =>
  packets.every((packet, i) => i === 0 || packet.sequenceNumber === (((packets[i - 1]?.sequenceNumber ?? 0) + 1) & 0xffff));
