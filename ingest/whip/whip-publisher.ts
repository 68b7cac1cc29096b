import type { Clock } from '../../core/clock.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import { H264Depacketizer } from '../../core/rtp/h264-depacketizer.ts';
import { OpusDepacketizer } from '../../core/rtp/opus-depacketizer.ts';
import { isRtcp, parseRtpPacket } from '../../core/rtp/packet.ts';
import type { RtpPacket } from '../../core/rtp/port.ts';
import { parseRtcp } from '../../core/rtp/rtcp.ts';
import { unwrapRtx } from '../../core/rtp/rtx.ts';
import { Vp8Depacketizer } from '../../core/rtp/vp8-depacketizer.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { PeerState, WebRtcPeer } from '../../transport/webrtc/port.ts';
import type { CameraStream, Publication, PublisherDriver, TransportStats } from '../port.ts';
import { StreamTimeline } from '../timeline/stream-timeline.ts';
import { Feedback } from './feedback.ts';
import { KeyframeSchedule } from './keyframe-schedule.ts';
import type { PublishPlan } from './publish-negotiation.ts';
import { TrackReception } from './track-reception.ts';
import { VideoSources } from './video-sources.ts';

export interface WhipPublisherOptions {
  readonly stream: CameraStream;
  readonly plan: PublishPlan;
  readonly peer: WebRtcPeer;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Our SSRC in feedback. */
  readonly ssrc: number;
  readonly keyframeIntervalMs: Milliseconds;
  readonly jitterBufferMs: Milliseconds;
  /** Bits per second it may send; asked anew all the time. */
  readonly maxBitrateBps: () => number;
  /** What the answer says: it cannot be raised later, so it is the most that is ever allowed. */
  readonly answeredBitrateBps: number;
  /** Called once, when it is over, whoever ended it. */
  readonly onClosed: () => void;
}

const FEEDBACK_MS = 50;
const REPORT_MS = 1_000;
const SILENCE_MS = 5_000;
/** From one key frame request that goes unanswered to the log line about it. */
const OVERDUE_MS = 5_000;
/** Audio waits less: nothing is asked for again, and a late syllable is as good as none. */
const AUDIO_DELAY_MS = 60;
const CNAME = 'imageflow-edge';

/** One publisher's peer connection: its packets into the camera's stream, our feedback back to it. */
export class WhipPublisher implements PublisherDriver {
  readonly protocol = 'whip';
  readonly camera: CameraId;
  readonly plan: PublishPlan;
  readonly #options: WhipPublisherOptions;
  readonly #publication: Publication;
  readonly #timeline: StreamTimeline;
  readonly #feedback: Feedback;
  readonly #keyframes: KeyframeSchedule;
  readonly #sources: VideoSources;
  readonly #timers: Disposable[] = [];
  #video: TrackReception | null = null;
  #audio: TrackReception | null = null;
  #retry: Disposable | null = null;
  #lastPacketAt: Milliseconds;
  #packets = 0;
  #bytes = 0;
  /** Lost packets of sources replaced since. */
  #formerLost = 0;
  #formerDamaged = 0;
  #ignored = 0;
  #warned = false;
  /** It was told to send less than the answer allows. */
  #restrained = false;
  #closed = false;

  /** Takes the camera's stream over. Throws UNAVAILABLE (SESSION_LIMIT); the caller then disposes the peer. */
  constructor(options: WhipPublisherOptions) {
    this.#options = options;
    this.plan = options.plan;
    this.camera = options.stream.camera;
    const { clock, peer, plan } = options;
    this.#keyframes = new KeyframeSchedule(options.keyframeIntervalMs);
    this.#sources = new VideoSources(plan.video.layer);
    this.#feedback = new Feedback({ ssrc: options.ssrc, cname: CNAME, send: (packet) => peer.sendRtcp(packet) });
    this.#publication = options.stream.beginPublication(this);
    this.#timeline = new StreamTimeline({
      camera: this.camera,
      epoch: this.#publication.epoch,
      nextSeq: () => this.#publication.nextSeq(),
      publish: (unit) => {
        if (unit.kind === 'video' && unit.randomAccess) this.#keyframes.keyframe(clock.monotonic());
        this.#publication.publish(unit);
      },
      video: plan.video.codecName,
      audio: plan.audio?.track ?? null,
      clock,
    });
    this.#lastPacketAt = clock.monotonic();
    peer.onState((state) => { this.#onState(state); });
    peer.onPacket((packet) => { this.#onPacket(packet); });
    peer.onDataLane((lane) => { lane.onMessage(() => undefined); }); // telemetry is for a later issue; a refused channel would look like a failure
    this.#timers.push(clock.every(FEEDBACK_MS, () => { this.#tick(); }), clock.every(REPORT_MS, () => { this.#report(); }));
  }

  addRemoteCandidate(candidate: string, mid: string): void {
    this.#options.peer.addRemoteCandidate(candidate, mid);
  }

  stats(): TransportStats {
    return {
      bytes: this.#bytes,
      packets: this.#packets,
      lostPackets: this.#formerLost + (this.#video?.stats.lost ?? 0) + (this.#audio?.stats.lost ?? 0),
      jitterMs: this.#video?.stats.jitterMs ?? null,
      rttMs: null,
      nacksSent: this.#feedback.nacksSent,
      plisSent: this.#feedback.plisSent,
      refused: {
        malformed: this.#ignored,
        damaged: this.#formerDamaged + (this.#video?.droppedUnits ?? 0) + (this.#audio?.droppedUnits ?? 0),
        awaiting_random_access: this.#timeline.drops.awaitingRandomAccess,
        audio_out_of_order: this.#timeline.drops.audioOutOfOrder,
      },
    };
  }

  requestKeyframe(): void {
    this.#keyframes.request();
  }

  /** The stream was taken from us (another publisher, camera removed): close without a word to it. */
  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#retry?.[Symbol.dispose]();
    this.#options.peer[Symbol.dispose]();
    this.#options.logger.info({ camera: this.camera, reason, ...this.stats() }, 'whip publisher closed');
    this.#options.onClosed();
  }

  /** It is over for our own or the publisher's reasons: tells the stream, then closes. Idempotent. */
  end(how: 'lost' | 'left', reason: string): void {
    if (this.#closed) return;
    this.#publication.end(how, reason);
    this.close(reason);
  }

  #onState(state: PeerState): void {
    if (state === 'connected') this.#lastPacketAt = this.#options.clock.monotonic();
    if (state === 'failed') this.end('lost', 'connection failed');
    if (state === 'closed') this.end('lost', 'connection closed by the publisher');
  }

  #onPacket(bytes: Buffer): void {
    if (this.#closed) return;
    const now = this.#options.clock.monotonic();
    this.#lastPacketAt = now;
    if (isRtcp(bytes)) {
      this.#onRtcp(bytes, now);
      return;
    }
    const packet = parseRtpPacket(bytes);
    const { video, audio } = this.plan;
    this.#packets++;
    this.#bytes += bytes.length;
    if (packet?.payloadType === video.codec.payloadType) this.#onVideo(packet, now);
    else if (packet && packet.payloadType === video.codec.rtxPayloadType) this.#onRepair(packet, now);
    else if (packet && packet.payloadType === audio?.codec.payloadType) this.#onAudio(packet, now);
    else this.#ignored++;
  }

  #onVideo(packet: RtpPacket, now: Milliseconds): void {
    if (!this.#sources.accepts(packet, now)) {
      this.#ignored++;
      return;
    }
    if (this.#video?.ssrc !== packet.ssrc) this.#video = this.#startVideo(packet.ssrc, now);
    if (this.#video.receive(packet, now)) this.#feedback.arrived(packet, this.plan.video.transportSequenceId, now);
    this.#scheduleRetry(now);
  }

  #onRepair(packet: RtpPacket, now: Milliseconds): void {
    const video = this.#video;
    if (!video || !this.#sources.acceptsRepair(packet)) {
      this.#ignored++;
      return;
    }
    const original = unwrapRtx(packet, this.plan.video.codec.payloadType, video.ssrc);
    // Padding alone is a probe for bandwidth: it is used up by being acknowledged.
    if (!original || video.receive(original, now)) this.#feedback.arrived(packet, this.plan.video.transportSequenceId, now);
  }

  #onAudio(packet: RtpPacket, now: Milliseconds): void {
    const { audio } = this.plan;
    if (!audio) return;
    if (this.#audio?.ssrc !== packet.ssrc) {
      this.#formerLost += this.#audio?.stats.lost ?? 0;
      this.#formerDamaged += this.#audio?.droppedUnits ?? 0;
      this.#audio = new TrackReception({
        ssrc: packet.ssrc, clockRate: audio.track.clockRate, delayMs: Math.min(AUDIO_DELAY_MS, this.#options.jitterBufferMs), depacketizer: new OpusDepacketizer(),
        onUnit: (unit, arrivedAt) => { this.#timeline.audio(unit, arrivedAt); },
        onLoss: () => undefined, // every packet stands alone
      });
    }
    if (this.#audio.receive(packet, now)) this.#feedback.arrived(packet, audio.transportSequenceId, now);
  }

  #startVideo(ssrc: number, now: Milliseconds): TrackReception {
    this.#formerLost += this.#video?.stats.lost ?? 0;
    this.#formerDamaged += this.#video?.droppedUnits ?? 0;
    if (this.#video) this.#keyframes.request(); // a replaced track begins where it likes
    this.#keyframes.started(now);
    return new TrackReception({
      ssrc, clockRate: 90_000, delayMs: this.#options.jitterBufferMs,
      depacketizer: this.plan.video.codecName === 'h264' ? new H264Depacketizer() : new Vp8Depacketizer(),
      onUnit: (unit, arrivedAt) => { this.#timeline.video(unit, arrivedAt); },
      onLoss: () => { this.#keyframes.request(); }, // what follows refers to a picture we do not have
    });
  }

  #onRtcp(bytes: Buffer, now: Milliseconds): void {
    for (const packet of parseRtcp(bytes)) {
      if (packet.type === 'sr') {
        const kind = packet.ssrc === this.#video?.ssrc ? 'video' : packet.ssrc === this.#audio?.ssrc ? 'audio' : null;
        if (kind === null) continue;
        (kind === 'video' ? this.#video : this.#audio)?.senderReport(packet, now);
        if (packet.ntpMiddle !== 0) this.#timeline.senderReport(kind, packet.ntp, packet.rtpTs);
      } else if (packet.type === 'bye' && this.#video && packet.ssrcs.includes(this.#video.ssrc)) {
        this.end('lost', 'RTCP BYE');
        return;
      }
    }
  }

  /** While packets are missing, a timer asks for them again and gives them up in time. */
  #scheduleRetry(now: Milliseconds): void {
    if (this.#retry) return;
    const deadline = this.#video?.nextDeadline() ?? null;
    if (deadline === null) return;
    this.#retry = this.#options.clock.after(Math.max(1, deadline - now), () => {
      this.#retry = null;
      const video = this.#video;
      if (!video || this.#closed) return;
      const later = this.#options.clock.monotonic();
      video.flush(later);
      const missing = video.missing(later); // also without NACK: it moves the next deadline on
      if (this.plan.video.nack && missing.length > 0) this.#feedback.askAgain(video.ssrc, missing);
      this.#scheduleRetry(later);
    });
  }

  #tick(): void {
    const now = this.#options.clock.monotonic();
    this.#audio?.flush(now);
    this.#feedback.sendArrivals();
    const ssrc = this.#video?.ssrc;
    const due = ssrc === undefined ? null : this.#keyframes.due(now);
    if (ssrc !== undefined && due !== null) this.#feedback.askForKeyframe(ssrc, due === 'fir' && this.plan.video.fir ? 'fir' : 'pli');
    this.#warnOverdue(now);
    if (this.#options.peer.state === 'connected' && now - this.#lastPacketAt >= SILENCE_MS) this.end('lost', 'no packets for 5 s');
  }

  #report(): void {
    const now = this.#options.clock.monotonic();
    const blocks = [this.#video, this.#audio].flatMap((track) => (track ? [track.report(now)] : []));
    if (blocks.length > 0) this.#feedback.report(blocks);
    this.#allowBitrate();
  }

  /** For publishers that expect it, and for all once it is less than the answer allows, for good: libwebrtc heeds REMB beside transport-cc, too, and keeps the last one. */
  #allowBitrate(): void {
    const { maxBitrateBps, answeredBitrateBps } = this.#options;
    const bitrate = maxBitrateBps();
    if (bitrate < answeredBitrateBps) this.#restrained = true;
    if (this.#video && (this.plan.video.remb || this.#restrained)) this.#feedback.allowBitrate(this.#video.ssrc, bitrate);
  }

  #warnOverdue(now: Milliseconds): void {
    const since = this.#keyframes.unansweredSince;
    if (since === null) this.#warned = false;
    else if (!this.#warned && now - since >= OVERDUE_MS) {
      this.#warned = true;
      this.#options.logger.warn({ camera: this.camera, waited_ms: Math.round(now - since) }, 'whip publisher sends no key frame though asked');
    }
  }
}
