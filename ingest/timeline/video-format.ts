import { MediaError } from '../../core/errors.ts';
import { isBSlice, isVcl } from '../../core/codec/h264/nal.ts';
import { parseSps } from '../../core/codec/h264/sps.ts';
import { h264Track } from '../../core/codec/h264/track.ts';
import type { DepacketizedUnit } from '../../core/rtp/port.ts';
import type { VideoTrack } from '../../core/track.ts';

/** H.264 sequence and picture parameter set, NAL units without start code. */
export interface ParameterSets {
  readonly sps: Uint8Array;
  readonly pps: Uint8Array;
}

/** Real sets have less than 300 bytes; a larger one is hostile or broken, and is as good as none. */
const MAX_SET_BYTES = 4096;

const equal = (a: Uint8Array | null, b: Uint8Array): boolean => a !== null && Buffer.compare(a, b) === 0;

/**
 * Follows what the video of a stream is: parameter sets of the SDP first, then those that come in-band. Changes take effect at a
 * random access unit only, and give a new `VideoTrack` object; sets repeated unchanged (most cameras, before every IDR) do not.
 *
 * Many cameras' SPS does not say whether pictures are reordered, though none are. Such a stream counts as not reordered until its
 * first B slice is seen: only then is a depth assumed (from the next random access unit on), because it costs it WebRTC (D-6).
 */
export class VideoFormat {
  readonly #codec: 'h264' | 'vp8';
  #sps: Uint8Array | null = null;
  #pps: Uint8Array | null = null;
  #changed = false;
  #reorderKnown = true;
  #sawReordering = false;
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
    if (!this.#reorderKnown && !this.#sawReordering && startsWithB(unit.data)) {
      this.#sawReordering = true;
      this.#changed = true;
    }
    if (!unit.randomAccess || !this.#changed || this.#sps === null || this.#pps === null) return false;
    this.#changed = false;
    try {
      this.#reorderKnown = parseSps(this.#sps).reorderKnown;
      this.#track = this.#reorderKnown || this.#sawReordering ? h264Track(this.#sps, this.#pps) : h264Track(this.#sps, this.#pps, 0);
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
    if (sps !== null && sps.length <= MAX_SET_BYTES && !equal(this.#sps, sps)) {
      this.#sps = Uint8Array.from(sps);
      this.#changed = true;
    }
    if (pps !== null && pps.length <= MAX_SET_BYTES && !equal(this.#pps, pps)) {
      this.#pps = Uint8Array.from(pps);
      this.#changed = true;
    }
  }
}

/** Offset of the first coded slice (NAL types 1 to 5, ISO/IEC 14496-10 table 7-1) of length-prefixed NAL units, or −1: not a picture. */
export const firstSlice = (data: Buffer): number => {
  let at = 0;
  while (at + 4 < data.length) {
    if (isVcl((data[at + 4] ?? 0) & 0x1f)) return at + 4;
    at += 4 + data.readUInt32BE(at);
  }
  return -1;
};

const startsWithB = (data: Buffer): boolean => {
  const at = firstSlice(data);
  return at >= 0 && isBSlice(data.subarray(at, at + 24));
};
