/**
 * The offer that libdatachannel is given instead of the client's: built anew from what was parsed, so that nothing a client wrote
 * reaches the native parser unread (its `setLocalDescription` aborts the process on an exception).
 */
import { MediaError } from '../../core/errors.ts';
import { emptyMedia, emptySession } from '../../core/sdp/description.ts';
import type { MediaDescription, SessionDescription } from '../../core/sdp/description.ts';
import { isDataChannel, isOffered, parseWebRtcOffer } from '../../core/sdp/offer.ts';
import { writeSdp } from '../../core/sdp/write.ts';
import { usableCandidates } from './candidates.ts';
import type { PeerPlan } from './port.ts';

const MAX_REMOTE_CANDIDATES = 32;
const DIGEST_BYTES: Readonly<Record<string, number>> = { 'sha-1': 20, 'sha-224': 28, 'sha-256': 32, 'sha-384': 48, 'sha-512': 64 };

export interface NativeOffer {
  readonly sdp: string;
  /** The client's candidates that the transport can use, without `a=`, in the order they are to be checked. */
  readonly candidates: readonly string[];
}

/**
 * Only the sections of the plan are in it: one for everything received (WEBRTC-NOTES 4: libdatachannel demultiplexes by SSRC alone,
 * with a single media section it hands over every packet), or those sent; and the data channel section.
 * Throws INVALID_ARGUMENT for an offer that has no usable transport.
 */
export const nativeOffer = (plan: PeerPlan): NativeOffer => {
  const offer = parseWebRtcOffer(plan.offer);
  const offered = offer.media.filter(isOffered);
  const carrier = offered[0];
  const { fingerprint, iceUfrag, icePwd } = carrier ?? emptyMedia('', 0, '', []);
  if (fingerprint === null || iceUfrag === null || icePwd === null) throw new MediaError('INVALID_ARGUMENT', 'SDP: the first media section has no transport');
  if (DIGEST_BYTES[fingerprint.algorithm] !== (fingerprint.value.length + 1) / 3) {
    throw new MediaError('INVALID_ARGUMENT', 'SDP: a fingerprint of this algorithm and length is not known', { context: { algorithm: fingerprint.algorithm } });
  }
  const media = mediaSections(plan);
  const data = plan.dataChannels ? offered.find(isDataChannel) : undefined;
  if (data) media.push({ ...emptyMedia('application', 9, 'UDP/DTLS/SCTP', ['webrtc-datachannel']), mid: data.mid, sctpPort: data.sctpPort ?? 5000, maxMessageSize: data.maxMessageSize });
  const session: SessionDescription = {
    ...emptySession(),
    origin: '- 1 1 IN IP4 127.0.0.1',
    bundle: media.map((section) => section.mid ?? ''),
    media: media.map((section) => ({ ...section, iceUfrag, icePwd, fingerprint, setup: setupFor(carrier?.setup ?? null) })),
  };
  const candidates = usableCandidates(offered.flatMap((section) => section.candidates), plan.clientAddress).slice(0, MAX_REMOTE_CANDIDATES);
  return { sdp: writeSdp(session), candidates };
};

/**
 * A client that leaves the choice is told it is the DTLS client: then it chooses the cipher, and Chromium chooses AES-GCM, which costs
 * 15 % less than AES-CM (WEBRTC-NOTES 10).
 */
const setupFor = (offered: string | null): 'active' | 'passive' => {
  if (offered === 'holdconn') throw new MediaError('INVALID_ARGUMENT', 'SDP: a=setup:holdconn offers no transport');
  return offered === 'passive' ? 'passive' : 'active';
};

const mediaSections = (plan: PeerPlan): MediaDescription[] => {
  const wanted = plan.receive ? [{ ...plan.receive, direction: 'sendonly' as const }] : plan.send.map((track) => ({ ...track, direction: 'recvonly' as const }));
  return wanted.map((track) => {
    const [encoding = '', clockRate = '', channels] = track.rtpmap.split('/');
    return {
      ...emptyMedia(track.kind, 9, 'UDP/TLS/RTP/SAVPF', [String(track.payloadType)]),
      mid: track.mid,
      direction: track.direction,
      rtcpMux: true,
      rtpMaps: [{ payloadType: track.payloadType, encoding, clockRate: Number(clockRate), channels: channels === undefined ? null : Number(channels) }],
      fmtp: track.fmtp === null ? new Map() : new Map([[track.payloadType, track.fmtp]]),
    };
  });
};
