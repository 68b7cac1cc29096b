import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../errors.ts';
import { decodeSegmentInfoBox, encodeFrameBases, encodeSegmentInfo, follows, frameAt } from './segment-info-box.ts';
import type { FrameBase, SegmentInfo } from './segment-info-box.ts';

const base: FrameBase = { kind: 'video', index: 0, pts: 90_000, rtpTs: 4_294_967_000, seq: 7, captureNtp: 1_750_000_000_000.25 };
const info: SegmentInfo = {
  version: 1, id: 'cam/1750000000000-abcdefgh-3', camera: 'cam', sessionId: 'abcdefgh-1', sessionStart: 1_749_999_990_000, epoch: 1_749_999_990_123, sequence: 3,
  start: 1_750_000_000_000.5, gapBefore: 1_200, gapCause: 'restart', tracks: [{ kind: 'video', codec: 'avc1.64001f', width: 1280, height: 720 }, { kind: 'audio', codec: 'opus', width: null, height: null }], frames: [base],
};
const whole = (bytes: Buffer) => decodeSegmentInfoBox(bytes, { type: 'uuid', start: 0, payload: 8, end: bytes.length });

test('what a file says about itself is read back, to the fraction of a millisecond', () => {
  expect(whole(encodeSegmentInfo(info))).toEqual({ segment: info });
  expect(whole(encodeFrameBases([base, { ...base, kind: 'audio', captureNtp: null }]))).toEqual({ frames: [base, { ...base, kind: 'audio', captureNtp: null }] });
});

test('[REC-10] the link to the segment before is read back; a file without one is read, too, and one that lies is refused', () => {
  const chain = { position: 7, previousId: 'cam/1749999990000-abcdefgh-2', previousSha256: 'ab'.repeat(32) };
  for (const link of [chain, { ...chain, previousSha256: null }, { position: 1, previousId: null, previousSha256: null }]) {
    expect(whole(encodeSegmentInfo({ ...info, chain: link }))).toEqual({ segment: { ...info, chain: link } });
  }
  for (const link of [{ ...chain, position: 0 }, { ...chain, position: 1.5 }, { ...chain, previousSha256: 'abc' }, { ...chain, previousId: 7 }, null, 'x']) {
    expect(() => whole(encodeSegmentInfo({ ...info, chain: link } as never))).toThrow(MediaError);
  }
});

test("somebody else's uuid box is not ours", () => {
  expect(whole(Buffer.from(`0000002075756964${'11'.repeat(24)}`, 'hex'))).toBeUndefined();
});

test('a FrameRef follows from the last base before it, over the wrap of the RTP timestamp', () => {
  const later: FrameBase = { kind: 'video', index: 5, pts: 120_000, rtpTs: 10, seq: 20, captureNtp: null };
  expect(frameAt(info, [base, later], 2, 96_000, 90_000)).toEqual({ stream: 'cam', epoch: info.epoch, rtpTs: 5_704, captureNtp: 1_750_000_000_066.9167, seq: 9 });
  expect(frameAt(info, [base, later], 6, 123_000, 90_000)).toEqual({ stream: 'cam', epoch: info.epoch, rtpTs: 3_010, captureNtp: null, seq: 21 });
});

test('whatever `follows` accepts, `frameAt` gives', () => {
  const frame = fc.record({ rtpTs: fc.nat({ max: 2 ** 32 - 1 }), seq: fc.nat(), captureNtp: fc.option(fc.double({ min: 0, max: 2e12, noNaN: true })) });
  fc.assert(fc.property(frame, fc.nat(1_000), fc.integer({ min: -9_000, max: 900_000 }), fc.boolean(), ({ rtpTs, seq, captureNtp }, index, elapsed, same) => {
    const from: FrameBase = { kind: 'video', index: 0, pts: 90_000, rtpTs, seq, captureNtp };
    const expected = frameAt(info, [from], index, 90_000 + elapsed, 90_000);
    expect(follows(from, index, 90_000 + elapsed, 90_000, same ? expected : { ...expected, seq: expected.seq + 1 })).toBe(same);
  }));
});

test('segment information that lies is refused', () => {
  const json = JSON.stringify({ segment: { ...info, start: 'yesterday' } });
  const bytes = encodeSegmentInfo(info);
  const lying = Buffer.concat([bytes.subarray(0, 24), Buffer.from(json)]);
  expect(() => whole(lying)).toThrow(MediaError);
  expect(() => whole(bytes.subarray(0, bytes.length - 3))).toThrow(MediaError);
});
