/** What a stream is made of. Immutable; a change of parameters (new SPS, new codec) is a new object. */

export interface H264Track {
  readonly kind: 'video';
  readonly codec: 'h264';
  readonly clockRate: 90_000;
  /** NAL units without start code. */
  readonly sps: Uint8Array;
  readonly pps: Uint8Array;
  /** Encoded picture size in pixels after cropping. */
  readonly width: number;
  readonly height: number;
  /** RFC 6381, e.g. `avc1.64001f`. */
  readonly codecString: string;
  /** Pictures the decoder may hold back for reordering (B-frames); 0 = decode order is display order. */
  readonly reorderDepth: number;
}

export interface Vp8Track {
  readonly kind: 'video';
  readonly codec: 'vp8';
  readonly clockRate: 90_000;
  readonly width: number;
  readonly height: number;
  readonly codecString: 'vp8';
  readonly reorderDepth: 0;
}

export interface OpusTrack {
  readonly kind: 'audio';
  readonly codec: 'opus';
  readonly clockRate: 48_000;
  readonly channels: number;
  readonly codecString: 'opus';
}

export interface AacTrack {
  readonly kind: 'audio';
  readonly codec: 'aac';
  /** The sampling rate. */
  readonly clockRate: number;
  readonly channels: number;
  /** AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1). */
  readonly config: Uint8Array;
  readonly codecString: string;
}

export type VideoTrack = H264Track | Vp8Track;
export type AudioTrack = OpusTrack | AacTrack;

/** The tracks of a stream at one moment. Compared by identity: the same object until something changes. */
export interface Tracks {
  readonly video: VideoTrack | null;
  readonly audio: AudioTrack | null;
}
