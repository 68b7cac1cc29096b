import type { FrameRef } from './frame-ref.ts';
import type { Tracks } from './track.ts';
import type { MediaTicks, Milliseconds } from './units.ts';

/**
 * One coded picture or audio frame in decode order. Immutable and shared by every consumer: nobody copies or changes its bytes.
 */
export interface AccessUnit {
  readonly kind: 'video' | 'audio';
  readonly frame: FrameRef;
  /** Presentation and decode time in ticks of the track's clock since `frame.epoch`; unwrapped, ≥ 0 for `pts`. `dts` ≤ `pts`, strictly increasing. */
  readonly pts: MediaTicks;
  readonly dts: MediaTicks;
  /** When it was captured, on the server's clock (D-8): arrival smoothed by the RTP clock. Becomes `captured_at`. Unix ms. */
  readonly wall: Milliseconds;
  /** When its last packet arrived, `Clock.monotonic()`. */
  readonly arrivedAt: Milliseconds;
  /** A decoder can start here (IDR; always true for audio). */
  readonly randomAccess: boolean;
  /**
   * H.264: NAL units each behind a 4-byte big-endian length (the sample of ISO/IEC 14496-15), with in-band SPS and PPS kept as sent.
   * VP8, Opus, AAC: the raw frame.
   */
  readonly data: Buffer;
  readonly byteLength: number;
  /** All tracks of the stream as of this unit; another object means: something changed. */
  readonly tracks: Tracks;
}
