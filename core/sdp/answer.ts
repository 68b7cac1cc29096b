/** Writes the answer of a WHIP or WHEP server (RFC 9725 §4.2, RFC 9429 §5.3). */
import type { Direction, MediaDescription, SessionDescription } from './description.ts';
import { emptyMedia, emptySession } from './description.ts';
import type { ChosenCodec } from './negotiate.ts';
import { writeSdp } from './write.ts';

/** What the transport contributes (`TransportParameters` of transport/webrtc/port.ts fits). */
export interface AnswerTransport {
  readonly iceUfrag: string;
  readonly icePwd: string;
  readonly fingerprint: { readonly algorithm: string; readonly value: string };
  readonly setup: 'active' | 'passive';
  readonly candidates: readonly string[];
}

/** A track the server sends. */
export interface AnswerSource {
  readonly ssrc: number;
  readonly rtxSsrc: number | null;
  readonly cname: string;
  readonly stream: string;
  readonly track: string;
}

export type AnswerSection =
  | {
      readonly type: 'media';
      readonly offer: MediaDescription;
      readonly direction: Direction;
      readonly codec: ChosenCodec;
      /** RTCP feedback to agree to, e.g. `nack`, `nack pli`, `transport-cc`; only what the offer has is written. */
      readonly feedback: readonly string[];
      /** Header extension URIs to agree to; only what the offer has is written, under the offer's ids. */
      readonly extensions: readonly string[];
      readonly source: AnswerSource | null;
      /** Most the other side may send; for sections the server receives. */
      readonly maxBitrateBps?: number;
      /** RIDs of simulcast layers to receive. */
      readonly receiveRids?: readonly string[];
    }
  | { readonly type: 'data'; readonly offer: MediaDescription }
  | { readonly type: 'rejected'; readonly offer: MediaDescription };

/** `sections`: one for each section of the offer, in its order. `sessionId`: digits for the `o=` line. */
export const writeAnswer = (sections: readonly AnswerSection[], transport: AnswerTransport, sessionId = '1'): string => {
  const bundle = sections.filter((section) => section.type !== 'rejected').map((section) => section.offer.mid ?? '');
  const session: SessionDescription = {
    ...emptySession(),
    origin: `- ${sessionId} 1 IN IP4 127.0.0.1`,
    bundle,
    media: sections.map((section) => answerSection(section, transport)),
  };
  return writeSdp(session);
};

const answerSection = (section: AnswerSection, transport: AnswerTransport): MediaDescription => {
  const { offer } = section;
  if (section.type === 'rejected') {
    return { ...emptyMedia(offer.kind, 0, offer.protocol, offer.formats.slice(0, 1)), mid: offer.mid, direction: 'inactive' };
  }
  const formats = section.type === 'data' ? offer.formats : formatsOf(section.codec);
  const base: MediaDescription = {
    ...emptyMedia(offer.kind, 9, offer.protocol, formats),
    iceUfrag: transport.iceUfrag,
    icePwd: transport.icePwd,
    fingerprint: transport.fingerprint,
    setup: transport.setup,
    mid: offer.mid,
    candidates: transport.candidates,
    endOfCandidates: true,
  };
  return section.type === 'data' ? { ...base, sctpPort: 5000, maxMessageSize: 262_144 } : { ...base, ...mediaFields(section) };
};

const formatsOf = (codec: ChosenCodec): string[] =>
  codec.rtxPayloadType === null ? [String(codec.payloadType)] : [String(codec.payloadType), String(codec.rtxPayloadType)];

const mediaFields = (section: Extract<AnswerSection, { type: 'media' }>): Partial<MediaDescription> => {
  const { offer, codec, source } = section;
  const fmtp = new Map<number, string>();
  if (codec.fmtp !== null) fmtp.set(codec.payloadType, codec.fmtp);
  if (codec.rtxPayloadType !== null) fmtp.set(codec.rtxPayloadType, `apt=${String(codec.payloadType)}`);
  const rtx = offer.rtpMaps.find((map) => map.payloadType === codec.rtxPayloadType);
  const offered = new Set(offer.feedback.filter((f) => f.payloadType === '*' || f.payloadType === codec.payloadType).map((f) => f.value));
  const ssrcs = source ? [source.ssrc, ...(source.rtxSsrc === null ? [] : [source.rtxSsrc])] : [];
  return {
    direction: section.direction,
    maxBitrateBps: section.maxBitrateBps ?? null,
    rtcpMux: true,
    rtcpReducedSize: offer.rtcpReducedSize,
    rtpMaps: rtx ? [codec.rtpMap, rtx] : [codec.rtpMap],
    fmtp,
    feedback: section.feedback.filter((value) => offered.has(value)).map((value) => ({ payloadType: codec.payloadType, value })),
    extensions: offer.extensions.filter((extension) => section.extensions.includes(extension.uri)).map(({ id, uri }) => ({ id, uri, direction: null })),
    msid: source ? { stream: source.stream, track: source.track } : null,
    ssrcs: source ? ssrcs.map((ssrc) => ({ ssrc, value: `cname:${source.cname}` })) : [],
    ssrcGroups: ssrcs.length > 1 ? [{ semantics: 'FID', ssrcs }] : [],
    rids: (section.receiveRids ?? []).map((id) => ({ id, direction: 'recv' as const, parameters: null })),
    simulcast: section.receiveRids && section.receiveRids.length > 0 ? `recv ${section.receiveRids.join(';')}` : null,
  };
};
