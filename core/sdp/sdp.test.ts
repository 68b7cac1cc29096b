import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MediaError } from '../errors.ts';
import type { AnswerSection } from './answer.ts';
import { writeAnswer } from './answer.ts';
import { emptyMedia, emptySession } from './description.ts';
import type { MediaDescription } from './description.ts';
import { parseSdpFragment } from './fragment.ts';
import { HeaderExtension } from './header-extensions.ts';
import { chooseCodec, chooseFirst, fmtpParameter } from './negotiate.ts';
import { isDataChannel, parseWebRtcOffer } from './offer.ts';
import { parseSdp } from './parse.ts';
import { writeSdp } from './write.ts';

const fixture = (name: string): string => readFileSync(new URL(`../../test/fixtures/sdp/${name}`, import.meta.url), 'utf8');
const PLAY = fixture('chromium-play.sdp');
const PUBLISH = fixture('chromium-publish.sdp');
const TRANSPORT = { iceUfrag: 'abcd', icePwd: 'a'.repeat(22), fingerprint: { algorithm: 'sha-256', value: Array(32).fill('AB').join(':') }, setup: 'passive' as const, candidates: ['candidate:1 1 UDP 2122317823 192.0.2.1 8189 typ host'] };
const section = (text: string): MediaDescription => {
  const [media] = parseSdp(`v=0\r\n${text}`).media;
  if (!media) throw new Error('no section');
  return media;
};

describe('parseSdp', () => {
  test("reads Chromium's offer to play", () => {
    const offer = parseWebRtcOffer(PLAY);
    expect(offer.media.map((m) => [m.kind, m.direction, m.mid])).toEqual([['video', 'recvonly', '0'], ['audio', 'recvonly', '1'], ['application', 'sendrecv', '2']]);
    expect(offer.bundle).toEqual(['0', '1', '2']);
    expect(offer.media[0]).toMatchObject({ setup: 'actpass', rtcpMux: true, rtcpReducedSize: true });
    expect(offer.media[0]?.fingerprint?.value).toMatch(/^[0-9A-F:]{95}$/);
    expect(offer.media.map(isDataChannel)).toEqual([false, false, true]);
    expect(offer.media[0]?.extensions.map((e) => e.uri)).toContain(HeaderExtension.transportSequence);
  });

  test("reads the SSRCs and msid of Chromium's offer to publish", () => {
    const video = parseWebRtcOffer(PUBLISH).media.find((m) => m.kind === 'video');
    expect(video?.ssrcGroups[0]?.semantics).toBe('FID');
    expect(video?.ssrcGroups[0]?.ssrcs).toHaveLength(2);
    expect(video?.msid?.stream).toBeTruthy();
    expect(video?.direction).toBe('sendonly');
  });

  test('reads what ffmpeg announces by RTSP', () => {
    const sdp = parseSdp('v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\na=tool:libavformat\r\nm=video 0 RTP/AVP 96\r\nb=AS:1935\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z2QAH6yyAKALdCAAAAMAIAAAB4HjBkk=,aOvMsiw=; profile-level-id=64001F\r\na=control:streamid=0\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\na=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=119056E500\r\na=control:streamid=1\r\n');
    expect(sdp.media.map((m) => m.control)).toEqual(['streamid=0', 'streamid=1']);
    expect(fmtpParameter(sdp.media[0]?.fmtp.get(96) ?? '', 'sprop-parameter-sets')).toBe('Z2QAH6yyAKALdCAAAAMAIAAAB4HjBkk=,aOvMsiw=');
    expect(fmtpParameter(sdp.media[1]?.fmtp.get(97) ?? '', 'sizeLength')).toBe('13');
    expect(sdp.media[1]?.rtpMaps[0]).toMatchObject({ encoding: 'MPEG4-GENERIC', channels: 2 });
  });

  test('session-level ICE, fingerprint and setup count for the sections', () => {
    const [media] = parseSdp(`v=0\na=ice-ufrag:abcd\na=ice-pwd:${'x'.repeat(22)}\na=setup:active\nm=video 9 UDP/TLS/RTP/SAVPF 96\n`).media;
    expect(media).toMatchObject({ iceUfrag: 'abcd', icePwd: 'x'.repeat(22), setup: 'active' });
  });

  test.each([
    ['no v=0', 'o=- 0 0 IN IP4 0.0.0.0'],
    ['a line that is none', 'v=0\r\nhello'],
    ['a short ufrag', 'v=0\r\na=ice-ufrag:abc'],
    ['a pwd with a character that is no ice-char', `v=0\r\na=ice-pwd:${'a'.repeat(21)}!`],
    ['a malformed fingerprint', 'v=0\r\na=fingerprint:sha-256 AB:CD'],
    ['an unknown setup', 'v=0\r\na=setup:please'],
    ['a port above 65,535', 'v=0\r\nm=video 70000 RTP/AVP 96'],
    ['a payload type above 127', 'v=0\r\nm=video 9 RTP/AVP 96\r\na=rtpmap:200 H264/90000'],
    ['a clock rate of 0', 'v=0\r\nm=video 9 RTP/AVP 96\r\na=rtpmap:96 H264/0'],
    ['33 media sections', `v=0\r\n${'m=video 9 RTP/AVP 96\r\n'.repeat(33)}`],
    ['more than 64 KiB', `v=0\r\n${'a=x\r\n'.repeat(14_000)}`],
    ['a line longer than 8 KiB', `v=0\r\na=${'x'.repeat(9_000)}`],
    ['a NUL', 'v=0\r\na=x\0y'],
  ])('refuses %s with the line', (_name, text) => {
    expect(() => parseSdp(text)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  test('any text parses or is refused, and never crashes', () => {
    const line = fc.oneof(
      fc.tuple(fc.constantFrom('rtpmap', 'fmtp', 'rtcp-fb', 'extmap', 'ssrc', 'ssrc-group', 'rid', 'simulcast', 'msid', 'candidate', 'mid', 'sctp-port', 'setup', 'fingerprint', 'constructor', 'group'), fc.string()).map(([name, value]) => `a=${name}:${value}`),
      fc.string().map((s) => `m=video 9 X 96 ${s}`), fc.string(),
    );
    fc.assert(fc.property(fc.array(line, { maxLength: 30 }), (lines) => {
      const text = ['v=0', 'm=video 9 UDP/TLS/RTP/SAVPF 96', ...lines].join('\r\n');
      for (const parse of [parseSdp, parseWebRtcOffer, parseSdpFragment]) {
        try { parse(text); } catch (error) { expect(error).toBeInstanceOf(MediaError); }
      }
    }), { numRuns: 1_000 });
  });

  test('an offer of Chromium with one line left out or cut parses or is refused', () => {
    const lines = PUBLISH.split('\r\n');
    fc.assert(fc.property(fc.nat(lines.length - 1), fc.nat(20), (at, keep) => {
      const changed = lines.map((l, i) => (i === at ? l.slice(0, keep) : l)).join('\r\n');
      try { parseWebRtcOffer(changed); } catch (error) { expect(error).toBeInstanceOf(MediaError); }
    }));
  });
});

describe('writeSdp', () => {
  test.each([['play', PLAY], ['publish', PUBLISH]])("writes what was read: Chromium's offer to %s", (_name, text) => {
    const description = parseSdp(text);
    expect(parseSdp(writeSdp(description))).toEqual(description);
  });

  test('every field survives', () => {
    const media: MediaDescription = {
      ...emptyMedia('video', 9, 'UDP/TLS/RTP/SAVPF', ['96', '97']),
      ...TRANSPORT, control: 'trackID=1', mid: 'v', direction: 'sendonly', rtcpMux: true, rtcpReducedSize: true, bundleOnly: true, endOfCandidates: true,
      rtpMaps: [{ payloadType: 96, encoding: 'H264', clockRate: 90_000, channels: null }, { payloadType: 97, encoding: 'rtx', clockRate: 90_000, channels: null }],
      fmtp: new Map([[96, 'packetization-mode=1'], [97, 'apt=96']]), feedback: [{ payloadType: 96, value: 'nack pli' }, { payloadType: '*', value: 'ccm fir' }],
      extensions: [{ id: 3, direction: 'sendonly', uri: 'urn:x' }], ssrcs: [{ ssrc: 4_294_967_295, value: 'cname:a b' }], ssrcGroups: [{ semantics: 'FID', ssrcs: [1, 2] }],
      rids: [{ id: 'hi', direction: 'send', parameters: 'max-width=1280' }], simulcast: 'send hi;lo', msid: { stream: 's', track: 't' }, sctpPort: 5000, maxMessageSize: 262_144,
    };
    const description = { ...emptySession(), bundle: ['v'], iceLite: true, media: [media] };
    expect(parseSdp(writeSdp(description))).toEqual(description);
  });
});

describe('negotiation', () => {
  const offered = (lines: string): MediaDescription => section(`m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100\r\n${lines}`);
  const h264 = (pt: number, fmtp: string): string => `a=rtpmap:${String(pt)} H264/90000\r\na=fmtp:${String(pt)} ${fmtp}\r\n`;

  test.each([
    ['the equal profile', '64001f', h264(96, 'packetization-mode=1;profile-level-id=42e01f') + h264(97, 'packetization-mode=1;profile-level-id=64001f'), 97],
    ['[D-5] mode 1 whatever the profile', '640028', h264(96, 'packetization-mode=0;profile-level-id=640028') + h264(97, 'packetization-mode=1;profile-level-id=42e01f'), 97],
    ['Constrained Baseline rather than Baseline for 42c01f', '42c01f', h264(96, 'packetization-mode=1;profile-level-id=42001f') + h264(97, 'packetization-mode=1;profile-level-id=42e01f'), 97],
    ['mode 0 when there is no other', '640028', h264(96, 'profile-level-id=42e01f') + h264(97, 'packetization-mode=2'), 96],
  ])('H.264: %s', (_name, profile, lines, payloadType) => {
    expect(chooseCodec(offered(lines), 'h264', profile)?.payloadType).toBe(payloadType);
  });

  test('the payload type that retransmits is found by apt, not by a prefix of it', () => {
    const media = section(`m=video 9 UDP/TLS/RTP/SAVPF 9 98 99 100\r\na=rtpmap:9 VP8/90000\r\na=rtpmap:98 rtx/90000\r\na=fmtp:98 apt=99\r\na=rtpmap:100 rtx/90000\r\na=fmtp:100 apt=9;rtx-time=200\r\n`);
    expect(chooseCodec(media, 'vp8')).toMatchObject({ payloadType: 9, rtxPayloadType: 100, fmtp: null, rtpmap: 'VP8/90000' });
  });

  test('a payload type not in the media line, and another clock rate, are not chosen', () => {
    expect(chooseCodec(offered('a=rtpmap:101 H264/90000\r\n'), 'h264')).toBeNull();
    expect(chooseCodec(offered('a=rtpmap:96 VP8/48000\r\n'), 'vp8')).toBeNull();
  });

  test("Chromium publishing: H.264 Constrained Baseline before VP8; audio is Opus", () => {
    const offer = parseWebRtcOffer(PUBLISH);
    const [audio, video] = ['audio', 'video'].map((kind) => offer.media.find((m) => m.kind === kind));
    const chosen = video && chooseFirst(video, ['h264', 'vp8']);
    expect(chosen).toMatchObject({ codec: 'h264', packetizationMode: 1 });
    expect(chosen?.fmtp).toContain('42e01f');
    expect(audio && chooseCodec(audio, 'opus')).toMatchObject({ rtpmap: 'opus/48000/2' });
  });
});

describe('writeAnswer', () => {
  const answer = () => {
    const offer = parseWebRtcOffer(PLAY);
    const sections = offer.media.map((media): AnswerSection => {
      if (isDataChannel(media)) return { type: 'data', offer: media };
      const codec = chooseFirst(media, ['h264', 'opus'], '42e01f');
      if (!codec) return { type: 'rejected', offer: media };
      return { type: 'media', offer: media, codec, direction: media.kind === 'video' ? 'sendonly' : 'inactive', feedback: ['nack', 'nack pli', 'x-unknown'], extensions: [HeaderExtension.mid], source: media.kind === 'video' ? { ssrc: 11, rtxSsrc: 12, cname: 'line-1', stream: 'line-1', track: 'video' } : null };
    });
    return { offer, text: writeAnswer(sections, TRANSPORT), sections };
  };

  test('answers every section in order, bundled, with its own SSRCs and only what was offered', () => {
    const { text, offer } = answer();
    const parsed = parseWebRtcOffer(text);
    expect(parsed.bundle).toEqual(['0', '1', '2']);
    expect(parsed.media.map((m) => [m.kind, m.direction, m.setup])).toEqual([['video', 'sendonly', 'passive'], ['audio', 'inactive', 'passive'], ['application', 'sendrecv', 'passive']]);
    const video = parsed.media[0];
    expect(video?.ssrcGroups).toEqual([{ semantics: 'FID', ssrcs: [11, 12] }]);
    expect(video?.feedback.map((f) => f.value)).toEqual(['nack', 'nack pli']);
    expect(video?.formats).toHaveLength(2);
    expect(video?.candidates).toEqual(TRANSPORT.candidates);
    expect(video?.extensions).toEqual([{ id: offer.media[0]?.extensions.find((e) => e.uri === HeaderExtension.mid)?.id, direction: null, uri: HeaderExtension.mid }]);
    expect(parsed.media[2]).toMatchObject({ sctpPort: 5000, formats: ['webrtc-datachannel'] });
  });

  test('a rejected section has port 0 and stays out of the bundle', () => {
    const { offer, sections } = answer();
    const [, audio] = offer.media;
    const text = writeAnswer(sections.map((s) => (s.offer === audio ? { type: 'rejected', offer: s.offer } : s)), TRANSPORT);
    const parsed = parseSdp(text);
    expect(parsed.bundle).toEqual(['0', '2']);
    expect(parsed.media[1]).toMatchObject({ port: 0, direction: 'inactive', mid: '1', iceUfrag: null });
  });
});

describe('trickle fragments (RFC 8840)', () => {
  test('candidates carry the mid of their section', () => {
    const text = `a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host\r\na=end-of-candidates\r\n`;
    expect(parseSdpFragment(text)).toEqual({ iceUfrag: 'EsAw', icePwd: 'P2uYro0UCOQ4zxjKXaWCBui1', endOfCandidates: true, candidates: [{ mid: '0', candidate: 'candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host' }] });
  });
});

describe('parseWebRtcOffer', () => {
  test.each([
    ['no media', 'v=0\r\n', 'INVALID_ARGUMENT'],
    ['no mid', PLAY.replaceAll(/a=mid:.*\r\n/g, ''), 'INVALID_ARGUMENT'],
    ['no fingerprint', PLAY.replaceAll(/a=fingerprint:.*\r\n/g, ''), 'INVALID_ARGUMENT'],
    ['no ICE credentials', PLAY.replaceAll(/a=ice-pwd:.*\r\n/g, ''), 'INVALID_ARGUMENT'],
    ['two equal mids', PLAY.replaceAll('a=mid:1\r\n', 'a=mid:0\r\n'), 'INVALID_ARGUMENT'],
    ['no bundle', PLAY.replaceAll(/a=group:.*\r\n/g, ''), 'UNPROCESSABLE'],
    ['no rtcp-mux', PLAY.replaceAll('a=rtcp-mux\r\n', ''), 'UNPROCESSABLE'],
  ])('%s: %s', (_name, text, code) => {
    expect(() => parseWebRtcOffer(text)).toThrow(expect.objectContaining({ code }));
  });
});
