import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { negotiatePublish } from './publish-negotiation.ts';
import { fullLayer } from './simulcast.ts';

const OFFER = readFileSync(new URL('../../test/fixtures/sdp/chromium-publish.sdp', import.meta.url), 'utf8').replaceAll(/\r?\n/g, '\r\n');
const TRANSPORT = { iceUfrag: 'abcd', icePwd: 'a'.repeat(22), fingerprint: { algorithm: 'sha-256', value: Array(32).fill('AB').join(':') }, setup: 'passive' as const, candidates: ['candidate:1 1 UDP 1 192.0.2.1 5 typ host'] };
const reason = (offer: string): string | undefined => {
  try {
    negotiatePublish(offer, 8e6);
  } catch (error) {
    return error instanceof MediaError ? (error.reason ?? error.code) : 'not a MediaError';
  }
  return undefined;
};
const [session = '', audio = '', video = ''] = OFFER.split(/(?=^m=)/m);

describe('a Chromium offer', () => {
  const plan = negotiatePublish(OFFER, 8e6);

  test('is taken as H.264 in packetization mode 1 with RTX, Opus, transport-cc; everything arrives on the first section', () => {
    expect(plan.video).toMatchObject({ codecName: 'h264', codec: { packetizationMode: 1 }, nack: true, fir: true, remb: false, layer: null });
    expect(plan.video.codec.rtxPayloadType).not.toBeNull();
    expect(plan.video.transportSequenceId).toBe(3);
    expect(plan.audio).toMatchObject({ track: { codec: 'opus' }, transportSequenceId: 3 });
    expect(plan.first).toMatchObject({ mid: '0', kind: 'audio' });
  });

  test('[W2] is answered recvonly, without the rotation extension, with every candidate', () => {
    const answer = plan.answer(TRANSPORT, '1');
    expect(answer.match(/a=recvonly/g)).toHaveLength(2);
    expect(answer).not.toContain('video-orientation');
    expect(answer.match(/^b=TIAS:8000000\r$/gm)).toHaveLength(1); // the video's alone
    expect(answer).toContain('a=candidate:1 1 UDP 1 192.0.2.1 5 typ host');
    expect(answer).toContain('a=group:BUNDLE 0 1');
  });
});

test('VP8 is taken when there is no H.264', () => {
  expect(negotiatePublish(OFFER.replaceAll(' H264/', ' X/'), 8e6).video.codecName).toBe('vp8');
});

test('[ING-5] audio without Opus is refused alone', () => {
  const plan = negotiatePublish(OFFER.replaceAll('opus/48000', 'mp4a-latm/48000'), 8e6);
  expect([plan.audio, plan.first.mid]).toEqual([null, '1']);
  expect(plan.answer(TRANSPORT, '1')).toMatch(/m=audio 0 [^]*m=video 9 /);
});

test('REMB is agreed to when transport-cc is not offered', () => {
  const plan = negotiatePublish(OFFER.replaceAll(/a=rtcp-fb:\d+ transport-cc\r\n/g, ''), 8e6);
  expect(plan.video).toMatchObject({ transportSequenceId: null, remb: true });
  expect(plan.answer(TRANSPORT, '1')).toContain('goog-remb');
});

test('[W2] [W3] what sends nothing, twice the same, no video or no codec of ours is 422', () => {
  expect(reason(OFFER.replaceAll('a=sendonly', 'a=recvonly'))).toBe('DIRECTION');
  expect(reason(OFFER.replaceAll('a=sendonly', 'a=inactive'))).toBe('DIRECTION');
  expect(reason(session.replace('BUNDLE 0 1', 'BUNDLE 0') + audio)).toBe('NO_VIDEO');
  expect(reason(session.replace('BUNDLE 0 1', 'BUNDLE 0 1 2') + audio + video + video.replace('a=mid:1', 'a=mid:2'))).toBe('MULTIPLE_TRACKS');
  expect(reason(OFFER.replaceAll(/ (H264|VP8)\//g, ' X/'))).toBe('NO_USABLE_CODEC');
});

test('of simulcast layers the one of full size is taken, and named alone in the answer', () => {
  expect([[], ['q', 'h', 'f'], ['h', 'm', 'l'], ['0', '1', '2'], ['lo', 'hi']].map(fullLayer)).toEqual([null, 'f', 'h', '2', 'hi']);
  const offer = OFFER.trimEnd() + '\r\na=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\na=rid:q send\r\na=rid:f send\r\na=simulcast:send q;f\r\n';
  const plan = negotiatePublish(offer, 8e6);
  expect(plan.video.layer).toMatchObject({ rid: 'f' });
  expect(plan.answer(TRANSPORT, '1')).toMatch(/a=rid:f recv\r\na=simulcast:recv f\r\n/);
});

test('any offer, and any damaged one, is taken or refused, and never crashes', () => {
  const lines = OFFER.split('\r\n');
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(lines.length), fc.string())), fc.nat(OFFER.length), (edits, cut) => {
    const damaged = [...lines];
    for (const [at, text] of edits) damaged[at] = `${damaged[at]?.slice(0, 4) ?? ''}${text}`;
    for (const offer of [damaged.join('\r\n'), OFFER.slice(0, cut)]) expect(reason(offer)).not.toBe('not a MediaError');
  }), { numRuns: 50 });
});
