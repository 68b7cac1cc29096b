import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { PeerState, WebRtcPeer } from '../../transport/webrtc/port.ts';
import type { CameraEgress } from './camera-egress.ts';
import { DETECTIONS_LABEL, DetectionLanes } from './detection-lanes.ts';
import type { VideoTimeline } from './detection-lanes.ts';
import type { TrackEgress } from './track-egress.ts';
import { ViewerFeedback } from './viewer-feedback.ts';
import type { ViewerTrack } from './viewer-track.ts';

/** ICE and DTLS must be through by then. */
const CONNECT_DEADLINE_MS = 15_000;
/** A viewer who is sent media and answers nothing for so long is gone, whatever ICE says (a killed browser is noticed by it after 24–30 s only). */
const RTCP_TIMEOUT_MS = 10_000;
/** The first GOP goes out in steps of at most this much, so that a large one neither overflows the socket nor holds up other cameras. */
const CATCH_UP_BYTES = 512 << 10;
const CATCH_UP_INTERVAL_MS = 5;
/** A browser that asks for a picture so soon has lost the beginning. */
const BEGINNING_MS = 2_000;

export interface ViewerOptions {
  readonly id: string;
  readonly peer: WebRtcPeer;
  readonly tracks: readonly ViewerTrack[];
  readonly egress: CameraEgress;
  readonly clock: Clock;
  readonly dataChannels: boolean;
  readonly onSkippedDetections: () => void;
  readonly onClosed: (viewer: Viewer, reason: string) => void;
}

/**
 * What video it gets next: `waiting` nothing before a random access picture · `catching-up` packets of the history from `next` on,
 * until it has reached the present · `live` every batch as it comes.
 */
type VideoState =
  | { readonly phase: 'waiting' }
  | { readonly phase: 'catching-up'; readonly next: number; readonly timer: Disposable }
  | { readonly phase: 'live' };

/** One WHEP viewer: from the accepted offer until it leaves. */
export class Viewer {
  readonly id: string;
  readonly lanes: DetectionLanes;
  readonly feedback: ViewerFeedback;
  readonly #options: ViewerOptions;
  readonly #video: ViewerTrack | null;
  readonly #audio: ViewerTrack | null;
  readonly #deadline: Disposable;
  #state: VideoState = { phase: 'waiting' };
  #started = false;
  #closed = false;
  #startedAt: Milliseconds = 0;
  #lastSentAt: Milliseconds = 0;
  #repeated = false;
  #repeating: Disposable | undefined;

  constructor(options: ViewerOptions) {
    const { tracks, egress, clock } = options;
    this.id = options.id;
    this.#options = options;
    this.#video = tracks.find((track) => track.kind === 'video') ?? null;
    this.#audio = tracks.find((track) => track.kind === 'audio') ?? null;
    this.feedback = new ViewerFeedback(() => egress.video.ssrc, {
      retransmit: (ssrc, lost) => { this.#retransmit(ssrc, lost); },
      requestKeyframe: () => { this.#onKeyframeRequest(); },
    });
    this.lanes = new DetectionLanes(() => egress.timeline, options.onSkippedDetections);
    this.#deadline = clock.after(CONNECT_DEADLINE_MS, () => { if (!this.#started) this.close('not connected in time'); });
  }

  /** Listens to its peer, and starts at once if that is already connected. */
  begin(): void {
    const { peer } = this.#options;
    peer.onState((state) => { this.#onPeerState(state); });
    this.#listen();
    this.#onPeerState(peer.state);
  }

  /** Codec of its video track, null without one. */
  get videoCodec(): 'h264' | 'vp8' | 'opus' | null {
    return this.#video?.codec.codec ?? null;
  }

  get tracks(): readonly ViewerTrack[] {
    return this.#options.tracks;
  }

  /** Packets of one access unit, shared with the other viewers; `firstSequence` is that of the first. */
  deliver(egress: TrackEgress, randomAccess: boolean): void {
    const { batch, history } = egress;
    const track = egress.kind === 'video' ? this.#video : this.#audio;
    if (this.#closed || !track?.isOpen || batch.length === 0) return;
    if (egress.kind === 'video') {
      if (this.#state.phase === 'catching-up') return; // it will find these packets in the history
      if (this.#state.phase === 'waiting') {
        if (!randomAccess) return;
        this.#state = { phase: 'live' };
      }
    }
    track.send(batch, history.end - batch.length);
    this.#lastSentAt = this.#options.clock.monotonic();
  }

  /** Every second: sender reports out, and out with who is silent. */
  tick(now: Milliseconds, wall: Milliseconds, cname: string): void {
    const { egress } = this.#options;
    this.#video?.report(egress.video, wall, cname);
    this.#audio?.report(egress.audio, wall, cname);
    const heard = Math.max(this.feedback.lastRtcpAt ?? 0, this.#startedAt);
    if (now - heard > RTCP_TIMEOUT_MS && now - this.#lastSentAt < RTCP_TIMEOUT_MS / 2) this.close('no RTCP for 10 s');
  }

  announce(timeline: VideoTimeline): void {
    this.lanes.announce(timeline);
  }

  addRemoteCandidate(candidate: string, mid: string): void {
    this.#options.peer.addRemoteCandidate(candidate, mid);
  }

  /** Idempotent. */
  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deadline[Symbol.dispose]();
    this.#stopCatchingUp();
    this.#repeating?.[Symbol.dispose]();
    this.#options.egress.remove(this);
    this.#options.peer[Symbol.dispose]();
    this.#options.onClosed(this, reason);
  }

  #listen(): void {
    const { peer, clock, dataChannels } = this.#options;
    for (const track of peer.tracks) {
      track.onRtcp((bytes) => { if (!this.#closed) this.feedback.receive(bytes, clock.monotonic(), clock.now()); });
      track.onOpen(() => { this.#start(); });
      if (track.isOpen) this.#start();
    }
    if (!dataChannels) return;
    this.lanes.add(peer.createDataLane(DETECTIONS_LABEL), false);
    peer.onDataLane((lane) => { if (lane.label === DETECTIONS_LABEL) this.lanes.add(lane, true); });
  }

  #onPeerState(state: PeerState): void {
    if (state === 'failed' || state === 'closed') this.close(`connection ${state}`);
  }

  /** The first track is open: the picture of now, at once. */
  #start(): void {
    const { egress, clock } = this.#options;
    if (this.#closed) return;
    if (!this.#started) {
      this.#started = true;
      this.#startedAt = clock.monotonic();
      egress.add(this);
    }
    if (!this.#video?.isOpen || this.#state.phase !== 'waiting') return;
    const start = egress.gopStart();
    if (start === null) egress.requestKeyframe();
    else this.#catchUp(start);
  }

  /** Sends the next step of the history; goes live once there is no more. */
  #catchUp(from: number): void {
    const { egress, clock } = this.#options;
    const { history } = egress.video;
    if (this.#closed || !this.#video) return;
    if (from < history.first) { // overtaken by a stream faster than we may send
      this.#state = { phase: 'waiting' };
      egress.requestKeyframe();
      return;
    }
    const packets: Buffer[] = [];
    let bytes = 0;
    let next = from;
    for (; next < history.end && bytes < CATCH_UP_BYTES; next++) {
      const packet = history.get(next);
      if (!packet) break;
      packets.push(packet);
      bytes += packet.length;
    }
    this.#video.send(packets, from);
    this.#lastSentAt = clock.monotonic();
    this.#state = next === history.end ? { phase: 'live' } : { phase: 'catching-up', next, timer: clock.after(CATCH_UP_INTERVAL_MS, () => { this.#catchUp(next); }) };
  }

  #stopCatchingUp(): void {
    if (this.#state.phase === 'catching-up') this.#state.timer[Symbol.dispose]();
    this.#state = { phase: 'waiting' };
  }

  /**
   * The camera is asked, unless this is the viewer's first request and comes at once: a browser drops what reaches it before its receivers are set up, and asks
   * for none of it again but for a picture. The beginning is here, and sent once more; else it would see nothing before the next key frame.
   */
  #onKeyframeRequest(): void {
    if (!this.#started || this.#closed) return;
    const { egress, clock } = this.#options;
    // Who has asked for single packets has received the beginning.
    const lost = !this.#repeated && this.feedback.stats.nacks === 0 && clock.monotonic() - this.#startedAt <= BEGINNING_MS && this.#state.phase !== 'waiting';
    const start = lost ? egress.gopStart() : null;
    this.#repeated = true;
    if (start === null) egress.requestKeyframe();
    else this.#repeat(start, this.#state.phase === 'catching-up' ? this.#state.next : egress.video.history.end);
  }

  /** In steps, too. */
  #repeat(from: number, end: number): void {
    const { egress, clock } = this.#options;
    const next = this.#video?.repeat(from, end, CATCH_UP_BYTES, egress.video) ?? end;
    this.#repeating = next < end ? clock.after(CATCH_UP_INTERVAL_MS, () => { this.#repeat(next, end); }) : undefined;
  }

  #retransmit(ssrc: number, lost: readonly number[]): void {
    const { egress, clock } = this.#options;
    if (ssrc === egress.video.ssrc) this.#video?.retransmit(lost, egress.video, clock.monotonic());
    else if (ssrc === egress.audio.ssrc) this.#audio?.retransmit(lost, egress.audio, clock.monotonic());
  }
}
