import { Audio, PeerConnection, Video } from 'node-datachannel';
import type { DataChannel, RtcConfig, Track } from 'node-datachannel';
import type { Clock } from '../../core/clock.ts';
import { MediaError, invariant, messageOf } from '../../core/errors.ts';
import { parseSdp } from '../../core/sdp/parse.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import { usableCandidate } from './candidates.ts';
import { guard } from './guard.ts';
import { NativeLane } from './native-lane.ts';
import { nativeOffer } from './native-offer.ts';
import { NativeTrack } from './native-track.ts';
import type { DataLane, PeerPlan, PeerState, SendTrackPlan, TransportParameters, WebRtcPeer } from './port.ts';

export interface NativePeerOptions {
  readonly plan: PeerPlan;
  readonly config: RtcConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Candidates announced beside those the transport finds; `alone`: only when it finds none. */
  readonly extraCandidates: { readonly always: readonly string[]; readonly alone: readonly string[] };
  /** Native code will not call back any more: the peer may be forgotten. Until then it must be kept (see `NdcEngine`). */
  readonly onReleased: (peer: NativePeer) => void;
}

const GATHERING_DEADLINE_MS = 5_000;
/** ICE and DTLS together; browsers give up after 15–30 s. */
const CONNECT_DEADLINE_MS = 20_000;
/** A peer whose path went dead may come back by itself (a Wi-Fi change) for so long. */
const DISCONNECTED_DEADLINE_MS = 10_000;
const CNAME = 'imageflow';
const MAX_LANES = 16;
/** A round trip in the networks this is for. */
const FAREWELL_MS: Milliseconds = 100;

/** One peer connection of libdatachannel that answers an offer. */
export class NativePeer implements WebRtcPeer {
  readonly #options: NativePeerOptions;
  readonly #pc: PeerConnection;
  readonly #sendTracks: NativeTrack[] = [];
  readonly #lanes = new Set<NativeLane>();
  readonly #unclaimedLanes: NativeLane[] = [];
  #receiveTrack: NativeTrack | null = null;
  #transport: TransportParameters | null = null;
  #state: PeerState = 'connecting';
  #deadline: Disposable | undefined;
  /** Native objects that have not said they are closed. */
  #open = 1; // the peer connection
  #closing = false;
  /** What is left of the time for a farewell; null: none is said. */
  #farewell: Disposable | null = null;
  #stateListener: ((state: PeerState) => void) | undefined;
  #laneListener: ((lane: DataLane) => void) | undefined;
  #remoteCandidates = 0;

  constructor(options: NativePeerOptions) {
    this.#options = options;
    this.#pc = new PeerConnection(options.plan.name, options.config);
    this.#pc.onStateChange(guard(options.logger, (state) => { this.#onNativeState(state); }));
    this.#pc.onDataChannel(guard(options.logger, (channel) => { this.#onChannel(channel); }));
  }

  /**
   * Answers the plan's offer; resolves when all local candidates are known. Throws INVALID_ARGUMENT for an offer that cannot be used,
   * UNAVAILABLE when no candidates come; the caller disposes then.
   */
  async answer(): Promise<void> {
    const { plan, clock, logger } = this.#options;
    const offer = nativeOffer(plan);
    const gathered = Promise.withResolvers<undefined>();
    this.#pc.onGatheringStateChange(guard(logger, (state) => { if (state === 'complete') gathered.resolve(undefined); }));
    if (plan.receive) this.#receiveTrack = this.#track(plan.receive.mid, this.#pc.addTrack(describe(plan.receive, 'RecvOnly', [])));
    else for (const track of plan.send) this.#sendTracks.push(this.#track(track.mid, this.#pc.addTrack(describe(track, 'SendOnly', ssrcsOf(track)))));
    try {
      this.#pc.setRemoteDescription(offer.sdp, 'offer');
    } catch (error) {
      throw new MediaError('INVALID_ARGUMENT', 'The offer cannot be used.', { cause: error, context: { cause: messageOf(error) } });
    }
    // In any other state setLocalDescription would throw in native code, which ends the process.
    invariant(this.#pc.signalingState() === 'have-remote-offer', 'the native peer took the offer');
    this.#pc.setLocalDescription('answer');
    using _deadline = clock.after(GATHERING_DEADLINE_MS, () => { gathered.reject(new MediaError('UNAVAILABLE', 'The server found no network address in time.', { retryAfterSeconds: 2 })); });
    await gathered.promise;
    this.#transport = this.#readTransport();
    for (const candidate of offer.candidates) this.addRemoteCandidate(candidate, plan.receive?.mid ?? plan.send[0]?.mid ?? '');
    this.#setDeadline(CONNECT_DEADLINE_MS);
  }

  get transport(): TransportParameters {
    invariant(this.#transport, 'the peer has answered');
    return this.#transport;
  }

  get tracks(): readonly NativeTrack[] {
    return this.#sendTracks;
  }

  get state(): PeerState {
    return this.#state;
  }

  onState(listener: (state: PeerState) => void): void {
    this.#stateListener = listener;
  }

  onPacket(listener: (packet: Buffer) => void): void {
    this.#receiveTrack?.onPacket(listener);
  }

  sendRtcp(packet: Buffer): boolean {
    return this.#receiveTrack?.send(packet) ?? false;
  }

  /** Channels the other side opened before are handed over at once. */
  onDataLane(listener: (lane: DataLane) => void): void {
    this.#laneListener = listener;
    for (const lane of this.#unclaimedLanes.splice(0)) listener(lane);
  }

  createDataLane(label: string): DataLane {
    invariant(this.#options.plan.dataChannels, 'the offer has a data channel section');
    invariant(this.#state === 'connecting' && !this.#closing, 'data channels are made before the answer is sent');
    return this.#lane(this.#pc.createDataChannel(label));
  }

  /** Candidates that are of no use are ignored (RFC 9725 §4.3.2). */
  addRemoteCandidate(candidate: string, mid: string): void {
    const usable = usableCandidate(candidate, this.#options.plan.clientAddress);
    if (this.#closing || usable === null || ++this.#remoteCandidates > 64) return;
    try {
      this.#pc.addRemoteCandidate(usable, mid);
    } catch (error) {
      this.#options.logger.debug({ peer: this.#options.plan.name, error: messageOf(error) }, 'ice candidate ignored');
    }
  }

  [Symbol.dispose](): void {
    this.#stateListener = undefined;
    this.#laneListener = undefined;
    this.#sayFarewell(); // told twice: at once
    this.#close('closed');
  }

  #track(mid: string, track: Track): NativeTrack {
    this.#open++;
    return new NativeTrack(mid, track, this.#options.logger, () => { this.#released(); });
  }

  #lane(channel: DataChannel): NativeLane {
    this.#open++;
    const lane = new NativeLane(channel, this.#options.logger, () => {
      this.#lanes.delete(lane);
      this.#released();
    });
    this.#lanes.add(lane);
    return lane;
  }

  #onChannel(channel: DataChannel): void {
    const lane = this.#lane(channel);
    if (this.#closing || this.#lanes.size > MAX_LANES) lane[Symbol.dispose]();
    else if (this.#laneListener) this.#laneListener(lane);
    else this.#unclaimedLanes.push(lane);
    lane.expectOpen();
  }

  #onNativeState(native: string): void {
    switch (native) {
      case 'closed':
        this.#close('closed');
        this.#released();
        break;
      case 'failed':
        this.#close('failed');
        break;
      case 'connected':
        this.#deadline?.[Symbol.dispose]();
        this.#become('connected');
        break;
      case 'disconnected':
        this.#setDeadline(DISCONNECTED_DEADLINE_MS);
        this.#become('disconnected');
        break;
      default: // new, connecting: as it began
    }
  }

  #become(state: PeerState): void {
    if (this.#closing || state === this.#state) return;
    this.#state = state;
    this.#stateListener?.(state);
  }

  #setDeadline(delay: Milliseconds): void {
    this.#deadline?.[Symbol.dispose]();
    this.#deadline = this.#options.clock.after(delay, () => { this.#close('failed'); });
  }

  /**
   * Closes everything native at once: with one UDP port for all, a dead peer's address would catch the packets of the next one that
   * comes from there (WEBRTC-NOTES 9). Tracks and channels first: those of a closed peer connection are not told.
   */
  #close(state: 'failed' | 'closed'): void {
    if (this.#closing) return;
    this.#become(state);
    this.#closing = true;
    this.#state = state;
    this.#deadline?.[Symbol.dispose]();
    const open = [...this.#lanes].some(({ isOpen }) => isOpen);
    for (const lane of this.#lanes) lane[Symbol.dispose]();
    for (const track of this.#sendTracks) track[Symbol.dispose]();
    this.#receiveTrack?.[Symbol.dispose]();
    // The other side answers the end of a channel; the connection's end in the midst of that leaves some browsers with a channel that never ends.
    if (state === 'closed' && open) this.#farewell = this.#options.clock.after(FAREWELL_MS, () => { this.#sayFarewell(); });
    else this.#pc.close();
  }

  #sayFarewell(): void {
    if (this.#farewell === null) return;
    this.#farewell[Symbol.dispose]();
    this.#farewell = null;
    this.#pc.close();
  }

  #released(): void {
    if (--this.#open === 0) this.#options.onReleased(this);
  }

  #readTransport(): TransportParameters {
    const description = this.#pc.localDescription();
    invariant(description, 'a gathered peer has a local description');
    const session = parseSdp(description.sdp);
    const section = session.media[0];
    invariant(section?.iceUfrag && section.icePwd && section.fingerprint, 'the local description has a transport');
    const own = [...new Set(session.media.flatMap((media) => media.candidates))];
    const { always, alone } = this.#options.extraCandidates;
    return {
      iceUfrag: section.iceUfrag,
      icePwd: section.icePwd,
      fingerprint: section.fingerprint,
      setup: section.setup === 'active' ? 'active' : 'passive',
      candidates: [...own, ...always, ...(own.length === 0 ? alone : [])],
    };
  }
}

const ssrcsOf = (track: SendTrackPlan): readonly number[] => (track.rtxSsrc === null ? [track.ssrc] : [track.ssrc, track.rtxSsrc]);

const describe = (
  track: { readonly mid: string; readonly kind: 'video' | 'audio'; readonly payloadType: number; readonly rtpmap: string; readonly fmtp: string | null },
  direction: 'SendOnly' | 'RecvOnly',
  ssrcs: readonly number[],
): Video | Audio => {
  const [encoding = ''] = track.rtpmap.split('/');
  let media: Video | Audio;
  if (track.kind === 'video') {
    media = new Video(track.mid, direction);
    media.addVideoCodec(track.payloadType, encoding, ...(track.fmtp === null ? [] : [track.fmtp]));
  } else {
    media = new Audio(track.mid, direction);
    media.addAudioCodec(track.payloadType, track.rtpmap, ...(track.fmtp === null ? [] : [track.fmtp]));
  }
  for (const ssrc of ssrcs) media.addSSRC(ssrc, CNAME, CNAME, track.kind);
  return media;
};
