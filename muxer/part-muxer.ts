/**
 * Access units in, parts out: the cut rules of D-1. Pure: no clock, no timers, nobody else's state.
 *
 * A part closes when its pictures last `partMs`, before a picture that would make it longer than its target, when the next picture is a random access point (so that segments can cut there), at a new epoch or
 * new tracks, and at `flush`. Audio goes into the part in whose time it falls, or into the next if it came late. A stream without video is
 * cut by its audio in the same way.
 */
import type { AccessUnit } from '../core/access-unit.ts';
import { messageOf } from '../core/errors.ts';
import { canMux, codecsOf, writeInitSegment, AUDIO_TRACK_ID, VIDEO_TRACK_ID } from '../core/fmp4/init-segment.ts';
import { writePart } from '../core/fmp4/part-writer.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Tracks } from '../core/track.ts';
import type { Milliseconds } from '../core/units.ts';
import { PartTarget } from './part-target.ts';
import type { InitSegment, Part } from './port.ts';
import { SessionTimeline } from './session-timeline.ts';
import { TrackQueue } from './track-queue.ts';
import type { PendingSample } from './track-queue.ts';

export type MuxDropReason = 'awaiting_random_access' | 'no_track' | 'not_muxable';

export interface PartMuxerOptions {
  readonly camera: CameraId;
  readonly sessionId: string;
  readonly sessionStart: Milliseconds;
  /** `media.part_ms`. */
  readonly partMs: Milliseconds;
  readonly onDrop?: (reason: MuxDropReason, units: number) => void;
  /** Told once for each set of tracks that no MP4 can carry, and why. */
  readonly onUnmuxable?: (tracks: Tracks, why: string) => void;
}

/** Audio may run ahead of video (or of the first picture) by this much, then it goes out alone. */
const AUDIO_LEAD_MS = 1_000;
/** A device whose timestamps hardly move must not make a part that never ends. */
const MAX_SAMPLES = 500;
const MAX_BYTES = 16 << 20;

/** 30 pictures a second, for a picture that comes alone. */
const NOMINAL_VIDEO_TICKS = 3_000;
/** AAC: 1,024 samples; Opus: 20 ms at 48 kHz. */
const NOMINAL_AAC_TICKS = 1_024;
const NOMINAL_OPUS_TICKS = 960;

/** Where the last of these samples ends, in milliseconds; 0 for none. */
const endOf = (samples: readonly PendingSample[], queue: TrackQueue | null): Milliseconds => {
  const last = samples.at(-1);
  return last && queue ? ((last.dts + last.duration) * 1_000) / queue.clockRate : 0;
};

const NONE: readonly Part[] = [];
const NO_SAMPLES: readonly PendingSample[] = [];

export class PartMuxer {
  readonly #options: PartMuxerOptions;
  readonly #timeline: SessionTimeline;
  readonly #target: PartTarget;
  #tracks: Tracks | null = null;
  #init: InitSegment | null = null;
  #epoch: number | null = null;
  #video: TrackQueue | null = null;
  #audio: TrackQueue | null = null;
  /** The random access picture of this epoch has come (or there is no video). */
  #started = false;
  #discontinuity = true;
  #sequence = 0;
  /** Until where parts' lengths add up, on the timeline. */
  #covered: Milliseconds = 0;

  constructor(options: PartMuxerOptions) {
    this.#options = options;
    this.#timeline = new SessionTimeline(options.sessionStart);
    this.#target = new PartTarget(options.partMs);
  }

  /** Takes the next unit of the session in arrival order; returns the parts it completes. */
  push(unit: AccessUnit): readonly Part[] {
    const turned = unit.frame.epoch !== this.#epoch || unit.tracks !== this.#tracks ? this.#turn(unit) : NONE;
    if (!this.#init) {
      this.#options.onDrop?.('not_muxable', 1);
      return turned;
    }
    const made = unit.kind === 'video' ? this.#pushVideo(unit) : this.#pushAudio(unit);
    return turned.length === 0 ? made : [...turned, ...made];
  }

  /** The publisher is lost or the session over: everything pending becomes parts. A last sample lasts as long as the one before it. */
  flush(): readonly Part[] {
    return this.#flush(false);
  }

  #flush(beforeRandomAccess: boolean): readonly Part[] {
    if (!this.#started) {
      this.#forgetWaitingAudio(Infinity);
      return NONE;
    }
    this.#video?.close();
    this.#audio?.close();
    const overlong = this.#cutOverlong();
    const parts: Part[] = overlong ? [overlong] : [];
    for (let part = this.#cut(Infinity, beforeRandomAccess); part; part = this.#cut(Infinity, beforeRandomAccess)) parts.push(part);
    return parts;
  }

  /** A new epoch or new tracks: a part never spans them. */
  #turn(unit: AccessUnit): readonly Part[] {
    const sameEpoch = unit.frame.epoch === this.#epoch;
    const track = unit.kind === 'video' ? unit.tracks.video : unit.tracks.audio;
    if (sameEpoch && track) {
      // The same timeline goes on, so the held sample's true duration is known.
      const queue = unit.kind === 'video' ? this.#video : this.#audio;
      if (queue?.clockRate === track.clockRate) queue.follow(this.#timeline.place(unit.dts, track.clockRate));
    }
    const parts = this.#flush(true);
    const clockRate = track?.clockRate ?? 1_000;
    if (!sameEpoch) this.#timeline.beginEpoch(unit.frame.epoch, (unit.dts * 1_000) / clockRate);
    this.#epoch = unit.frame.epoch;
    if (unit.tracks !== this.#tracks) this.#init = this.#initOf(unit.tracks);
    const { video, audio } = unit.tracks;
    // Within an epoch pictures go on: audio that joins in the middle of a GOP must not cost the rest of it.
    this.#started = video === null || (sameEpoch && this.#started && this.#tracks?.video != null);
    this.#tracks = unit.tracks;
    const keep = (queue: TrackQueue | null, rate: number) => (sameEpoch && queue?.clockRate === rate ? queue : null);
    this.#video = video && (keep(this.#video, video.clockRate) ?? new TrackQueue(video.clockRate, NOMINAL_VIDEO_TICKS));
    this.#audio = audio && (keep(this.#audio, audio.clockRate) ?? new TrackQueue(audio.clockRate, audio.codec === 'aac' ? NOMINAL_AAC_TICKS : NOMINAL_OPUS_TICKS));
    this.#discontinuity = true;
    return parts;
  }

  #initOf(tracks: Tracks): InitSegment | null {
    const codecs = codecsOf(tracks);
    if (!canMux(tracks)) {
      this.#options.onUnmuxable?.(tracks, `an MP4 cannot carry ${codecs}`);
      return null;
    }
    try {
      return { bytes: writeInitSegment(tracks), tracks, codecs };
    } catch (error) {
      // Parameters that a camera made up and a depacketiser let through: its stream goes on, it only has no parts.
      this.#options.onUnmuxable?.(tracks, messageOf(error));
      return null;
    }
  }

  #pushVideo(unit: AccessUnit): readonly Part[] {
    const queue = this.#video;
    if (!queue) return this.#dropped('no_track');
    if (!this.#started && !unit.randomAccess) return this.#dropped('awaiting_random_access');
    this.#started = true;
    const dts = queue.follow(this.#timeline.place(unit.dts, queue.clockRate));
    const overlong = this.#cutOverlong();
    const full = queue.span >= this.#target.closesMs || queue.length >= MAX_SAMPLES || queue.bytes >= MAX_BYTES;
    const part = full || unit.randomAccess || queue.hasHole ? this.#cut((dts * 1_000) / queue.clockRate, unit.randomAccess) : null;
    queue.push(unit, dts, this.#timeline.place(unit.pts, queue.clockRate));
    if (overlong) return part ? [overlong, part] : [overlong];
    return part ? [part] : NONE;
  }

  #pushAudio(unit: AccessUnit): readonly Part[] {
    const queue = this.#audio;
    if (!queue) return this.#dropped('no_track');
    const dts = queue.follow(this.#timeline.place(unit.dts, queue.clockRate));
    const at = (dts * 1_000) / queue.clockRate;
    let parts = NONE;
    if (!this.#started) {
      this.#forgetWaitingAudio(at - AUDIO_LEAD_MS); // the last second is kept, so that sound begins with the first picture
    } else if (queue.start !== undefined) {
      const limit = this.#video ? AUDIO_LEAD_MS : this.#target.closesMs;
      const span = at - queue.start;
      if (span >= limit || queue.length >= MAX_SAMPLES || (!this.#video && queue.hasHole)) parts = this.#cutSound(queue, at);
    }
    queue.push(unit, dts, this.#timeline.place(unit.pts, queue.clockRate));
    return parts;
  }

  /** Makes a part of all pictures but the newest, which would take it over the target. Null when they fit, or when the newest stands alone. */
  #cutOverlong(): Part | null {
    const queue = this.#video;
    if (!queue || queue.length < 2 || queue.span < this.#target.closesMs) return null;
    const target = this.#target.ms ?? this.#target.begin(queue.steps());
    const { newest } = queue;
    return newest === undefined || queue.span <= target ? null : this.#cut(newest, false, newest);
  }

  /** Makes parts of the sound before `at`, where there are no pictures or none came for so long that it goes alone; complete pictures go with it. */
  #cutSound(queue: TrackQueue, at: Milliseconds): readonly Part[] {
    const parts: Part[] = [];
    const video = this.#video;
    const add = (part: Part | null): boolean => part !== null && parts.push(part) > 0;
    if (video) {
      if (video.newest !== undefined && video.length > 1) add(this.#cut(video.newest, false));
      const target = this.#target.ms ?? this.#target.begin(queue.steps());
      const step = at - (queue.newest ?? at);
      while (queue.start !== undefined && at - queue.start > target && add(this.#cut(queue.start + Math.max(1, target - step), false)));
    }
    add(this.#cut(at, !video));
    return parts;
  }

  /** Audio that waits for a first picture goes with it or not at all: drops what begins before `until`. */
  #forgetWaitingAudio(until: Milliseconds): void {
    const queue = this.#audio;
    while (queue?.start !== undefined && queue.start < until) {
      queue.drop();
      this.#options.onDrop?.('awaiting_random_access', 1);
    }
  }

  #dropped(reason: MuxDropReason): readonly Part[] {
    this.#options.onDrop?.(reason, 1);
    return NONE;
  }

  /**
   * Makes a part of what is complete: the pictures that begin before `untilPicture`, and the sound that begins before `until`. Null when there is
   * nothing.
   */
  #cut(until: Milliseconds, beforeRandomAccess: boolean, untilPicture = Infinity): Part | null {
    const video = this.#video?.take(untilPicture) ?? NO_SAMPLES;
    const audio = this.#audio?.take(until) ?? NO_SAMPLES;
    const leading = video.length > 0 ? video : audio;
    const first = leading[0];
    const last = leading.at(-1);
    const queue = video.length > 0 ? this.#video : this.#audio;
    const init = this.#init;
    if (!first || !last || !queue || !init || this.#epoch === null) return null;

    const tracks = [];
    if (video[0]) tracks.push({ trackId: VIDEO_TRACK_ID, baseDecodeTime: video[0].dts, samples: video });
    if (audio[0]) tracks.push({ trackId: AUDIO_TRACK_ID, baseDecodeTime: audio[0].dts, samples: audio });
    this.#timeline.reached(endOf(video, this.#video));
    this.#timeline.reached(endOf(audio, this.#audio));
    const reference = { trackId: video.length > 0 ? VIDEO_TRACK_ID : AUDIO_TRACK_ID, wall: first.wall, mediaTime: Math.max(0, first.pts) };
    const chunks = writePart({ sequence: ++this.#sequence, reference, tracks });
    let byteLength = 0;
    for (const chunk of chunks) byteLength += chunk.length;

    const discontinuity = this.#discontinuity;
    this.#discontinuity = false;
    const randomAccess = this.#video ? (video[0]?.randomAccess ?? false) : true;
    const duration = this.#advance(first, last, queue.clockRate);
    const steps = (): Milliseconds[] => leading.map((sample) => (sample.duration * 1_000) / queue.clockRate);
    const targetMs = this.#target.follow({ duration, randomAccess, beforeRandomAccess }, steps);
    const { camera, sessionId, sessionStart } = this.#options;
    return {
      camera, init, sessionId, sessionStart, epoch: this.#epoch, sequence: this.#sequence,
      discontinuity, beforeRandomAccess, chunks, byteLength, randomAccess, duration, targetMs,
      wall: first.wall,
      samples: audio.length === 0 ? video : [...video, ...audio],
    };
  }

  /** The part's length: of its pictures (or sound), less what a part of sound alone has covered before. */
  #advance(first: PendingSample, last: PendingSample, clockRate: number): Milliseconds {
    const start = (first.dts * 1_000) / clockRate;
    const end = ((last.dts + last.duration) * 1_000) / clockRate;
    const covered = this.#covered;
    this.#covered = Math.max(covered, end);
    return start >= covered ? ((last.dts + last.duration - first.dts) * 1_000) / clockRate : Math.max(1, end - covered);
  }
}
