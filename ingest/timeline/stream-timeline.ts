import type { AccessUnit } from '../../core/access-unit.ts';
import type { Clock } from '../../core/clock.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { DepacketizedUnit } from '../../core/rtp/port.ts';
import type { AudioTrack, Tracks } from '../../core/track.ts';
import type { MediaTicks, Milliseconds, RtpTimestamp } from '../../core/units.ts';
import { DecodeTimes } from './decode-times.ts';
import { audioSkew, SenderReportClock } from './sender-reports.ts';
import { TrackClock } from './track-clock.ts';
import { firstSlice, VideoFormat } from './video-format.ts';
import type { ParameterSets } from './video-format.ts';
import { WallMapping } from './wall-mapping.ts';

const VIDEO_RATE = 90_000;
/** Audio out of step by less than this is not noticed; more is corrected in one step. */
const SYNC_TOLERANCE_MS = 40;

export interface StreamTimelineOptions {
  readonly camera: CameraId;
  /** `Publication.epoch`. */
  readonly epoch: number;
  /** `Publication.nextSeq`. */
  readonly nextSeq: () => number;
  /** `Publication.publish`. */
  readonly publish: (unit: AccessUnit) => void;
  readonly video: 'h264' | 'vp8' | null;
  /** H.264: sets of the SDP (`sprop-parameter-sets`), valid until others come in-band. */
  readonly parameterSets?: ParameterSets;
  readonly audio: AudioTrack | null;
  readonly clock: Clock;
}

/** Units not published, by reason. */
export interface TimelineDrops {
  /** Video before the first random access picture with parameter sets, and audio before the first video. */
  awaitingRandomAccess: number;
  /** Parameter sets or other NAL units that came without a picture; their content is noted. */
  noPicture: number;
  /** Audio that would have been presented before audio already published (after a correction). */
  audioOutOfOrder: number;
}

/**
 * Depacketised units of one publisher's video and audio → access units on the one timeline of its epoch. Pure but for the injected
 * clock: used by RTSP and WHIP alike.
 *
 * - Nothing is published before the first random access picture whose parameter sets are known.
 * - `pts` counts from the epoch. Video is anchored by arrival; audio by the sender reports of both tracks, else by arrival. A report
 *   that shows audio more than 40 ms out of step moves it once, in one step; audio that would go back is dropped.
 * - `dts` of reordered pictures: see `DecodeTimes`; jumps of a camera's clock: see `TrackClock`; `wall`: see `WallMapping`.
 */
export class StreamTimeline {
  readonly drops: TimelineDrops = { awaitingRandomAccess: 0, noPicture: 0, audioOutOfOrder: 0 };
  readonly #options: StreamTimelineOptions;
  readonly #format: VideoFormat | null;
  readonly #videoClock = new TrackClock({ clockRate: VIDEO_RATE });
  readonly #audioClock: TrackClock;
  readonly #videoReports = new SenderReportClock();
  readonly #audioReports = new SenderReportClock();
  readonly #decodeTimes = new DecodeTimes();
  readonly #wall = new WallMapping();
  /** `Clock.monotonic()` at the epoch. */
  readonly #origin: Milliseconds;
  #tracks: Tracks;
  #seq = 0;
  #videoJumps = 0;
  #audioJumps = 0;
  #lastAudio: MediaTicks = -1;

  constructor(options: StreamTimelineOptions) {
    this.#options = options;
    this.#format = options.video === null ? null : new VideoFormat(options.video, options.parameterSets);
    this.#audioClock = new TrackClock({ clockRate: options.audio?.clockRate ?? 48_000 });
    // The epoch may lie ahead of a host clock that was set back: time then counts from now, and never from the future.
    this.#origin = options.clock.monotonic() - Math.min(60_000, Math.max(0, options.clock.now() - options.epoch));
    this.#tracks = { video: null, audio: options.audio };
  }

  /** The tracks as of the latest unit; `video` is null until its first picture was published. */
  get tracks(): Tracks {
    return this.#tracks;
  }

  /** One video unit in decode order. `arrivedAt`: `Clock.monotonic()` of its last packet. */
  video(unit: DepacketizedUnit, arrivedAt: Milliseconds): void {
    const format = this.#format;
    if (format === null) return;
    if (this.#options.video === 'h264' && firstSlice(unit.data) < 0) {
      format.observe({ ...unit, randomAccess: false });
      this.drops.noPicture++;
      return;
    }
    const changed = format.observe(unit);
    const track = format.track;
    if (track === null) {
      this.drops.awaitingRandomAccess++;
      return;
    }
    if (changed) this.#tracks = { video: track, audio: this.#options.audio };

    const clock = this.#videoClock;
    const first = !clock.anchored;
    clock.reorderDepth = track.reorderDepth;
    let pts = Math.max(0, clock.locate(unit.timestamp, arrivedAt - this.#origin));
    if (first) this.#videoReports.anchored(this.#placeVideo);
    if (first || changed || clock.jumps !== this.#videoJumps) this.#decodeTimes.restart(track.reorderDepth);
    if (clock.jumps !== this.#videoJumps) {
      this.#videoJumps = clock.jumps;
      this.#forgetReports();
    }
    const dts = this.#decodeTimes.next(pts);
    if (pts < dts) pts = dts;

    const mediaMs = (pts * 1000) / VIDEO_RATE;
    this.#observeWall(mediaMs, arrivedAt, unit.randomAccess);
    this.#seq = this.#options.nextSeq();
    this.#publish('video', unit, pts, dts, mediaMs, arrivedAt, this.#videoReports.captureAt(mediaMs));
  }

  /** One audio unit. */
  audio(unit: DepacketizedUnit, arrivedAt: Milliseconds): void {
    const track = this.#options.audio;
    if (track === null) return;
    if (this.#format !== null && this.#format.track === null) {
      this.drops.awaitingRandomAccess++;
      return;
    }
    const clock = this.#audioClock;
    const first = !clock.anchored;
    let pts = clock.locate(unit.timestamp, arrivedAt - this.#origin);
    if (first) {
      this.#audioReports.anchored(this.#placeAudio);
      pts = this.#synchronise(0) ?? pts; // nothing published yet: exactly
    }
    if (clock.jumps !== this.#audioJumps) {
      this.#audioJumps = clock.jumps;
      this.#forgetReports();
    }
    if (pts <= this.#lastAudio) {
      this.drops.audioOutOfOrder++;
      return;
    }
    this.#lastAudio = pts;
    const mediaMs = (pts * 1000) / track.clockRate;
    if (this.#format === null) {
      this.#observeWall(mediaMs, arrivedAt, true);
      this.#seq = this.#options.nextSeq(); // a stream without video counts its audio units
    }
    this.#publish('audio', unit, pts, pts, mediaMs, arrivedAt, this.#audioReports.captureAt(mediaMs));
  }

  /**
   * An RTCP sender report: `ntpUnixMs` is the device's wall clock at `timestamp` (RFC 3550 §6.4.1). The caller leaves out reports whose
   * NTP time is all zeroes, "no clock".
   */
  senderReport(kind: 'video' | 'audio', ntpUnixMs: Milliseconds, timestamp: RtpTimestamp): void {
    const now = this.#options.clock.now();
    if (kind === 'video') this.#videoReports.report(ntpUnixMs, timestamp, now, this.#placeVideo);
    else this.#audioReports.report(ntpUnixMs, timestamp, now, this.#placeAudio);
    if (this.#audioClock.anchored) this.#synchronise(SYNC_TOLERANCE_MS);
  }

  /** Moves audio into step with video if it is out by more than `toleranceMs`; returns the latest audio unit's new place if it did. */
  #synchronise(toleranceMs: Milliseconds): MediaTicks | null {
    const track = this.#options.audio;
    const skew = audioSkew(this.#videoReports, this.#audioReports);
    if (track === null || skew === null || Math.abs(skew) <= toleranceMs) return null;
    const ticks = Math.round((skew * track.clockRate) / 1000);
    this.#audioReports.shift((ticks * 1000) / track.clockRate);
    return this.#audioClock.shift(ticks);
  }

  /**
   * The clock of one track jumped, so what is known of the device's clock is void, of the other track too: that one may jump with its next unit,
   * and a report from before against one from after would move the sound by as much.
   */
  #forgetReports(): void {
    this.#videoReports.clear();
    this.#audioReports.clear();
  }

  #observeWall(mediaMs: Milliseconds, arrivedAt: Milliseconds, mayStep: boolean): void {
    const clock = this.#options.clock;
    this.#wall.observe(mediaMs, arrivedAt, clock.now() - clock.monotonic(), mayStep);
  }

  #publish(kind: 'video' | 'audio', unit: DepacketizedUnit, pts: MediaTicks, dts: MediaTicks, mediaMs: Milliseconds, arrivedAt: Milliseconds, captureNtp: Milliseconds | null): void {
    this.#options.publish({
      kind,
      frame: { stream: this.#options.camera, epoch: this.#options.epoch, rtpTs: unit.timestamp, captureNtp, seq: this.#seq },
      pts,
      dts,
      wall: this.#wall.at(mediaMs),
      arrivedAt,
      randomAccess: kind === 'audio' || unit.randomAccess,
      data: unit.data,
      byteLength: unit.data.length,
      tracks: this.#tracks,
    });
  }

  readonly #placeVideo = (timestamp: RtpTimestamp): Milliseconds | null => {
    const ticks = this.#videoClock.peek(timestamp);
    return ticks === null ? null : (ticks * 1000) / VIDEO_RATE;
  };

  readonly #placeAudio = (timestamp: RtpTimestamp): Milliseconds | null => {
    const ticks = this.#audioClock.peek(timestamp);
    return ticks === null ? null : (ticks * 1000) / (this.#options.audio?.clockRate ?? 48_000);
  };
}
