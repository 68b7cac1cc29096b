import type { SessionInfo } from '../../ingest/port.ts';
import type { InitSegment, Part } from '../../muxer/port.ts';

/** Server time at which the sessions of `part` begin. */
export const SESSION_START = 1_750_000_000_000;

const VIDEO = {
  kind: 'video', codec: 'h264', clockRate: 90_000, sps: new Uint8Array(), pps: new Uint8Array(), width: 1_280, height: 720, codecString: 'avc1.64001f', reorderDepth: 0,
} as const;

/** An init segment of its own identity. */
export const testInit = (): InitSegment => ({ bytes: Buffer.from('init'), tracks: { video: VIDEO, audio: null }, codecs: 'avc1.64001f' });

const INIT = testInit();

/** A part with the fields that HLS looks at. For tests. */
export const testPart = (over: Partial<Part> = {}): Part => {
  const duration = over.duration ?? 200;
  const wall = over.wall ?? SESSION_START;
  const pictures = Math.max(1, Math.round(duration / 40));
  const samples = Array.from({ length: pictures }, (_, i) => ({
    kind: 'video' as const,
    frame: { stream: 'cam', epoch: SESSION_START, rtpTs: 0, captureNtp: null, seq: i },
    wall, dts: 0, pts: 0, duration: (duration * 90) / pictures, bytes: 10, randomAccess: false,
  }));
  return {
    camera: 'cam', init: INIT, sessionId: 'abcd1234-rest', sessionStart: SESSION_START, epoch: SESSION_START, sequence: 1,
    discontinuity: false, randomAccess: false, beforeRandomAccess: false, chunks: [Buffer.from('part')], byteLength: 100, wall, duration, targetMs: 205, samples,
    ...over,
  };
};

/** Parts of 200 ms with a random access point every `gop` parts, from part number `from`. */
export const testParts = (count: number, gop: number, from = 0): Part[] =>
  Array.from({ length: count }, (_, i) => {
    const n = from + i;
    return testPart({ sequence: n + 1, randomAccess: n % gop === 0, beforeRandomAccess: (n + 1) % gop === 0, discontinuity: n === 0, wall: SESSION_START + n * 200 });
  });

/** A session of the parts above. */
export const testSession = (over: Partial<SessionInfo> = {}): SessionInfo => ({
  id: 'abcd1234-rest', camera: 'cam', phase: 'live', protocol: 'rtsp', startedAt: SESSION_START, endedAt: null, reason: null, epoch: SESSION_START, ...over,
});
