import type { AccessUnit } from '../../core/access-unit.ts';
import type { Clock } from '../../core/clock.ts';
import type { Tracks } from '../../core/track.ts';
import type { WatchedStream } from '../../ingest/port.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { VideoTimeline } from './detection-lanes.ts';
import { PliGate } from './pli-gate.ts';
import { TrackEgress } from './track-egress.ts';
import type { Viewer } from './viewer.ts';

const TICK_MS = 1_000;
/** A GOP larger than this is not sent to a joining viewer: a new key frame reaches it sooner. */
const MAX_BURST_BYTES = 8 << 20;
const BRANCH = 'webrtc';

export interface CameraEgressOptions {
  readonly stream: WatchedStream;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'forwardAdded' | 'branchDropped'>;
  /** 0..2^32−1, unpredictable: SSRCs and first sequence numbers. */
  readonly random: () => number;
}

/**
 * One camera towards all its WebRTC viewers (D-3): takes each access unit from the Hub, packetises it once, and sends the same packets to
 * everybody in one synchronous loop. Attached to the Hub only while there are viewers; with the last one all state goes.
 */
export class CameraEgress implements Disposable {
  readonly #options: CameraEgressOptions;
  readonly #pli: PliGate;
  #video: TrackEgress;
  #audio: TrackEgress;
  #viewers: readonly Viewer[] = [];
  #attachment: DisposableStack | null = null;
  #tracks: Tracks | null = null;
  #epoch: number | null = null;
  #offset = 0;
  /** A decoder cannot go on from the last epoch: the new one begins with a random access picture. */
  #awaitingRandomAccess = true;
  /** Sequence number of the first packet of the current GOP, and its bytes so far. */
  #gopStart: number | null = null;
  #gopBytes = 0;

  constructor(options: CameraEgressOptions) {
    this.#options = options;
    this.#pli = new PliGate(options.clock, () => { options.stream.requestKeyframe(); });
    this.#video = this.#newTrack('video');
    this.#audio = this.#newTrack('audio');
  }

  get video(): TrackEgress { return this.#video; }
  get audio(): TrackEgress { return this.#audio; }
  get viewers(): readonly Viewer[] { return this.#viewers; }

  /** Null before the first picture. */
  get timeline(): VideoTimeline | null {
    return this.#epoch === null ? null : { epoch: this.#epoch, offset: this.#offset };
  }

  /** Where a joining viewer begins in the video history; null: wait for a key frame. */
  gopStart(): number | null {
    const start = this.#gopStart;
    return start !== null && start >= this.#video.history.first && this.#gopBytes <= MAX_BURST_BYTES ? start : null;
  }

  requestKeyframe(): void {
    this.#pli.request();
  }

  add(viewer: Viewer): void {
    this.#viewers = [...this.#viewers, viewer];
    if (!this.#attachment) this.#attach();
  }

  remove(viewer: Viewer): void {
    if (!this.#viewers.includes(viewer)) return;
    this.#viewers = this.#viewers.filter((v) => v !== viewer);
    if (this.#viewers.length === 0) this.#detach();
  }

  /** Closes every viewer. */
  [Symbol.dispose](): void {
    for (const viewer of this.#viewers) viewer.close('camera removed');
    this.#detach();
    this.#pli[Symbol.dispose]();
  }

  #attach(): void {
    const { stream, clock } = this.#options;
    const stack = new DisposableStack();
    stack.use(stream.hub.attach((unit) => { this.#onUnit(unit); }));
    stack.use(clock.every(TICK_MS, () => { this.#tick(); }));
    this.#attachment = stack;
    // The cached GOP becomes the beginning of the history. Audio of the past would only have to be skipped by the player.
    for (const unit of stream.hub.gop()) if (unit.kind === 'video' && this.#viewers.length > 0) this.#packetizeVideo(unit);
  }

  #detach(): void {
    if (!this.#attachment) return;
    this.#attachment.dispose();
    this.#attachment = null;
    this.#pli.satisfied();
    this.#video = this.#newTrack('video', this.#video);
    this.#audio = this.#newTrack('audio', this.#audio);
    this.#tracks = null;
    this.#epoch = null;
    this.#offset = 0;
    this.#awaitingRandomAccess = true;
    this.#gopStart = null;
    this.#gopBytes = 0;
  }

  /** The SSRCs stay: they are in answers already given. */
  #newTrack(kind: 'video' | 'audio', former?: TrackEgress): TrackEgress {
    const { random } = this.#options;
    return new TrackEgress({ kind, ssrc: former?.ssrc ?? ssrcFrom(random()), rtxSsrc: former?.rtxSsrc ?? ssrcFrom(random()), firstSequence: random() & 0x7fff });
  }

  #onUnit(unit: AccessUnit): void {
    const egress = unit.kind === 'video' ? this.#packetizeVideo(unit) : this.#packetizeAudio(unit);
    if (!egress) return;
    const { clock, metrics } = this.#options;
    let first = true;
    for (const viewer of this.#viewers) {
      viewer.deliver(egress, unit.randomAccess);
      if (first && unit.kind === 'video') metrics.forwardAdded.observe(Math.max(0, clock.monotonic() - unit.arrivedAt) / 1000);
      first = false;
    }
  }

  #packetizeVideo(unit: AccessUnit): TrackEgress | null {
    if (unit.tracks !== this.#tracks) this.#checkTracks(unit.tracks);
    const codec = unit.tracks.video?.codec;
    if (codec === undefined || !this.#attachment) return null; // the check may have closed the last viewer
    if (unit.frame.epoch !== this.#epoch && this.#epoch !== null) this.#awaitingRandomAccess = true;
    if (this.#awaitingRandomAccess && !unit.randomAccess) {
      this.#options.metrics.branchDropped.inc({ camera: this.#options.stream.camera, branch: BRANCH, reason: 'awaiting_random_access' });
      return null;
    }
    this.#awaitingRandomAccess = false;
    const egress = this.#video;
    if (unit.randomAccess) {
      this.#gopStart = egress.history.end;
      this.#gopBytes = 0;
      this.#pli.satisfied();
    }
    egress.packetize(unit, codec);
    this.#gopBytes += unit.byteLength;
    this.#follow(egress);
    return egress;
  }

  /** Tells the viewers when camera time and egress time have come to differ by another offset. */
  #follow(egress: TrackEgress): void {
    const { epoch, offset } = egress.timeline;
    if (epoch === null || (epoch === this.#epoch && offset === this.#offset)) return;
    this.#epoch = epoch;
    this.#offset = offset;
    for (const viewer of this.#viewers) viewer.announce({ epoch, offset });
  }

  #packetizeAudio(unit: AccessUnit): TrackEgress | null {
    if (unit.tracks.audio?.codec !== 'opus') return null;
    // Sound of a new epoch waits for its first picture, so that both timelines change over together.
    if (unit.tracks.video && unit.frame.epoch !== this.#epoch) return null;
    this.#audio.packetize(unit, 'opus');
    return this.#audio;
  }

  /** A publisher may come back with what these viewers cannot show: they are closed, ask again and are told (406). */
  #checkTracks(tracks: Tracks): void {
    this.#tracks = tracks;
    const { video } = tracks;
    if (!video) return;
    for (const viewer of this.#viewers) {
      if (video.reorderDepth > 0) viewer.close('the camera began to send B-frames');
      else if (viewer.videoCodec !== null && viewer.videoCodec !== video.codec) viewer.close('the camera changed its codec');
    }
  }

  #tick(): void {
    const { clock, stream } = this.#options;
    for (const viewer of this.#viewers) viewer.tick(clock.monotonic(), clock.now(), stream.camera);
  }
}

/** 0 is not used: it stands for "none" in places. */
const ssrcFrom = (random: number): number => random >>> 0 || 1;
