import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import { writeReceiverReport, writeSdesCname } from '../../core/rtp/rtcp-writer.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import { interleavedTransport } from '../../transport/rtsp/transport-header.ts';
import type { TransportSpec } from '../../transport/rtsp/transport-header.ts';
import type { CameraStream, Publication, PublisherDriver, TransportStats } from '../port.ts';
import { StreamTimeline } from '../timeline/stream-timeline.ts';
import { createVideoDepacketizer, readAnnouncement } from './announced-tracks.ts';
import type { AnnouncedSection, AudioSection, VideoSection } from './announced-tracks.ts';
import { INITIAL, stepPublish } from './session-state.ts';
import type { PublishEvent, PublishState } from './session-state.ts';
import { TrackReceiver } from './track-receiver.ts';

const REPORT_INTERVAL_MS = 5_000;
const CNAME = 'imageflow-edge';
const NO_UNITS: TransportStats = { bytes: 0, packets: 0, lostPackets: 0, jitterMs: null, rttMs: null, nacksSent: 0, plisSent: 0 };

export interface RtspPublisherOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Our SSRC in receiver reports. */
  readonly ssrc: number;
  /** Sends one interleaved frame. */
  readonly send: (channel: number, bytes: Buffer) => void;
  /** Closes the connection. */
  readonly close: (reason: string) => void;
}

/** A channel of the connection, by number: RTP or RTCP of a taken section, or of one that is not listened to. */
interface Lane {
  readonly receiver: TrackReceiver | null;
  readonly isRtcp: boolean;
  readonly rtcpChannel: number;
}

/**
 * One publishing session on one connection: ANNOUNCE, SETUP, RECORD, then interleaved media into the camera's stream.
 * What is valid when is decided by `session-state.ts`; this class performs it.
 */
export class RtspPublisher implements PublisherDriver {
  readonly protocol = 'rtsp';
  readonly camera: CameraId;
  readonly #options: RtspPublisherOptions;
  readonly #stream: CameraStream;
  readonly #sections: readonly AnnouncedSection[];
  readonly #lanes: (Lane | undefined)[] = [];
  readonly #receivers: TrackReceiver[] = [];
  #state: PublishState;
  #publication: Publication | null = null;
  #timeline: StreamTimeline | null = null;
  #lastReport: Milliseconds = 0;

  /** ANNOUNCE. Throws INVALID_ARGUMENT or UNSUPPORTED_MEDIA_TYPE for what the description offers. */
  constructor(stream: CameraStream, sdp: string, options: RtspPublisherOptions) {
    this.#options = options;
    this.#stream = stream;
    this.camera = stream.camera;
    this.#sections = readAnnouncement(sdp);
    this.#state = stepPublish(INITIAL, { type: 'announce', tracks: this.#sections.length }).state;
    for (const section of this.#sections) {
      if (section.kind === 'ignored') options.logger.info({ camera: this.camera, encoding: section.encoding }, 'rtsp track ignored');
    }
  }

  get isRecording(): boolean {
    return this.#publication !== null;
  }

  /** The index of the section a SETUP names: null for the whole presentation, undefined for none of ours. */
  sectionOf(control: string, uri: string): number | null | undefined {
    const index = this.#sections.findIndex(({ control: own }) => own !== null && own !== '' && own !== '*' && (own === control || own === uri || own.endsWith(`/${control}`)) && control !== '');
    if (index >= 0) return index;
    if (control !== '') return undefined;
    return this.#sections.length === 1 ? 0 : null;
  }

  /** SETUP: 200 and the Transport header, or the status that refuses. */
  setup(track: number | null, offers: readonly TransportSpec[]): { readonly status: number; readonly transport?: string } {
    const offer = offers.find((spec) => spec.tcp && !spec.multicast);
    if (!offer) return { status: 461 }; // UDP is not offered: clients try TCP next
    const { state, status } = stepPublish(this.#state, { type: 'setup', track });
    const section = track === null ? undefined : this.#sections[track];
    if (status !== 200 || !section) return { status: status === 200 ? 459 : status };
    const channels = this.#channels(offer.interleaved);
    if (!channels) return { status: 400 };
    this.#state = state;
    const receiver = section.kind === 'ignored' ? null : createReceiver(section);
    if (receiver) this.#receivers.push(receiver);
    this.#lanes[channels[0]] = { receiver, isRtcp: false, rtcpChannel: channels[1] };
    this.#lanes[channels[1]] = { receiver, isRtcp: true, rtcpChannel: channels[1] };
    return { status: 200, transport: interleavedTransport(channels, 'record') };
  }

  /** RECORD: begins the publication. Throws UNAVAILABLE (SESSION_LIMIT). */
  record(track: number | null): number {
    const { state, status } = this.#step({ type: 'record', track });
    if (status !== 200 || this.#publication) return status;
    const video = this.#taken('video');
    const audio = this.#taken('audio');
    if (!video && !audio) throw new MediaError('UNSUPPORTED_MEDIA_TYPE', 'no track that can be taken was set up');
    const { clock } = this.#options;
    const publication = this.#stream.beginPublication(this);
    this.#state = state;
    this.#publication = publication;
    this.#timeline = new StreamTimeline({
      camera: this.camera,
      epoch: publication.epoch,
      nextSeq: () => publication.nextSeq(),
      publish: (unit) => { publication.publish(unit); },
      video: video ? 'h264' : null,
      ...(video?.parameterSets ? { parameterSets: video.parameterSets } : {}),
      audio: audio?.track ?? null,
      clock,
    });
    this.#lastReport = clock.monotonic();
    return 200;
  }

  /** TEARDOWN: the publisher said goodbye. */
  teardown(): number {
    const { state, status } = this.#step({ type: 'teardown' });
    if (status !== 200) return status;
    this.#state = state;
    this.#end('left', 'TEARDOWN');
    return 200;
  }

  /** One interleaved frame, from `start` to `end` of the socket's chunk. True when it belongs to this session. */
  interleaved(channel: number, bytes: Buffer, start: number, end: number, arrivedAt: Milliseconds): boolean {
    const lane = this.#lanes[channel];
    const timeline = this.#timeline;
    if (!lane || !timeline) return false;
    if (lane.receiver === null) return true;
    if (lane.isRtcp) lane.receiver.rtcp(bytes.subarray(start, end), arrivedAt, timeline);
    else lane.receiver.rtp(bytes, start, end, arrivedAt, timeline);
    return true;
  }

  /** Time passed: receiver reports are due every 5 s. */
  tick(now: Milliseconds): void {
    if (!this.#publication || now - this.#lastReport < REPORT_INTERVAL_MS) return;
    this.#lastReport = now;
    for (const lane of this.#lanes) {
      const block = lane?.isRtcp ? lane.receiver?.report(now) : null;
      if (lane && block) this.#options.send(lane.rtcpChannel, Buffer.concat([writeReceiverReport(this.#options.ssrc, [block]), writeSdesCname(this.#options.ssrc, CNAME)]));
    }
  }

  /** The connection is gone without a TEARDOWN. Idempotent. */
  lost(reason: string): void {
    this.#end('lost', reason);
  }

  stats(): TransportStats {
    const drops = this.#timeline?.drops;
    const refused = {
      malformed: this.#receivers.reduce((sum, receiver) => sum + receiver.refused.malformed, 0),
      damaged: this.#receivers.reduce((sum, receiver) => sum + receiver.refused.droppedUnits, 0),
      awaiting_random_access: drops?.awaitingRandomAccess ?? 0,
      audio_out_of_order: drops?.audioOutOfOrder ?? 0,
    };
    return this.#receivers.reduce<TransportStats>((total, { kind, reception }) => ({
      ...total,
      bytes: total.bytes + reception.bytes,
      packets: total.packets + reception.packets,
      lostPackets: total.lostPackets + reception.lost,
      jitterMs: kind === 'video' || total.jitterMs === null ? reception.jitterMs : total.jitterMs,
    }), { ...NO_UNITS, refused });
  }

  /** RTSP has no way to ask a publisher for a key frame. */
  requestKeyframe(): void {
    // Nothing to do: cameras that publish by RTSP set their GOP themselves.
  }

  close(reason: string): void {
    this.#publication = null; // whoever closes us has already taken the stream
    this.#timeline = null;
    this.#options.close(reason);
  }

  #step(event: PublishEvent): ReturnType<typeof stepPublish> {
    return stepPublish(this.#state, event);
  }

  #end(how: 'lost' | 'left', reason: string): void {
    const publication = this.#publication;
    if (!publication) return;
    this.#logRefused();
    this.#publication = null;
    this.#timeline = null;
    publication.end(how, reason);
  }

  #logRefused(): void {
    const { logger } = this.#options;
    const drops = this.#timeline?.drops;
    for (const { kind, refused } of this.#receivers) {
      if (refused.malformed + refused.droppedUnits > 0) logger.info({ camera: this.camera, kind, ...refused }, 'rtsp packets refused');
    }
    if (drops && drops.awaitingRandomAccess + drops.audioOutOfOrder > 0) logger.info({ camera: this.camera, ...drops }, 'rtsp units not published');
  }

  /** The section of a kind, if the publisher set it up. */
  #taken(kind: 'video'): VideoSection | undefined;
  #taken(kind: 'audio'): AudioSection | undefined;
  #taken(kind: 'video' | 'audio'): AnnouncedSection | undefined {
    const setUp = this.#state.phase === 'announced' ? this.#state.setUp : [];
    return this.#sections.find((section, index) => section.kind === kind && setUp.includes(index));
  }

  /** The channels asked for, or the next free pair when none were or they are taken. */
  #channels(wanted: readonly [number, number] | null): readonly [number, number] | null {
    if (wanted && !this.#lanes[wanted[0]] && !this.#lanes[wanted[1]]) return wanted;
    for (let channel = 0; channel < 256; channel += 2) {
      if (!this.#lanes[channel] && !this.#lanes[channel + 1]) return [channel, channel + 1];
    }
    return null;
  }
}

const createReceiver = (section: VideoSection | AudioSection): TrackReceiver =>
  section.kind === 'video'
    ? new TrackReceiver({ kind: 'video', payloadType: section.payloadType, clockRate: 90_000, depacketizer: createVideoDepacketizer() })
    : new TrackReceiver({ kind: 'audio', payloadType: section.payloadType, clockRate: section.track.clockRate, depacketizer: section.createDepacketizer() });
