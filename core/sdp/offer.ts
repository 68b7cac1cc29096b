import { MediaError } from '../errors.ts';
import type { MediaDescription, SessionDescription } from './description.ts';
import { parseSdp } from './parse.ts';

/**
 * Parses an offer a WebRTC server can answer (RFC 9725 §4.2, RFC 8829): every section bundled, RTCP muxed, with ICE credentials,
 * DTLS fingerprint and mid. Throws INVALID_ARGUMENT when it is malformed or lacks what every offer must have, UNPROCESSABLE when
 * it wants several transports.
 */
export const parseWebRtcOffer = (text: string): SessionDescription => {
  const offer = parseSdp(text);
  const live = offer.media.filter(isOffered);
  if (live.length === 0) throw new MediaError('INVALID_ARGUMENT', 'SDP: the offer has no media section');
  const seen = new Set<string>();
  for (const media of live) {
    if (media.mid === null) throw missing(media, 'a=mid');
    if (seen.has(media.mid)) throw new MediaError('INVALID_ARGUMENT', 'SDP: two sections have the same mid', { context: { mid: media.mid } });
    seen.add(media.mid);
    // Sections bundled behind the first may leave the transport to it (RFC 9143 §7.1.3).
    const carrier = live[0] ?? media;
    if ((media.iceUfrag ?? carrier.iceUfrag) === null || (media.icePwd ?? carrier.icePwd) === null) throw missing(media, 'ICE credentials');
    if ((media.fingerprint ?? carrier.fingerprint) === null) throw missing(media, 'a=fingerprint');
    if (media.kind !== 'application' && !media.rtcpMux) throw new MediaError('UNPROCESSABLE', 'RTP and RTCP must share a port (a=rtcp-mux)');
    if (live.length > 1 && !offer.bundle.includes(media.mid)) throw new MediaError('UNPROCESSABLE', 'all media sections must be in one BUNDLE group');
  }
  return offer;
};

/** A section the offerer wants: port 0 means rejected, unless it is bundle-only (RFC 9143 §6). */
export const isOffered = (media: MediaDescription): boolean => media.port !== 0 || media.bundleOnly;

/** A data channel section (RFC 8841). */
export const isDataChannel = (media: MediaDescription): boolean =>
  media.kind === 'application' && media.formats[0] === 'webrtc-datachannel';

const missing = (media: MediaDescription, what: string): MediaError =>
  new MediaError('INVALID_ARGUMENT', `SDP: a media section has no ${what}`, { context: { kind: media.kind, mid: media.mid } });
