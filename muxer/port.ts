/**
 * muxer/: Hub → CMAF parts, once per camera (D-1). The recorder and LL-HLS group the same parts into their own segments.
 */
import type { AccessUnit } from '../core/access-unit.ts';
import type { Hub, Publishable } from '../core/hub.ts';
import type { FrameRef, CameraId } from '../core/frame-ref.ts';
import type { SessionInfo } from '../ingest/port.ts';
import type { Tracks } from '../core/track.ts';
import type { MediaTicks, Milliseconds } from '../core/units.ts';

/** `ftyp` + `moov` for one set of tracks; parts that decode with it refer to the same object. Video is track 1, audio track 2. */
export interface InitSegment {
  readonly bytes: Buffer;
  readonly tracks: Tracks;
  /** Comma-separated RFC 6381 codecs, for playlists. */
  readonly codecs: string;
}

/** One sample of a part, in file order of its track. */
export interface PartSample {
  readonly kind: 'video' | 'audio';
  readonly frame: FrameRef;
  readonly wall: Milliseconds;
  /** On the muxer's timeline (see `Part`), ticks of the track's clock. */
  readonly dts: MediaTicks;
  readonly pts: MediaTicks;
  readonly duration: MediaTicks;
  readonly bytes: number;
  readonly randomAccess: boolean;
}

/**
 * One `prft`+`moof`+`mdat` (CMAF chunk). Decode times (`tfdt`) run on one timeline per *session*: they count from `sessionStart` − 1 s, so that
 * a publisher who returns continues it, and reordering never makes one negative.
 */
export interface Part extends Publishable {
  readonly camera: CameraId;
  readonly init: InitSegment;
  /** The session it belongs to and the epoch of its pictures. A part never spans two epochs or two inits. */
  readonly sessionId: string;
  readonly sessionStart: Milliseconds;
  readonly epoch: number;
  /** `mfhd` sequence number, counts up per session. */
  readonly sequence: number;
  /** True on the first part after a new epoch or init: what came before does not continue here. */
  readonly discontinuity: boolean;
  /**
   * The part that follows is known to begin a new random access picture, epoch or init: a segment that closes after this part leaves the next
   * one independent. False when what follows is not known (the part was flushed because the publisher was lost).
   */
  readonly beforeRandomAccess: boolean;
  /** `[prft+moof, mdat header, sample, sample, …]`: for `writev`, without copying pictures. All video samples, then all audio samples. */
  readonly chunks: readonly Buffer[];
  readonly byteLength: number;
  /** Begins with a random access video unit (or the stream has no video). */
  readonly randomAccess: boolean;
  /** Wall time of the first sample (video if there is any) and the part's length. */
  readonly wall: Milliseconds;
  readonly duration: Milliseconds;
  /** What no part lasts longer than (see `PartTarget`); the same for all parts of a session unless the rate of its pictures changes for good. */
  readonly targetMs: Milliseconds;
  readonly samples: readonly PartSample[];
}

/** Makes the parts of one session by itself, apart from any live stream. */
export interface PartMaker {
  /** Takes the next unit in decode order; returns the parts it completes. */
  push(unit: AccessUnit): readonly Part[];
  /** What is pending, as parts: nothing follows for now. */
  flush(): readonly Part[];
}

/** One camera's parts; lives as long as the camera is configured, through all its sessions. */
export interface PartStream {
  readonly camera: CameraId;
  /** Parts of all sessions. Publishes synchronously inside the access unit's own `publish`. No GOP cache. */
  readonly parts: Hub<Part>;
  readonly session: SessionInfo | null;
  /**
   * Called on every change of the session, after whatever it leaves pending was published as a part: at `interrupted` and `ended` no further
   * part of that epoch comes. Disposing removes the listener.
   */
  onSession(listener: (session: SessionInfo) => void): Disposable;
  /** Called with the epoch of a publication whose tracks no MP4 can carry: there are no parts of it. Disposing removes the listener. */
  onUnmuxable(listener: (epoch: number) => void): Disposable;
}

/** The part streams of all cameras. */
export interface PartStreams {
  get(camera: CameraId): PartStream | undefined;
  list(): readonly PartStream[];
  /** Called for each there is and each that is added later. */
  onStream(listener: (stream: PartStream) => void): Disposable;
  /** Called after a camera was removed; its Hub has ended. */
  onRemoved(listener: (camera: CameraId) => void): Disposable;
}
