/** The `a=` lines we understand, one reader each. */
import { MediaError } from '../errors.ts';
import type { Direction, MediaDescription, Setup, TransportAttributes } from './description.ts';

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const refuse = (line: string, why: string): MediaError =>
  new MediaError('INVALID_ARGUMENT', `SDP: ${why}`, { context: { line: line.slice(0, 200) } });

const isDirection = (text: string): text is Direction =>
  text === 'sendrecv' || text === 'sendonly' || text === 'recvonly' || text === 'inactive';
const isSetup = (text: string): text is Setup => text === 'actpass' || text === 'active' || text === 'passive' || text === 'holdconn';

const MAX_PER_SECTION = 512;

/** Session or section level. Returns false when the attribute is another one. */
export const readTransportAttribute = (target: Mutable<TransportAttributes>, attribute: string, line: string): boolean => {
  const colon = attribute.indexOf(':');
  const value = colon < 0 ? '' : attribute.slice(colon + 1).trim();
  switch (colon < 0 ? attribute : attribute.slice(0, colon)) {
    case 'ice-ufrag': // RFC 8839 §5.4
      if (!/^[A-Za-z0-9+/]{4,256}$/.test(value)) throw refuse(line, 'ice-ufrag must be 4 to 256 ice-chars');
      target.iceUfrag = value;
      return true;
    case 'ice-pwd':
      if (!/^[A-Za-z0-9+/]{22,256}$/.test(value)) throw refuse(line, 'ice-pwd must be 22 to 256 ice-chars');
      target.icePwd = value;
      return true;
    case 'fingerprint': { // RFC 8122 §5
      const [, algorithm = '', hex = ''] = /^([A-Za-z0-9-]{1,16}) ((?:[0-9A-Fa-f]{2}:){15,63}[0-9A-Fa-f]{2})$/.exec(value) ?? [];
      if (hex === '') throw refuse(line, 'malformed fingerprint');
      target.fingerprint ??= { algorithm: algorithm.toLowerCase(), value: hex.toUpperCase() };
      return true;
    }
    case 'setup': // RFC 4145 §4
      if (!isSetup(value)) throw refuse(line, 'unknown setup role');
      target.setup = value;
      return true;
    case 'control': // RFC 2326 C.1.1
      target.control = value;
      return true;
    default:
      return false;
  }
};

/** Section level. Attributes we do not know are left out. */
export const readMediaAttribute = (media: Mutable<MediaDescription>, attribute: string, line: string): void => {
  if (isDirection(attribute)) {
    media.direction = attribute;
    return;
  }
  if (readTransportAttribute(media, attribute, line)) return;
  const colon = attribute.indexOf(':');
  const name = colon < 0 ? attribute : attribute.slice(0, colon);
  const value = colon < 0 ? '' : attribute.slice(colon + 1).trim();
  const reader = READERS[name];
  if (reader && !reader(media, value)) throw refuse(line, `malformed ${name}`);
};

/** Appends within a bound, so that 64 KiB of one attribute cannot cost more than it says. */
const append = <T>(list: readonly T[], item: T): readonly T[] => {
  if (list.length < MAX_PER_SECTION) (list as T[]).push(item);
  return list;
};
const payloadType = (text: string): number => {
  const value = /^\d{1,3}$/.test(text) ? Number(text) : NaN;
  return value <= 127 ? value : NaN;
};
const ssrc = (text: string): number => {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  return value <= 0xffff_ffff ? value : NaN;
};

/** Each returns false for a malformed value. */
const READERS: Readonly<Record<string, ((media: Mutable<MediaDescription>, value: string) => boolean) | undefined>> = Object.assign(Object.create(null) as object, {
  'mid': (media: Mutable<MediaDescription>, value: string) => { // RFC 5888 §4: a token; MIDs longer than the RTP extension carries are odd
    media.mid = value;
    return /^[!#$%&'*+\-.^_`{|}~0-9A-Za-z]{1,64}$/.test(value);
  },
  'rtpmap': (media: Mutable<MediaDescription>, value: string) => {
    const [, pt = '', encoding = '', clock = '', channels] = /^(\d{1,3}) +([^/ ]{1,64})\/(\d{1,9})(?:\/(\d{1,3}))?/.exec(value) ?? [];
    if (encoding === '' || Number.isNaN(payloadType(pt)) || Number(clock) === 0) return false;
    media.rtpMaps = append(media.rtpMaps, { payloadType: Number(pt), encoding, clockRate: Number(clock), channels: channels === undefined ? null : Number(channels) });
    return true;
  },
  'fmtp': (media: Mutable<MediaDescription>, value: string) => {
    const space = value.indexOf(' ');
    const pt = payloadType(space < 0 ? value : value.slice(0, space));
    if (Number.isNaN(pt)) return /^[a-z]/.test(value); // formats of other media (`webrtc-datachannel`) carry none we use
    (media.fmtp as Map<number, string>).set(pt, space < 0 ? '' : value.slice(space + 1).trim());
    return true;
  },
  'rtcp-fb': (media: Mutable<MediaDescription>, value: string) => { // RFC 4585 §4.2
    const [, pt = '', feedback = ''] = /^(\*|\d{1,3}) +(.+)$/.exec(value) ?? [];
    if (feedback === '' || (pt !== '*' && Number.isNaN(payloadType(pt)))) return false;
    media.feedback = append(media.feedback, { payloadType: pt === '*' ? '*' : Number(pt), value: feedback });
    return true;
  },
  'extmap': (media: Mutable<MediaDescription>, value: string) => { // RFC 8285 §5
    const [, id = '', direction = null, uri = ''] = /^(\d{1,5})(?:\/([a-z]+))? +([^ ]+)/.exec(value) ?? [];
    if (uri === '' || Number(id) === 0 || (direction !== null && direction !== '' && !isDirection(direction))) return false;
    media.extensions = append(media.extensions, { id: Number(id), direction: direction !== null && isDirection(direction) ? direction : null, uri });
    return true;
  },
  'ssrc': (media: Mutable<MediaDescription>, value: string) => { // RFC 5576 §4.1
    const space = value.indexOf(' ');
    const id = ssrc(space < 0 ? value : value.slice(0, space));
    if (Number.isNaN(id)) return false;
    media.ssrcs = append(media.ssrcs, { ssrc: id, value: space < 0 ? '' : value.slice(space + 1) });
    return true;
  },
  'ssrc-group': (media: Mutable<MediaDescription>, value: string) => {
    const [semantics = '', ...ids] = value.split(' ').filter((part) => part.length > 0);
    const ssrcs = ids.slice(0, 32).map(ssrc);
    if (semantics === '' || ssrcs.some(Number.isNaN)) return false;
    media.ssrcGroups = append(media.ssrcGroups, { semantics, ssrcs });
    return true;
  },
  'rid': (media: Mutable<MediaDescription>, value: string) => { // RFC 8851 §4
    const [, id = '', direction = '', parameters] = /^([A-Za-z0-9_-]{1,255}) (send|recv)(?: (.+))?$/.exec(value) ?? [];
    if (id === '') return false;
    media.rids = append(media.rids, { id, direction: direction === 'send' ? 'send' : 'recv', parameters: parameters ?? null });
    return true;
  },
  'simulcast': (media: Mutable<MediaDescription>, value: string) => { media.simulcast = value; return value !== ''; },
  'msid': (media: Mutable<MediaDescription>, value: string) => { // RFC 8830 §2
    const [stream = '', track = null] = value.split(' ');
    media.msid = { stream, track };
    return stream !== '';
  },
  'candidate': (media: Mutable<MediaDescription>, value: string) => {
    media.candidates = append(media.candidates, `candidate:${value}`);
    return value !== '';
  },
  'end-of-candidates': (media: Mutable<MediaDescription>) => (media.endOfCandidates = true),
  'rtcp-mux': (media: Mutable<MediaDescription>) => (media.rtcpMux = true),
  'rtcp-rsize': (media: Mutable<MediaDescription>) => (media.rtcpReducedSize = true),
  'bundle-only': (media: Mutable<MediaDescription>) => (media.bundleOnly = true),
  'sctp-port': (media: Mutable<MediaDescription>, value: string) => { // RFC 8841 §5.1
    media.sctpPort = Number(value);
    return /^\d{1,5}$/.test(value) && Number(value) <= 65_535;
  },
  'max-message-size': (media: Mutable<MediaDescription>, value: string) => {
    media.maxMessageSize = Number(value);
    return /^\d{1,12}$/.test(value);
  },
});
