/** Stand-ins for a publisher, for tests of streams. */
import type { AccessUnit } from '../core/access-unit.ts';
import type { Publication, PublisherDriver, TransportStats } from './port.ts';

/** A publisher's transport that is told what a real one is. */
export class FakeDriver implements PublisherDriver {
  readonly protocol = 'rtsp';
  readonly closed: string[] = [];
  keyframes = 0;
  transport: TransportStats = { bytes: 0, packets: 0, lostPackets: 0, jitterMs: 1, rttMs: null, nacksSent: 0, plisSent: 0 };
  stats(): TransportStats { return this.transport; }
  requestKeyframe(): void { this.keyframes++; }
  close(reason: string): void { this.closed.push(reason); }
}

/** One VP8 picture of no content. */
export const pictureUnit = (publication: Publication, options: { readonly pts?: number; readonly randomAccess?: boolean; readonly bytes?: number } = {}): AccessUnit => {
  const data = Buffer.alloc(options.bytes ?? 10);
  const pts = options.pts ?? 0;
  return {
    kind: 'video', frame: { stream: 'c', epoch: publication.epoch, rtpTs: 0, captureNtp: null, seq: publication.nextSeq() },
    pts, dts: pts, wall: 0, arrivedAt: 0, randomAccess: options.randomAccess ?? true, data, byteLength: data.length,
    tracks: { video: { kind: 'video', codec: 'vp8', clockRate: 90_000, width: 640, height: 360, codecString: 'vp8', reorderDepth: 0 }, audio: null },
  };
};
