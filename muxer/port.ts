/**
 * muxer/: Hub → CMAF parts, once per camera (D-1). The recorder and LL-HLS group the same parts into their own segments.
 */
import type { Publishable } from '../core/hub.ts';
import type { FrameRef, CameraId } from '../core/frame-ref.ts';
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
  /** `[prft+moof, mdat header, sample, sample, …]`: for `writev`, without copying pictures. */
  readonly chunks: readonly Buffer[];
  readonly byteLength: number;
  /** Begins with a random access video unit (or the stream has no video). */
  readonly randomAccess: boolean;
  /** Wall time of the first sample (video if there is any) and the part's length. */
  readonly wall: Milliseconds;
  readonly duration: Milliseconds;
  readonly samples: readonly PartSample[];
}
