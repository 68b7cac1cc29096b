import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import type { FrameDispatcher, FrameOffer } from '../../inference/port.ts';
import { fakeModelInfo } from '../../inference/testing/fake-worker.ts';
import { silentLogger } from '../../platform/logging.ts';
import { readClip } from '../../test/integration/clip.ts';
import type { Clip } from '../../test/integration/clip.ts';
import { CameraExtraction } from './camera-extraction.ts';
import { Decoder } from './decoder.ts';
import { SlowLane } from './slow-lane.ts';

let clip: Clip;
beforeAll(async () => { clip = await readClip(join(import.meta.dirname, '..', '..', 'test/fixtures/media/counter-720p30.mp4')); });

/** A camera with one detector of 2 pictures a second, and what its dispatcher was offered. `waits`: what the dispatcher says of it. */
const setUp = () => {
  const offers: FrameOffer[] = [];
  const waits = { ms: 0 };
  const dispatcher: FrameDispatcher = {
    setWorkers: () => undefined, reports: () => [], forget: () => undefined,
    model: (name) => fakeModelInfo(name, 32),
    waitsFor: () => waits.ms,
    offer: (offer) => { offers.push(offer); offer.pixels[Symbol.dispose](); },
  };
  const clock = new FakeClock(0);
  const unused = (): never => { throw new Error('not in this test'); };
  const { sps, pps } = clip.tracks.video;
  const extraction = new CameraExtraction({
    handle: 1, camera: 'a', clockRate: 90_000, lastTrack: 0, codec: { codec: 'h264', sps: Buffer.from(sps).toString('base64'), pps: Buffer.from(pps).toString('base64') },
    detectors: [{ id: 'd', model: 'm', fps: 2, confidence: null, tracking: false }],
  }, {
    dispatcher, clock, logger: silentLogger(), blackBox: { enter: () => undefined, leave: () => undefined }, lane: new SlowLane(),
    decoders: { device: () => null, open: (codec) => new Decoder(codec), doubt: unused },
    codes: { reader: { offer: unused, forget: () => undefined }, send: unused },
    onDecoderChange: () => undefined, sendPicture: unused, sendNoStill: unused,
    burnIn: { encoders: { encodingDevice: () => null, encoder: unused, doubt: unused, stuck: unused }, hasRoom: () => true, send: unused, onEncoderChange: () => undefined },
  });
  const play = (from: number, to: number): void => {
    for (const [i, { data, pts, randomAccess }] of clip.units.slice(from, to).entries()) {
      extraction.accept({ handle: 1, data: Buffer.from(data), pts, wall: 0, randomAccess, decodeOnly: false, frame: { stream: 'a', epoch: 1, rtpTs: pts, captureNtp: null, seq: from + i } });
    }
  };
  return { extraction, offers, waits, play };
};

test('[EXT-2] a detector sees its pictures and no others', () => {
  const { extraction, offers, play } = setUp();
  using _extraction = extraction;
  play(0, 40);
  expect(offers.map(({ frame, refresh }) => [frame.seq, refresh])).toEqual([[0, false], [12, false], [27, false]]);
  expect(extraction.takeStats()).toMatchObject({ decodedFrames: 40, skipped: { fps: 37 } });
});

test('[EXT-2][EXT-6] while a picture of it waits for long, every newer one is offered in its place, out of turn, and its turns stay what they are', () => {
  const { extraction, offers, waits, play } = setUp();
  using _extraction = extraction;
  play(0, 18);
  waits.ms = 126;
  play(18, 20);
  waits.ms = 125;
  play(20, 26);
  waits.ms = 126;
  play(26, 30);
  expect(offers.map(({ frame, refresh }) => [frame.seq, refresh])).toEqual([[0, false], [12, false], [18, true], [19, true], [26, true], [27, false], [28, true], [29, true]]);
  expect(extraction.takeStats()).toMatchObject({ decodedFrames: 30, skipped: { fps: 30 - 8 } });
});
