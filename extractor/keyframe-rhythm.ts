import type { AccessUnit } from '../core/access-unit.ts';
import type { VideoTrack } from '../core/track.ts';

/** What is wanted of a camera's pictures. */
export interface Wanted {
  /** Detectors look at it, or its video is encoded with boxes. */
  readonly motion: boolean;
  /** Pictures a second of each kind that is wanted all the time; stills are asked for one by one. */
  readonly rates: readonly number[];
}

type VideoUnit = Pick<AccessUnit, 'frame' | 'pts' | 'randomAccess'>;

/**
 * Whether a camera's key frames are all that is wanted of it now: each picture that is wanted takes longer than the next key frame. Pictures then come at key frames,
 * as new as ever when they come. Not where pictures are reordered: a decoder gives a key frame out only with what follows it. Pure; units in order of decoding.
 */
export class KeyframeRhythm {
  #keyframe: VideoUnit | null = null;
  /** Seconds between the last two key frames; null: unknown. */
  #interval: number | null = null;

  suffices(unit: VideoUnit, video: VideoTrack, { motion, rates }: Wanted): boolean {
    const before = this.#keyframe?.frame.epoch === unit.frame.epoch ? this.#keyframe : null;
    const since = before ? (unit.pts - before.pts) / video.clockRate : null;
    if (unit.randomAccess) {
      this.#interval = since;
      this.#keyframe = unit;
    }
    if (motion || video.reorderDepth > 0 || !this.#keyframe) return false;
    // A key frame that is overdue is not waited for.
    const interval = this.#interval === null ? Infinity : Math.max(this.#interval, unit.randomAccess ? 0 : since ?? Infinity);
    return rates.every((rate) => 1 / rate >= interval);
  }
}
