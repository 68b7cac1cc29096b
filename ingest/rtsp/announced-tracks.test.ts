import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { readAnnouncement } from './announced-tracks.ts';

const sdp = (...lines: readonly string[]): string => ['v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=No Name', 'c=IN IP4 127.0.0.1', 't=0 0', ...lines, ''].join('\r\n');
const VIDEO = ['m=video 0 RTP/AVP 96', 'a=rtpmap:96 H264/90000', 'a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z2QAH6zZQFAFuhAAAAMAEAAAAwPA8YMZYA==,aOvssiw=; profile-level-id=64001F', 'a=control:streamid=0'];
const AAC = ['m=audio 0 RTP/AVP 97', 'b=AS:128', 'a=rtpmap:97 MPEG4-GENERIC/48000/2', 'a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=119056E500', 'a=control:streamid=1'];

describe('an announcement', () => {
  test('[ING-5] of ffmpeg with H.264 and AAC is taken whole', () => {
    expect(readAnnouncement(sdp(...VIDEO, ...AAC))).toMatchObject([
      { kind: 'video', control: 'streamid=0', payloadType: 96, parameterSets: { sps: { length: 25 }, pps: { length: 5 } } },
      { kind: 'audio', control: 'streamid=1', payloadType: 97, track: { codec: 'aac', clockRate: 48_000, channels: 2 } },
    ]);
  });

  test('[ING-5] with Opus is taken', () => {
    expect(readAnnouncement(sdp(...VIDEO, 'm=audio 0 RTP/AVP 98', 'a=rtpmap:98 opus/48000/2'))[1]).toMatchObject({ kind: 'audio', track: { codec: 'opus' } });
  });

  test.each([
    ['PCMU by its static number', ['m=audio 0 RTP/AVP 0']],
    ['AAC without a configuration', ['m=audio 0 RTP/AVP 97', 'a=rtpmap:97 MPEG4-GENERIC/48000/2', 'a=fmtp:97 sizelength=13;indexlength=3']],
    ['AAC whose RTP clock is not its sampling rate', ['m=audio 0 RTP/AVP 97', 'a=rtpmap:97 MPEG4-GENERIC/44100/2', 'a=fmtp:97 sizelength=13;indexlength=3;indexdeltalength=3;config=1190']],
    ['a second video', ['m=video 0 RTP/AVP 99', 'a=rtpmap:99 H264/90000']],
    ['ONVIF metadata', ['m=application 0 RTP/AVP 107', 'a=rtpmap:107 vnd.onvif.metadata/90000']],
  ])('[ING-5] keeps its video when there is %s beside it', (_, lines) => {
    expect(readAnnouncement(sdp(...VIDEO, ...lines)).map(({ kind }) => kind)).toEqual(['video', 'ignored']);
  });

  test.each([
    ['H.265', ['m=video 0 RTP/AVP 96', 'a=rtpmap:96 H265/90000', ...AAC]],
    ['interleaved H.264', ['m=video 0 RTP/AVP 96', 'a=rtpmap:96 H264/90000', 'a=fmtp:96 packetization-mode=2']],
    ['nothing but audio that cannot be carried', ['m=audio 0 RTP/AVP 8']],
    ['no media', []],
  ])('of %s is refused as an unsupported media type', (_, lines) => {
    expect(() => readAnnouncement(sdp(...lines))).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_MEDIA_TYPE' }));
  });

  test('with broken parameter sets waits for those in-band', () => {
    expect(readAnnouncement(sdp('m=video 0 RTP/AVP 96', 'a=rtpmap:96 H264/90000', 'a=fmtp:96 sprop-parameter-sets=AAAA,*'))[0]).toMatchObject({ kind: 'video', parameterSets: null });
  });

  test('of any text is read or refused, and never crashes', () => {
    const line = fc.oneof(fc.string(), fc.constantFrom(...VIDEO, ...AAC), fc.string().map((text) => `a=fmtp:97 sizelength=13;config=${text}`));
    fc.assert(fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
      try {
        readAnnouncement(sdp(...lines));
      } catch (error) {
        expect(error).toBeInstanceOf(MediaError);
      }
    }));
  });
});
