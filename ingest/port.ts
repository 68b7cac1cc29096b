/** ingest/: camera → Hub. */
import type { AccessUnit } from '../core/access-unit.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Hub } from '../core/hub.ts';
import type { Tracks } from '../core/track.ts';
import type { Milliseconds } from '../core/units.ts';

/**
 * connecting: a publisher was accepted, no picture yet · live: pictures flow ·
 * interrupted: the publisher is lost and may return within `session.grace_seconds` to the same session · ended: over.
 */
export type SessionPhase = 'connecting' | 'live' | 'interrupted' | 'ended';
export type PublishProtocol = 'whip' | 'rtsp' | 'file';

/** One conversation with a camera. Survives publisher reconnects within the grace time; each of them is a new epoch. */
export interface SessionInfo {
  readonly id: string;
  readonly camera: CameraId;
  readonly phase: SessionPhase;
  readonly protocol: PublishProtocol;
  /** Unix ms. */
  readonly startedAt: Milliseconds;
  readonly endedAt: Milliseconds | null;
  /** Why it is interrupted or ended, in words for the operator. */
  readonly reason: string | null;
  /** It was ended on purpose: the camera said goodbye, its key was revoked, or it was removed. */
  readonly left?: true;
  readonly epoch: number | null;
}

/** ING-7; numbers since the session began, rates over the last second. */
export interface SessionStats {
  readonly bytes: number;
  readonly packets: number;
  readonly lostPackets: number;
  readonly accessUnits: number;
  readonly bitrateBps: number;
  readonly fps: number;
  readonly jitterMs: number | null;
  readonly rttMs: number | null;
  readonly nacksSent: number;
  readonly plisSent: number;
  readonly keyframeIntervalMs: number | null;
  readonly videoCodec: string | null;
  readonly audioCodec: string | null;
  readonly width: number | null;
  readonly height: number | null;
}

/** What a publisher's protocol driver reports about its transport; the stream adds what it can see itself. */
export interface TransportStats {
  readonly bytes: number;
  readonly packets: number;
  readonly lostPackets: number;
  readonly jitterMs: number | null;
  readonly rttMs: number | null;
  readonly nacksSent: number;
  readonly plisSent: number;
  /** What came and could not be used, by reason. */
  readonly refused?: Refused;
}

/** Packets that are none of this publication's or malformed; units with a hole; units before the first usable picture; audio that would go back. */
export type Refused = Readonly<Record<'malformed' | 'damaged' | 'awaiting_random_access' | 'audio_out_of_order', number>>;

/** A publisher's hold on its camera's stream: the only way to put access units into the Hub. */
export interface Publication {
  readonly stream: CameraStream;
  /** Server milliseconds at which this RTP timeline began; unique per stream and increasing. */
  readonly epoch: number;
  /** Publishes; ignored after `end` or once another publisher took over. */
  publish(unit: AccessUnit): void;
  /** The next `FrameRef.seq` of the stream. */
  nextSeq(): number;
  /** The publisher is gone. `lost`: it may return within the grace time. `left`: it said goodbye (DELETE, TEARDOWN); the session ends. Idempotent. */
  end(how: 'lost' | 'left', reason: string): void;
}

export interface PublisherDriver {
  readonly protocol: PublishProtocol;
  stats(): TransportStats;
  /** Ask the camera for a random access picture (PLI); a protocol that cannot ignores it. */
  requestKeyframe(): void;
  /** Another publisher took over, or the camera was deleted or its key revoked: close the transport. */
  close(reason: string): void;
}

/** Media of a camera as viewers get it. */
export interface WatchedStream {
  readonly camera: CameraId;
  /** Access units of all sessions and epochs, with a GOP cache. */
  readonly hub: Hub<AccessUnit>;
  readonly session: SessionInfo | null;
  /** The current tracks, or null before the first picture of the session. */
  readonly tracks: Tracks | null;
  requestKeyframe(): void;
  /** Called on every change of the session (new, phase, ended). Disposing removes the listener. */
  onSession(listener: (session: SessionInfo) => void): Disposable;
}

/** One camera's stream as the rest of the edge sees it; lives as long as the camera is configured, through all its sessions. */
export interface CameraStream extends WatchedStream {
  stats(): SessionStats | null;
  /** Takes the stream over: a publisher still there is closed ("replaced"). Within the grace time the session goes on. */
  beginPublication(driver: PublisherDriver): Publication;
}

export interface StreamRegistry<S extends WatchedStream = CameraStream> {
  get(camera: CameraId): S | undefined;
  list(): readonly S[];
  /** Called for each stream there is and each that is added later. */
  onStream(listener: (stream: S) => void): Disposable;
  /** Called after a camera was removed and its stream closed. */
  onRemoved(listener: (camera: CameraId) => void): Disposable;
}
