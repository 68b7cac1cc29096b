import { MediaError } from '../../core/errors.ts';
import { h264Track } from '../../core/codec/h264/track.ts';
import type { DepacketizedUnit } from '../../core/rtp/port.ts';
import type { VideoTrack } from '../../core/track.ts';

/** H.264 sequence and picture parameter set, NAL units without start code. */
export interface ParameterSets {
  readonly sps: Uint8Array;
  readonly pps: Uint8Array;
}

const equal = (a: Uint8Array | null, b: Uint8Array): boolean => a !== null && Buffer.compare(a, b) === 0;

/**
 * Follows what the video of a stream is: parameter sets of the SDP first, then those that come in-band. Changes take effect at a
 * random access unit only, and give a new `VideoTrack` object; sets repeated unchanged (most cameras, before every IDR) do not.
 */
export class VideoFormat {
  readonly #codec: 'h264' | 'vp8';
  #sps: Uint8Array | null = null;
  #pps: Uint8Array | null = null;
  #changed = false;
  #track: VideoTrack | null = null;

  constructor(codec: 'h264' | 'vp8', declared?: ParameterSets) {
    this.#codec = codec;
    if (declared) this.#note(declared.sps, declared.pps);
  }

  /** The format in force, or null before the first usable random access unit. */
  get track(): VideoTrack | null {
    return this.#track;
  }

  /** Takes note of what a unit says of the format. Returns true when `track` changed with it. */
  observe(unit: DepacketizedUnit): boolean {
    if (this.#codec === 'vp8') return unit.randomAccess && this.#vp8(unit);
    if (unit.sps !== null || unit.pps !== null) this.#note(unit.sps, unit.pps);
    if (!unit.randomAccess || !this.#changed || this.#sps === null || this.#pps === null) return false;
    this.#changed = false;
    try {
      this.#track = h264Track(this.#sps, this.#pps);
      return true;
    } catch (error) {
      if (error instanceof MediaError) return false; // a broken set: the former format stays in force until a good one comes
      throw error;
    }
  }

  #vp8(unit: DepacketizedUnit): boolean {
    const size = unit.size;
    if (size === null || (this.#track?.width === size.width && this.#track.height === size.height)) return false;
    this.#track = { kind: 'video', codec: 'vp8', clockRate: 90_000, width: size.width, height: size.height, codecString: 'vp8', reorderDepth: 0 };
    return true;
  }

  /** Copies the sets (at most some hundred bytes, and only when they are new): they outlive the socket chunk they came in. */
  #note(sps: Uint8Array | null, pps: Uint8Array | null): void {
    if (sps !== null && !equal(this.#sps, sps)) {
      this.#sps = Uint8Array.from(sps);
      this.#changed = true;
    }
    if (pps !== null && !equal(this.#pps, pps)) {
      this.#pps = Uint8Array.from(pps);
      this.#changed = true;
    }
  }
}

/** Whether an H.264 unit (length-prefixed NAL units) has a coded slice (types 1 to 5, ISO/IEC 14496-10 table 7-1) and so is a picture. */
export const hasSlice = (data: Buffer): boolean => {
  let at = 0;
  while (at + 4 < data.length) {
    const type = (data[at + 4] ?? 0) & 0x1f;
    if (type >= 1 && type <= 5) return true;
    at += 4 + data.readUInt32BE(at);
  }
  return false;
};
