import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AccessUnit } from '../../core/access-unit.ts';
import { opusTrack } from '../../core/codec/opus/opus.ts';
import type { DepacketizedUnit } from '../../core/rtp/port.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { StreamTimeline } from './stream-timeline.ts';
import type { StreamTimelineOptions } from './stream-timeline.ts';

/** Of the fixture vtest-720p30-bframes: 1280×720, High, two pictures of reordering. */
const SPS = Buffer.from('6764001facd9405005ba1000000300100000030 3c0f1831960'.replace(' ', ''), 'hex');
const PPS = Buffer.from('68ebecb22c', 'hex');

const nals = (...list: readonly Buffer[]): Buffer => Buffer.concat(list.flatMap((nal) => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(nal.length);
  return [length, nal];
}));
const IDR = Buffer.from('6588', 'hex');
const SLICE = Buffer.from('419a', 'hex');

const picture = (timestamp: number, options: { readonly idr?: boolean; readonly sps?: Buffer; readonly pps?: Buffer; readonly data?: Buffer } = {}): DepacketizedUnit => ({
  timestamp: timestamp >>> 0, randomAccess: options.idr ?? false, sps: options.sps ?? null, pps: options.pps ?? null, size: null,
  data: options.data ?? nals(...(options.sps ? [options.sps] : []), ...(options.pps ? [options.pps] : []), options.idr ? IDR : SLICE),
});
const sound = (timestamp: number): DepacketizedUnit => ({ timestamp: timestamp >>> 0, data: Buffer.from('fc00', 'hex'), randomAccess: true, sps: null, pps: null, size: null });

const setUp = (options: Partial<StreamTimelineOptions> = {}) => {
  const clock = new FakeClock();
  const units: AccessUnit[] = [];
  let seq = 0;
  const timeline = new StreamTimeline({ camera: 'c', epoch: clock.now(), nextSeq: () => seq++, publish: (unit) => units.push(unit), video: 'h264', audio: null, clock, ...options });
  const video = (unit: DepacketizedUnit): void => { timeline.video(unit, clock.monotonic()); };
  const audio = (unit: DepacketizedUnit): void => { timeline.audio(unit, clock.monotonic()); };
  return { clock, units, timeline, video, audio };
};
const declared = { parameterSets: { sps: SPS, pps: PPS } };

describe('a stream\'s timeline', () => {
  test('[ING-5] publishes nothing before the first random access picture with parameter sets', () => {
    const { units, video, timeline } = setUp();
    video(picture(0));
    video(picture(3_000, { idr: true }));
    expect(units).toEqual([]);
    video(picture(6_000, { idr: true, sps: SPS, pps: PPS }));
    video(picture(9_000));
    expect(units.map(({ randomAccess, frame }) => [randomAccess, frame.seq])).toEqual([[true, 0], [false, 1]]);
    expect(units[0]?.tracks).toMatchObject({ video: { codec: 'h264', width: 1280, height: 720, reorderDepth: 2 }, audio: null });
    expect(timeline.drops.awaitingRandomAccess).toBe(2);
  });

  test('[ING-5] takes parameter sets from the SDP', () => {
    const { units, video } = setUp(declared);
    video(picture(0, { idr: true }));
    expect(units).toHaveLength(1);
  });

  test('[ING-5] gives new tracks when parameter sets change, and the same object while they are repeated', () => {
    const { units, video } = setUp(declared);
    const other = Buffer.from(PPS);
    other[4] = 0x2d;
    video(picture(0, { idr: true }));
    video(picture(3_000, { idr: true, sps: SPS, pps: PPS }));
    video(picture(6_000, { pps: other })); // takes effect at the next random access picture
    video(picture(9_000, { idr: true, sps: SPS, pps: other }));
    const [a, b, c, d] = units.map(({ tracks }) => tracks);
    expect(b).toBe(a);
    expect(c).toBe(a);
    expect(d).not.toBe(a);
    expect(d?.video).toMatchObject({ pps: Uint8Array.from(other) });
  });

  test('keeps the former format when a broken parameter set comes', () => {
    const { units, video } = setUp(declared);
    video(picture(0, { idr: true }));
    video(picture(3_000, { idr: true, sps: Buffer.from('67', 'hex'), pps: PPS }));
    expect(units[1]?.tracks).toBe(units[0]?.tracks);
  });

  test('a parameter set of kilobytes is as good as none: nothing behind it could use it', () => {
    const { units, video } = setUp(declared);
    video(picture(0, { idr: true }));
    video(picture(3_000, { idr: true, sps: Buffer.concat([SPS, Buffer.alloc(5_000)]), pps: PPS }));
    expect(units[1]?.tracks).toBe(units[0]?.tracks);
  });

  test('takes what comes without a picture for its parameter sets only', () => {
    const { units, video, timeline } = setUp();
    video(picture(0, { sps: SPS, pps: PPS, data: nals(SPS, PPS) }));
    expect(timeline.drops.noPicture).toBe(1);
    video(picture(0, { idr: true }));
    expect(units).toHaveLength(1);
  });

  test('counts from the epoch and keeps the distances of the camera', () => {
    const { clock, units, video } = setUp(declared);
    clock.advance(250);
    [0, 3_001, 5_999].forEach((timestamp, i) => { video(picture(0xffff_f800 + timestamp, { idr: i === 0 })); clock.advance(33); });
    expect(units.map(({ pts }) => pts)).toEqual([22_500, 25_501, 28_499]);
    expect(units.map(({ frame }) => frame.rtpTs)).toEqual([0xffff_f800, 953, 3_951]);
  });

  test('[REC-1] derives decode times of B-frames from the reorder depth of the SPS', () => {
    const { units, video } = setUp(declared);
    [0, 12_000, 6_000, 3_000, 9_000].forEach((timestamp, i) => { video(picture(timestamp, { idr: i === 0 })); });
    expect(units.map(({ dts }) => dts)).toEqual([-6_000, -3_000, 0, 3_000, 6_000]);
  });

  test('tells the time of capture by the server\'s clock and, beside it, by the camera\'s', () => {
    const { clock, units, video, timeline } = setUp(declared);
    const epoch = clock.now();
    video(picture(0, { idr: true }));
    timeline.senderReport('video', epoch - 1_234, 0);
    clock.advance(40);
    video(picture(3_600));
    expect(units.map(({ wall }) => wall)).toEqual([epoch, epoch + 40]);
    expect(units.map(({ frame }) => frame.captureNtp)).toEqual([null, epoch - 1_194]);
  });

  test('knows that a camera which counts from its own start has no wall clock', () => {
    const { units, video, timeline } = setUp(declared);
    timeline.senderReport('video', 5_000, 0);
    video(picture(0, { idr: true }));
    expect(units[0]?.frame.captureNtp).toBeNull();
  });

  test('goes on from where it was when the camera\'s clock jumps', () => {
    const { clock, units, video } = setUp(declared);
    video(picture(1_000_000_000, { idr: true }));
    clock.advance(40);
    video(picture(77, { idr: true }));
    clock.advance(40);
    video(picture(3_677));
    expect(units.map(({ pts }) => pts)).toEqual([0, 3_600, 7_200]);
  });

  test('[ING-5] reads VP8 sizes from key frames', () => {
    const { units, video } = setUp({ video: 'vp8' });
    const frame = (timestamp: number, size: DepacketizedUnit['size']): DepacketizedUnit => ({ ...picture(timestamp, { idr: size !== null }), size });
    video(frame(0, { width: 640, height: 360 }));
    video(frame(3_000, null));
    video(frame(6_000, { width: 1280, height: 720 }));
    expect(units.map(({ tracks }) => tracks.video?.width)).toEqual([640, 640, 1280]);
  });

  describe('with audio', () => {
    const withAudio = { ...declared, audio: opusTrack() };

    test('begins it with the video', () => {
      const { clock, units, video, audio } = setUp(withAudio);
      audio(sound(0));
      video(picture(0, { idr: true }));
      clock.advance(20);
      audio(sound(960));
      expect(units.map(({ kind, pts }) => [kind, pts])).toEqual([['video', 0], ['audio', 960]]);
      expect(units[1]?.frame.seq).toBe(0);
    });

    test('puts both on one timeline by the sender reports, whenever their packets arrive', () => {
      const { clock, units, video, audio, timeline } = setUp(withAudio);
      timeline.senderReport('video', clock.now(), 10_000);
      timeline.senderReport('audio', clock.now(), 5_000);
      video(picture(10_000, { idr: true }));
      clock.advance(300); // the audio encoder is slow to start
      audio(sound(5_000));
      audio(sound(5_960));
      expect(units.map(({ pts }) => pts)).toEqual([0, 0, 960]);
    });

    test('corrects audio in one step when a report shows it 40 ms or more out of step, and never goes back', () => {
      const { clock, units, video, audio, timeline } = setUp(withAudio);
      const ntp = clock.now();
      video(picture(0, { idr: true }));
      for (let i = 0; i < 5; i++) { audio(sound(i * 960)); clock.advance(20); }
      timeline.senderReport('video', ntp, 0);
      timeline.senderReport('audio', ntp + 100, 0); // audio was captured 100 ms after the video
      audio(sound(5 * 960));
      timeline.senderReport('audio', ntp + 110, 0); // within tolerance of what is in force
      audio(sound(6 * 960));
      timeline.senderReport('audio', ntp + 20, 0); // back by 80 ms: 4 frames give way
      for (let i = 7; i < 12; i++) audio(sound(i * 960));
      expect(units.filter(({ kind }) => kind === 'audio').map(({ pts }) => pts / 48)).toEqual([0, 20, 40, 60, 80, 200, 220, 240]);
      expect(timeline.drops.audioOutOfOrder).toBe(4);
    });

    test.each([5_000, -3_000])('keeps sound and picture together when the camera\'s clock is set by %d ms, whenever its reports come', (step) => {
      const { clock, units, video, audio, timeline } = setUp(withAudio);
      const ntp = clock.now();
      for (let ms = 0; ms < 20_000; ms += 20) {
        const device = ms + (ms >= 10_000 ? step : 0);
        if (ms % 5_000 === 0) timeline.senderReport('video', ntp + device, device * 90);
        if (ms % 40 === 0) video(picture(device * 90, { idr: ms === 0 }));
        if (ms % 5_000 === 0) timeline.senderReport('audio', ntp + device, device * 48);
        audio(sound(device * 48));
        clock.advance(20);
      }
      expect(timeline.drops.audioOutOfOrder).toBe(0);
      for (const unit of units) {
        expect(unit.pts / (unit.kind === 'video' ? 90 : 48)).toBeCloseTo(unit.arrivedAt, 3);
        expect(unit.wall - ntp).toBeCloseTo(unit.arrivedAt, 3);
      }
    });

    test('counts its own units where there is no video', () => {
      const { units, audio } = setUp({ video: null, audio: opusTrack() });
      audio(sound(0));
      audio(sound(960));
      expect(units.map(({ frame, randomAccess }) => [frame.seq, randomAccess])).toEqual([[0, true], [1, true]]);
    });
  });

  test('[REC-7] whatever a publisher sends, tracks change with a random access picture alone, so that no recorded file begins between key frames', () => {
    // Of another size, and the same with another picture parameter set.
    const small = Buffer.from('Z2QAH6yyAKALdCAAAAMAIAAAB4HjBkk=', 'base64');
    const otherPps = Buffer.from('68ebe3cb22c0', 'hex');
    const event = fc.oneof(
      { weight: 6, arbitrary: fc.record({ type: fc.constant('video' as const), idr: fc.boolean(), sps: fc.constantFrom(null, null, SPS, small), pps: fc.constantFrom(null, null, PPS, otherPps) }) },
      { weight: 3, arbitrary: fc.record({ type: fc.constant('audio' as const) }) },
    );
    const seen = { changes: 0, soundBefore: 0 };
    fc.assert(fc.property(fc.array(event, { maxLength: 60 }), fc.boolean(), (events, inSdp) => {
      const { clock, units, video, audio } = setUp({ ...(inSdp ? declared : {}), audio: opusTrack() });
      for (const [i, e] of events.entries()) {
        if (e.type === 'audio') audio(sound(i * 1_920));
        else video(picture(i * 3_600, { idr: e.idr, ...(e.sps ? { sps: e.sps } : {}), ...(e.pps ? { pps: e.pps } : {}) }));
        clock.advance(40);
      }
      for (const [i, unit] of units.entries()) {
        const before = units[i - 1];
        if (unit.tracks === before?.tracks) continue;
        expect([unit.kind, unit.randomAccess]).toEqual(['video', true]);
        // Sound has its track before it is heard: when it joins, nothing changes.
        expect(unit.tracks.audio).not.toBeNull();
        if (before) seen.changes++;
      }
      if (units.findIndex(({ kind }) => kind === 'audio') > 1) seen.soundBefore++;
    }));
    expect(Math.min(seen.changes, seen.soundBefore)).toBeGreaterThan(0);
  });

  test('any units at any time keep pts ≥ 0, dts ≤ pts, dts strictly increasing per kind and wall finite', () => {
    const event = fc.oneof(
      { weight: 6, arbitrary: fc.record({ type: fc.constant('video' as const), timestamp: fc.oneof(fc.nat(0xffff_ffff), fc.nat(200_000)), idr: fc.boolean(), sets: fc.boolean(), data: fc.option(fc.uint8Array({ maxLength: 24 }), { nil: undefined }) }) },
      { weight: 4, arbitrary: fc.record({ type: fc.constant('audio' as const), timestamp: fc.oneof(fc.nat(0xffff_ffff), fc.nat(100_000)) }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('report' as const), kind: fc.constantFrom('video' as const, 'audio' as const), ntp: fc.oneof(fc.double(), fc.integer({ min: 1_749_999_999_000, max: 1_750_000_001_000 })), timestamp: fc.nat(0xffff_ffff) }) },
      { weight: 2, arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.double({ min: 0, max: 20_000, noNaN: true }) }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('step' as const), ms: fc.integer({ min: -10_000_000, max: 10_000_000 }) }) },
    );
    fc.assert(fc.property(fc.array(event, { maxLength: 120 }), (events) => {
      const { clock, units, video, audio, timeline } = setUp({ ...declared, audio: opusTrack() });
      for (const e of events) {
        switch (e.type) {
          case 'video':
            video(picture(e.timestamp, { idr: e.idr, ...(e.sets ? { sps: SPS, pps: PPS } : {}), ...(e.data ? { data: Buffer.from(e.data) } : {}) }));
            break;
          case 'audio':
            audio(sound(e.timestamp));
            break;
          case 'report':
            timeline.senderReport(e.kind, e.ntp, e.timestamp);
            break;
          case 'wait':
            clock.advance(e.ms);
            break;
          case 'step':
            clock.step(e.ms);
        }
      }
      for (const kind of ['video', 'audio']) {
        let previous = Number.NEGATIVE_INFINITY;
        for (const unit of units.filter((u) => u.kind === kind)) {
          expect(Number.isFinite(unit.pts) && unit.pts >= 0).toBe(true);
          expect(unit.dts).toBeLessThanOrEqual(unit.pts);
          expect(unit.dts).toBeGreaterThan(previous);
          expect(Number.isFinite(unit.wall)).toBe(true);
          previous = unit.dts;
        }
      }
      expect(units[0]?.kind ?? 'video').toBe('video');
    }), { numRuns: 300 });
  });
});
