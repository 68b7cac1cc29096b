/** transport/webrtc/: the engine port (ICE, DTLS, SRTP, SCTP). RTCP and everything above are ours. Adapter: node-datachannel. */

export interface SendTrackPlan {
  readonly mid: string;
  readonly kind: 'video' | 'audio';
  /** Negotiated payload type and its `name/clock[/channels]` and fmtp. */
  readonly payloadType: number;
  readonly rtpmap: string;
  readonly fmtp: string | null;
  readonly ssrc: number;
  readonly rtxSsrc: number | null;
}

export interface PeerPlan {
  /** Names the peer in logs. */
  readonly name: string;
  /** The client's offer as received. */
  readonly offer: string;
  /** The address it came from, null when that is not known: browsers hide theirs from the offer. */
  readonly clientAddress: string | null;
  /** Sending peers: one entry per accepted media section. */
  readonly send: readonly SendTrackPlan[];
  /** Receiving peers: the first bundled media section; everything arrives on it and is demultiplexed by payload type (WEBRTC-NOTES 4). */
  readonly receive: { readonly mid: string; readonly kind: 'video' | 'audio'; readonly payloadType: number; readonly rtpmap: string; readonly fmtp: string | null } | null;
  /** The offer has an application section for data channels. */
  readonly dataChannels: boolean;
}

/** What an answer SDP needs from the transport. */
export interface TransportParameters {
  readonly iceUfrag: string;
  readonly icePwd: string;
  readonly fingerprint: { readonly algorithm: string; readonly value: string };
  readonly setup: 'active' | 'passive';
  /** `candidate:…` lines without `a=`, all of them. */
  readonly candidates: readonly string[];
}

export interface SendTrack {
  readonly mid: string;
  /** Copies synchronously; false when it could not be sent. Never throws. Takes RTP and RTCP. */
  send(packet: Buffer): boolean;
  readonly isOpen: boolean;
  onOpen(listener: () => void): void;
  /** RTCP from the other side (raw compound packets). */
  onRtcp(listener: (packet: Buffer) => void): void;
}

export interface DataLane {
  readonly label: string;
  readonly isOpen: boolean;
  readonly bufferedBytes: number;
  send(text: string): boolean;
  onOpen(listener: () => void): void;
  onMessage(listener: (message: string | Buffer) => void): void;
}

export type PeerState = 'connecting' | 'connected' | 'disconnected' | 'failed' | 'closed';

export interface WebRtcPeer extends Disposable {
  readonly transport: TransportParameters;
  readonly tracks: readonly SendTrack[];
  readonly state: PeerState;
  onState(listener: (state: PeerState) => void): void;
  /** Receiving peers: raw RTP and RTCP as they come. */
  onPacket(listener: (packet: Buffer) => void): void;
  /** Sends RTCP on the receiving track. False when not open. */
  sendRtcp(packet: Buffer): boolean;
  /** A data channel opened by the other side. */
  onDataLane(listener: (lane: DataLane) => void): void;
  /** Opens a data channel towards the other side (needs `dataChannels`). Only before the answer is sent: libdatachannel closes one that is made while SCTP connects. */
  createDataLane(label: string): DataLane;
  addRemoteCandidate(candidate: string, mid: string): void;
}

export interface WebRtcEngine extends AsyncDisposable {
  /** The one UDP port. */
  readonly port: number;
  /** Accepts an offer; resolves when all local candidates are known. Throws INVALID_ARGUMENT for an offer it cannot use. */
  accept(plan: PeerPlan): Promise<WebRtcPeer>;
}
