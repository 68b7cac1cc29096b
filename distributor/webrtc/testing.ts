/** Stand-ins for a camera, the WebRTC engine and a page, for tests of the egress. */
import type { AccessUnit } from '../../core/access-unit.ts';
import { toAvcc } from '../../core/codec/h264/nal.ts';
import { h264Track } from '../../core/codec/h264/track.ts';
import { opusTrack } from '../../core/codec/opus/opus.ts';
import { Hub } from '../../core/hub.ts';
import { isRtcp, parseRtpPacket } from '../../core/rtp/packet.ts';
import type { RtpPacket } from '../../core/rtp/port.ts';
import { parseRtcp } from '../../core/rtp/rtcp.ts';
import type { RtcpPacket } from '../../core/rtp/rtcp.ts';
import type { FakeClock } from '../../core/testing-clock.ts';
import type { AudioTrack, Tracks, VideoTrack } from '../../core/track.ts';
import type { CameraStream, SessionInfo } from '../../ingest/port.ts';
import type { DataLane, PeerPlan, PeerState, SendTrack, WebRtcEngine, WebRtcPeer } from '../../transport/webrtc/port.ts';

const SPS = Buffer.from('6742c01fd9005005ba10000003001000000303c0f1832480', 'hex');
const PPS = Buffer.from('68cb8cb2', 'hex');
export const H264 = h264Track(SPS, PPS);
export const PARAMETER_SETS = [SPS, PPS] as const;
export const OPUS_TRACK = opusTrack();

const nal = (head: number, bytes: number): Buffer => Buffer.concat([Buffer.from([head, 0x88]), Buffer.alloc(Math.max(1, bytes - 2), 0x55)]);

/** A camera whose pictures a test publishes one by one. */
export class FakeCamera implements CameraStream {
  readonly camera: string;
  readonly hub = new Hub<AccessUnit>({ gopCache: { maxUnits: 1_000, maxBytes: 64 << 20 } });
  session: SessionInfo | null = null;
  tracks: Tracks | null = null;
  keyframeRequests = 0;
  readonly #clock: FakeClock;
  #epoch = 0;
  #epochAt = 0;
  #rtpBase = 0;
  #seq = 0;

  constructor(camera: string, clock: FakeClock) {
    this.camera = camera;
    this.#clock = clock;
  }

  /** A publisher comes: a new epoch with its own timestamp base. */
  publish(rtpBase: number, tracks: { readonly video?: VideoTrack | null; readonly audio?: AudioTrack | null } = {}): void {
    this.#epoch = this.#clock.now();
    this.#epochAt = this.#clock.monotonic();
    this.#rtpBase = rtpBase;
    this.hub.clearGop();
    this.tracks = { video: tracks.video === undefined ? H264 : tracks.video, audio: tracks.audio ?? null };
    this.session = { id: 's', camera: this.camera, phase: 'live', protocol: 'rtsp', startedAt: this.#epoch, endedAt: null, reason: null, epoch: this.#epoch };
  }

  key(bytes = 3_000): AccessUnit { return this.#send('video', true, toAvcc([...PARAMETER_SETS, nal(0x65, bytes)])); }
  bareKey(bytes = 100): AccessUnit { return this.#send('video', true, toAvcc([nal(0x65, bytes)])); }
  delta(bytes = 500): AccessUnit { return this.#send('video', false, toAvcc([nal(0x41, bytes)])); }
  sound(): AccessUnit { return this.#send('audio', true, Buffer.from([0x78, 1, 2, 3])); }

  requestKeyframe(): void { this.keyframeRequests++; }
  stats(): null { return null; }
  beginPublication(): never { throw new Error('not in this test'); }
  onSession(): Disposable { return { [Symbol.dispose]: () => undefined }; }

  #send(kind: 'video' | 'audio', randomAccess: boolean, data: Buffer): AccessUnit {
    const tracks = this.tracks;
    if (!tracks) throw new Error('nobody publishes');
    const rate = kind === 'video' ? 90_000 : 48_000;
    const pts = Math.round(((this.#clock.monotonic() - this.#epochAt) * rate) / 1_000);
    const unit: AccessUnit = {
      kind, pts, dts: pts, randomAccess, data, tracks, byteLength: data.length,
      wall: this.#clock.now(), arrivedAt: this.#clock.monotonic(),
      frame: { stream: this.camera, epoch: this.#epoch, rtpTs: (this.#rtpBase + pts) >>> 0, captureNtp: null, seq: this.#seq++ },
    };
    this.hub.publish(unit);
    return unit;
  }
}

export class FakeSendTrack implements SendTrack {
  readonly mid: string;
  isOpen = false;
  /** The very buffers that were sent, and copies of what was in them. */
  readonly buffers: Buffer[] = [];
  readonly sent: Buffer[] = [];
  #onOpen: () => void = () => undefined;
  #onRtcp: (packet: Buffer) => void = () => undefined;

  constructor(mid: string) { this.mid = mid; }
  send(packet: Buffer): boolean {
    if (!this.isOpen) return false;
    this.buffers.push(packet);
    this.sent.push(Buffer.from(packet));
    return true;
  }
  onOpen(listener: () => void): void { this.#onOpen = listener; }
  onRtcp(listener: (packet: Buffer) => void): void { this.#onRtcp = listener; }
  open(): void { this.isOpen = true; this.#onOpen(); }
  receiveRtcp(packet: Buffer): void { this.#onRtcp(packet); }

  get rtp(): RtpPacket[] {
    return this.sent.filter((bytes) => !isRtcp(bytes)).flatMap((bytes) => parseRtpPacket(bytes) ?? []);
  }
  get rtcp(): RtcpPacket[] {
    return this.sent.filter((bytes) => isRtcp(bytes)).flatMap((bytes) => parseRtcp(bytes));
  }
  clear(): void { this.sent.length = 0; this.buffers.length = 0; }
}

export class FakeLane implements DataLane {
  readonly label: string;
  isOpen = false;
  bufferedBytes = 0;
  readonly messages: string[] = [];
  #onOpen: () => void = () => undefined;
  constructor(label: string) { this.label = label; }
  send(text: string): boolean { this.messages.push(text); return true; }
  onOpen(listener: () => void): void { this.#onOpen = listener; }
  onMessage(): void { /* the page says nothing */ }
  open(): void { this.isOpen = true; this.#onOpen(); }
}

export class FakePeer implements WebRtcPeer {
  readonly plan: PeerPlan;
  readonly transport = { iceUfrag: 'srvr', icePwd: 'p'.repeat(24), fingerprint: { algorithm: 'sha-256', value: Array(32).fill('AA').join(':') }, setup: 'passive' as const, candidates: ['candidate:1 1 UDP 1 192.0.2.1 8189 typ host'] };
  readonly tracks: FakeSendTrack[];
  readonly lanes: FakeLane[] = [];
  readonly candidates: string[] = [];
  state: PeerState = 'connecting';
  disposed = false;
  #onState: (state: PeerState) => void = () => undefined;
  #onLane: (lane: DataLane) => void = () => undefined;

  constructor(plan: PeerPlan) {
    this.plan = plan;
    this.tracks = plan.send.map((track) => new FakeSendTrack(track.mid));
  }
  /** The track of this kind. */
  track(kind: 'video' | 'audio' = 'video'): FakeSendTrack {
    const mid = this.plan.send.find((track) => track.kind === kind)?.mid;
    const track = this.tracks.find((t) => t.mid === mid);
    if (!track) throw new Error(`no ${kind} was negotiated`);
    return track;
  }
  connect(): void {
    this.setState('connected');
    for (const track of this.tracks) track.isOpen = true;
    for (const track of this.tracks) track.open();
    for (const lane of this.lanes) lane.open();
  }
  setState(state: PeerState): void { this.state = state; this.#onState(state); }
  offerLane(lane: DataLane): void { this.#onLane(lane); }
  onState(listener: (state: PeerState) => void): void { this.#onState = listener; }
  onPacket(): void { /* receives nothing */ }
  sendRtcp(): boolean { return false; }
  onDataLane(listener: (lane: DataLane) => void): void { this.#onLane = listener; }
  createDataLane(label: string): DataLane { const lane = new FakeLane(label); this.lanes.push(lane); return lane; }
  addRemoteCandidate(candidate: string, mid: string): void { this.candidates.push(`${mid} ${candidate}`); }
  [Symbol.dispose](): void { this.disposed = true; for (const track of this.tracks) track.isOpen = false; }
}

export class FakeEngine implements WebRtcEngine {
  readonly port = 8189;
  readonly peers: FakePeer[] = [];
  accept(plan: PeerPlan): Promise<WebRtcPeer> {
    const peer = new FakePeer(plan);
    this.peers.push(peer);
    return Promise.resolve(peer);
  }
  [Symbol.asyncDispose](): Promise<void> { return Promise.resolve(); }
}
