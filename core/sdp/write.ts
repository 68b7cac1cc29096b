import type { MediaDescription, SessionDescription, TransportAttributes } from './description.ts';

/** Writes a description; `parseSdp` of the result gives it back. Lines end in CRLF (RFC 8866 §5). */
export const writeSdp = (session: SessionDescription): string => {
  const lines = ['v=0', `o=${session.origin}`, `s=${session.name}`, 't=0 0'];
  if (session.bundle.length > 0) lines.push(`a=group:BUNDLE ${session.bundle.join(' ')}`);
  if (session.iceLite) lines.push('a=ice-lite');
  writeTransport(session, lines);
  for (const media of session.media) writeMedia(media, session, lines);
  return `${lines.join('\r\n')}\r\n`;
};

const writeTransport = (value: TransportAttributes, lines: string[]): void => {
  if (value.iceUfrag !== null) lines.push(`a=ice-ufrag:${value.iceUfrag}`);
  if (value.icePwd !== null) lines.push(`a=ice-pwd:${value.icePwd}`);
  if (value.fingerprint) lines.push(`a=fingerprint:${value.fingerprint.algorithm} ${value.fingerprint.value}`);
  if (value.setup !== null) lines.push(`a=setup:${value.setup}`);
  if (value.control !== null) lines.push(`a=control:${value.control}`);
};

const writeMedia = (media: MediaDescription, session: SessionDescription, lines: string[]): void => {
  lines.push(`m=${[media.kind, String(media.port), media.protocol, ...media.formats].join(' ')}`, 'c=IN IP4 0.0.0.0');
  if (media.maxBitrateBps !== null) lines.push(`b=TIAS:${String(media.maxBitrateBps)}`);
  writeTransport({
    // What a section merely inherited is not repeated.
    iceUfrag: media.iceUfrag === session.iceUfrag ? null : media.iceUfrag,
    icePwd: media.icePwd === session.icePwd ? null : media.icePwd,
    fingerprint: media.fingerprint?.value === session.fingerprint?.value ? null : media.fingerprint,
    setup: media.setup === session.setup ? null : media.setup,
    control: media.control,
  }, lines);
  if (media.mid !== null) lines.push(`a=mid:${media.mid}`);
  if (media.kind !== 'application') lines.push(`a=${media.direction}`);
  else if (media.direction !== 'sendrecv') lines.push(`a=${media.direction}`);
  if (media.bundleOnly) lines.push('a=bundle-only');
  if (media.rtcpMux) lines.push('a=rtcp-mux');
  if (media.rtcpReducedSize) lines.push('a=rtcp-rsize');
  for (const map of media.rtpMaps) lines.push(`a=rtpmap:${String(map.payloadType)} ${rtpMapText(map)}`);
  for (const [payloadType, parameters] of media.fmtp) lines.push(`a=fmtp:${String(payloadType)} ${parameters}`.trimEnd());
  for (const feedback of media.feedback) lines.push(`a=rtcp-fb:${String(feedback.payloadType)} ${feedback.value}`);
  for (const extension of media.extensions) lines.push(`a=extmap:${String(extension.id)}${extension.direction === null ? '' : `/${extension.direction}`} ${extension.uri}`);
  for (const rid of media.rids) lines.push(`a=rid:${rid.id} ${rid.direction}${rid.parameters === null ? '' : ` ${rid.parameters}`}`);
  if (media.simulcast !== null) lines.push(`a=simulcast:${media.simulcast}`);
  if (media.msid) lines.push(`a=msid:${media.msid.stream}${media.msid.track === null ? '' : ` ${media.msid.track}`}`);
  for (const group of media.ssrcGroups) lines.push(`a=ssrc-group:${[group.semantics, ...group.ssrcs.map(String)].join(' ')}`);
  for (const ssrc of media.ssrcs) lines.push(`a=ssrc:${String(ssrc.ssrc)}${ssrc.value === '' ? '' : ` ${ssrc.value}`}`);
  if (media.sctpPort !== null) lines.push(`a=sctp-port:${String(media.sctpPort)}`);
  if (media.maxMessageSize !== null) lines.push(`a=max-message-size:${String(media.maxMessageSize)}`);
  for (const candidate of media.candidates) lines.push(`a=${candidate}`);
  if (media.endOfCandidates) lines.push('a=end-of-candidates');
};

/** `H264/90000`, `opus/48000/2`. */
export const rtpMapText = (map: { readonly encoding: string; readonly clockRate: number; readonly channels: number | null }): string =>
  `${map.encoding}/${String(map.clockRate)}${map.channels === null ? '' : `/${String(map.channels)}`}`;
