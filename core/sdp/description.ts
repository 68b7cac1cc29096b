/** A session description (RFC 8866) with the attributes WebRTC (RFC 8829, 9429) and RTSP use, typed. `parse.ts` reads it, `write.ts` writes it. */

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';
export type Setup = 'actpass' | 'active' | 'passive' | 'holdconn';

export interface RtpMap {
  readonly payloadType: number;
  /** As written; compare without regard to case. */
  readonly encoding: string;
  readonly clockRate: number;
  readonly channels: number | null;
}

export interface Fingerprint {
  /** Lower case, e.g. `sha-256`. */
  readonly algorithm: string;
  /** Upper-case hex bytes separated by colons. */
  readonly value: string;
}

/** What may stand at session level and counts for all sections, or in a section. */
export interface TransportAttributes {
  readonly iceUfrag: string | null;
  readonly icePwd: string | null;
  readonly fingerprint: Fingerprint | null;
  readonly setup: Setup | null;
  /** RTSP: the URL to SETUP, absolute or relative. */
  readonly control: string | null;
}

export interface Feedback {
  /** `*` = all. */
  readonly payloadType: number | '*';
  readonly value: string;
}

export interface ExtensionMap {
  readonly id: number;
  readonly direction: Direction | null;
  readonly uri: string;
}

export interface SsrcAttribute {
  readonly ssrc: number;
  /** `cname:x`, `msid:a b` … as written. */
  readonly value: string;
}

export interface MediaDescription extends TransportAttributes {
  /** `audio`, `video`, `application`. */
  readonly kind: string;
  /** 0 = rejected, or bundle-only. */
  readonly port: number;
  readonly protocol: string;
  /** Payload types, or `webrtc-datachannel`. */
  readonly formats: readonly string[];
  /** `b=TIAS` (RFC 3890): most bits a second the other side may send, without headers of RTP and below. */
  readonly maxBitrateBps: number | null;
  readonly mid: string | null;
  readonly direction: Direction;
  readonly rtpMaps: readonly RtpMap[];
  /** Payload type → parameters as written. */
  readonly fmtp: ReadonlyMap<number, string>;
  readonly feedback: readonly Feedback[];
  readonly extensions: readonly ExtensionMap[];
  readonly ssrcs: readonly SsrcAttribute[];
  readonly ssrcGroups: readonly { readonly semantics: string; readonly ssrcs: readonly number[] }[];
  readonly rids: readonly { readonly id: string; readonly direction: 'send' | 'recv'; readonly parameters: string | null }[];
  readonly simulcast: string | null;
  readonly msid: { readonly stream: string; readonly track: string | null } | null;
  /** `candidate:…` without `a=`. */
  readonly candidates: readonly string[];
  readonly endOfCandidates: boolean;
  readonly rtcpMux: boolean;
  readonly rtcpReducedSize: boolean;
  readonly bundleOnly: boolean;
  readonly sctpPort: number | null;
  readonly maxMessageSize: number | null;
}

export interface SessionDescription extends TransportAttributes {
  /** The `o=` value. */
  readonly origin: string;
  /** The `s=` value. */
  readonly name: string;
  /** Mids of the first BUNDLE group; empty without one. */
  readonly bundle: readonly string[];
  readonly iceLite: boolean;
  readonly media: readonly MediaDescription[];
}

const NO_TRANSPORT: TransportAttributes = { iceUfrag: null, icePwd: null, fingerprint: null, setup: null, control: null };

/** A section with nothing in it but these fields. */
export const emptyMedia = (kind: string, port: number, protocol: string, formats: readonly string[]): MediaDescription => ({
  ...NO_TRANSPORT,
  kind, port, protocol, formats,
  maxBitrateBps: null, mid: null, direction: 'sendrecv', rtpMaps: [], fmtp: new Map(), feedback: [], extensions: [], ssrcs: [], ssrcGroups: [], rids: [],
  simulcast: null, msid: null, candidates: [], endOfCandidates: false, rtcpMux: false, rtcpReducedSize: false, bundleOnly: false,
  sctpPort: null, maxMessageSize: null,
});

export const emptySession = (): SessionDescription => ({
  ...NO_TRANSPORT, origin: '- 0 0 IN IP4 127.0.0.1', name: '-', bundle: [], iceLite: false, media: [],
});
