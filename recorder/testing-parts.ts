/** Parts of an Opus stream, made by hand: for tests of what happens around the bytes. */
import { writeInitSegment } from '../core/fmp4/init-segment.ts';
import { writePart } from '../core/fmp4/part-writer.ts';
import { Hub } from '../core/hub.ts';
import type { OpusTrack, Tracks } from '../core/track.ts';
import type { Milliseconds } from '../core/units.ts';
import type { SessionInfo, SessionPhase } from '../ingest/port.ts';
import type { InitSegment, Part, PartStream, PartStreams } from '../muxer/port.ts';

const OPUS: OpusTrack = { kind: 'audio', codec: 'opus', clockRate: 48_000, channels: 2, codecString: 'opus' };

/** An init of its own identity. */
export const testInit = (): InitSegment => {
  const tracks: Tracks = { video: null, audio: OPUS };
  return { bytes: writeInitSegment(tracks), tracks, codecs: 'opus' };
};

export interface TestPartOptions {
  /** Milliseconds since the session's start; the part lasts 200 ms. */
  readonly at: Milliseconds;
  readonly init: InitSegment;
  readonly sessionStart?: Milliseconds;
  readonly sessionId?: string;
  readonly epoch?: number;
  readonly randomAccess?: boolean;
  /** Added to every RTP timestamp. */
  readonly rtpJump?: number;
  readonly sampleBytes?: number;
}

/** 200 ms: ten samples of 20 ms with ten bytes each. */
export const testPart = ({ at, init, sessionStart = 1_750_000_000_000, sessionId = 'session-1', epoch = 1, randomAccess = true, rtpJump = 0, sampleBytes = 10 }: TestPartOptions): Part => {
  const wall = sessionStart + at;
  const samples = Array.from({ length: 10 }, (_, i) => {
    const pts = (at + 1000 + i * 20) * 48;
    return {
      kind: 'audio' as const, frame: { stream: 'cam', epoch, rtpTs: (pts + rtpJump) >>> 0, captureNtp: null, seq: 0 }, wall: wall + i * 20, dts: pts, pts, duration: 960,
      bytes: sampleBytes, randomAccess: true, data: Buffer.alloc(sampleBytes, (at / 200 + i) & 0xff), compositionOffset: 0,
    };
  });
  const base = (at + 1000) * 48;
  const chunks = writePart({ sequence: at / 200 + 1, reference: { trackId: 2, wall, mediaTime: base }, tracks: [{ trackId: 2, baseDecodeTime: base, samples }] });
  return {
    camera: 'cam', init, sessionId, sessionStart, epoch, sequence: at / 200 + 1, discontinuity: false, beforeRandomAccess: true, chunks,
    byteLength: chunks.reduce((sum, { length }) => sum + length, 0), randomAccess, wall, duration: 200, targetMs: 205, samples,
  };
};

/** One camera whose parts a test publishes. */
export class TestStream implements PartStream, PartStreams {
  readonly camera = 'cam';
  readonly parts = new Hub<Part>();
  session: SessionInfo | null = null;
  #listeners: ((session: SessionInfo) => void)[] = [];
  #unmuxable: (epoch: number) => void = () => undefined;

  /** Tells the listeners that session `id` is now in `phase`. */
  change(id: string, phase: SessionPhase): void {
    this.session = { id, camera: 'cam', phase, protocol: 'rtsp', startedAt: 0, endedAt: null, reason: null, epoch: null };
    for (const listener of this.#listeners) listener(this.session);
  }

  onSession(listener: (session: SessionInfo) => void): Disposable {
    this.#listeners.push(listener);
    return { [Symbol.dispose]: () => { this.#listeners = this.#listeners.filter((l) => l !== listener); } };
  }

  onUnmuxable(listener: (epoch: number) => void): Disposable {
    this.#unmuxable = listener;
    return { [Symbol.dispose]: () => undefined };
  }

  /** Tells the listener that nothing of the publication that began at `epoch` can be muxed. */
  refuse(epoch: number): void { this.#unmuxable(epoch); }

  get(): PartStream { return this; }
  list(): readonly PartStream[] { return [this]; }
  onStream(listener: (stream: PartStream) => void): Disposable {
    listener(this);
    return { [Symbol.dispose]: () => undefined };
  }
  onRemoved(): Disposable { return { [Symbol.dispose]: () => undefined }; }
}
