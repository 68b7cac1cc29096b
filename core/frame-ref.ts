import type { Milliseconds, RtpTimestamp } from './units.ts';

/** A camera's id, `[a-z0-9][a-z0-9-]{0,62}`. The id of its stream, too. */
export type CameraId = string;
export const CAMERA_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

/**
 * The identity of one coded picture, made once at depacketisation and carried by every access unit, decoded frame, inference
 * request, detection, overlay and recorded sample (ARCHITECTURE §3.1).
 */
export interface FrameRef {
  readonly stream: CameraId;
  /** Server milliseconds at the start of this RTP timeline (D-8). A new publisher connection is a new epoch. */
  readonly epoch: number;
  /** The camera's RTP timestamp; with `epoch` it names the picture. */
  readonly rtpTs: RtpTimestamp;
  /** The device's own wall clock for this picture by RTCP sender report (Unix ms), or null while none has come. */
  readonly captureNtp: Milliseconds | null;
  /** Counts the stream's video access units from 0, across epochs of one session. */
  readonly seq: number;
}
