/** The real decoder, under another name where a test has a device. */
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { readClip } from '../../test/integration/clip.ts';
import type { Clip } from '../../test/integration/clip.ts';
import type { CodecMessage } from '../protocol.ts';
import { CameraDecoder } from './camera-decoder.ts';
import type { DecoderSource } from './camera-decoder.ts';
import { Decoder } from './decoder.ts';
import type { OnFrame, PictureDecoder } from './decoder.ts';

const MEDIA = join(import.meta.dirname, '..', '..', 'test/fixtures/media');
let baseline: Clip;
let bframes: Clip;
beforeAll(async () => {
  baseline = await readClip(join(MEDIA, 'vtest-720p30-baseline.mp4'));
  bframes = await readClip(join(MEDIA, 'vtest-720p30-bframes.mp4'));
});

const codecOf = ({ tracks: { video } }: Clip): CodecMessage => ({ codec: 'h264', sps: Buffer.from(video.sps).toString('base64'), pps: Buffer.from(video.pps).toString('base64') });

/** Real software that is lost after so many access units. */
class Lossy implements PictureDecoder {
  readonly #decoder: Decoder;
  #left: number;
  constructor(codec: CodecMessage, units: number) {
    this.#decoder = new Decoder(codec);
    this.#left = units;
  }
  decode(data: Buffer, index: number, randomAccess: boolean, onFrame: OnFrame): void {
    if (this.#left-- <= 0) throw new Error('device lost');
    this.#decoder.decode(data, index, randomAccess, onFrame);
  }
  drain(onFrame: OnFrame): void {
    if (this.#left <= 0) throw new Error('device lost');
    this.#decoder.drain(onFrame);
  }
  reset(): void { this.#decoder.reset(); }
  [Symbol.dispose](): void { this.#decoder[Symbol.dispose](); }
}

interface Device {
  name: string | null;
  /** Access units until it is lost; 0: it does not even open. */
  lasts: number;
}

const setUp = (clip: Clip, device: Device) => {
  const clock = new FakeClock();
  const opened: (string | null)[] = [];
  const doubted: string[] = [];
  const told: (string | null)[] = [];
  const source: DecoderSource = {
    device: () => device.name,
    open: (codec, name) => {
      if (name !== null && device.lasts === 0) throw new Error('no such device');
      opened.push(name);
      return name === null ? new Decoder(codec) : new Lossy(codec, device.lasts);
    },
    doubt: (name) => { doubted.push(name); },
  };
  const decoder = new CameraDecoder({ camera: 'a', source, clock, logger: silentLogger(), onChange: () => { told.push(decoder.name); } });
  const shown: number[] = [];
  const failures: number[] = [];
  let awaiting = true;
  /** As the camera does: after a failure it goes on at the next random access unit. */
  const play = (from: number, to: number): void => {
    for (let i = from; i < to; i++) {
      const unit = clip.units[i]!;
      if (awaiting && !unit.randomAccess) continue;
      try {
        awaiting = false;
        decoder.decode(codecOf(clip), Buffer.from(unit.data), i, unit.randomAccess, (_frame, index) => { shown.push(index); });
      } catch {
        failures.push(i);
        awaiting = true;
        decoder.reset();
      }
    }
  };
  const finish = (): number[] => {
    decoder.drain((_frame, index) => { shown.push(index); });
    return shown;
  };
  return { decoder, clock, opened, doubted, told, shown, failures, play, finish };
};

/** Numbers of the random access units. */
const keysOf = (clip: Clip): number[] => clip.units.flatMap(({ randomAccess }, i) => (randomAccess ? [i] : []));
const all = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

test('[EXT-8] without a device software decodes, and says so', () => {
  const { decoder, told, opened, play, shown } = setUp(baseline, { name: null, lasts: 0 });
  using _decoder = decoder;
  expect(decoder.name).toBeNull();
  play(0, 20);
  expect([decoder.name, told, opened, decoder.takeFailed()]).toEqual(['software', ['software'], [null], []]);
  expect(shown).toEqual(all(0, 20));
});

test.each([['without', () => baseline], ['with', () => bframes]] as const)('[EXT-8] a device that is found while a stream %s B-frames is decoded takes over at the next random access picture; no picture is lost by it', (_how, clipOf) => {
  const clip = clipOf();
  const device: Device = { name: null, lasts: Infinity };
  const { decoder, told, opened, play, finish } = setUp(clip, device);
  using _decoder = decoder;
  const [, second = 0] = keysOf(clip);
  play(0, second - 5);
  device.name = 'vaapi';
  play(second - 5, second);
  expect(decoder.name).toBe('software');
  play(second, second + 20);
  expect([decoder.name, told, opened]).toEqual(['vaapi', ['software', 'vaapi'], [null, 'vaapi']]);
  expect(finish().toSorted((a, b) => a - b)).toEqual(all(0, second + 20));
});

test('[EXT-7] [EXT-8] a device that is lost costs the pictures up to the next random access picture, which software decodes; it is tried again after a minute', () => {
  const device: Device = { name: 'cuda', lasts: 10 };
  const { decoder, clock, told, doubted, opened, failures, shown, play } = setUp(baseline, device);
  using _decoder = decoder;
  const [, second = 0, third = 0] = keysOf(baseline);
  play(0, third);
  expect([failures, doubted, decoder.takeFailed(), decoder.takeFailed()]).toEqual([[10], ['cuda'], ['cuda'], []]);
  expect([decoder.name, told, opened]).toEqual(['software', ['cuda', 'software'], ['cuda', null]]);
  expect(shown).toEqual([...all(0, 10), ...all(second, third)]);
  clock.advance(60_000);
  device.lasts = Infinity; // it was a damaged picture
  play(third, third + 10);
  expect([decoder.name, shown.slice(-10)]).toEqual(['cuda', all(third, third + 10)]);
});

test('[EXT-8] a device that does not open any more costs no picture', () => {
  const { decoder, opened, failures, shown, play } = setUp(baseline, { name: 'qsv', lasts: 0 });
  using _decoder = decoder;
  play(0, 30);
  expect([decoder.name, opened, failures, decoder.takeFailed()]).toEqual(['software', [null], [], ['qsv']]);
  expect(shown).toEqual(all(0, 30));
});

test('[EXT-8] a device that is taken away is left at the next random access picture, also when it fails in giving out its last pictures', () => {
  const device: Device = { name: 'vaapi', lasts: Infinity };
  const { decoder, failures, play, shown } = setUp(baseline, device);
  using _decoder = decoder;
  const [, second = 0] = keysOf(baseline);
  play(0, second);
  device.name = null;
  play(second, second + 5);
  expect([decoder.name, failures, shown]).toEqual(['software', [], all(0, second + 5)]);

  const lost: Device = { name: 'vaapi', lasts: second };
  const again = setUp(baseline, lost);
  using _again = again.decoder;
  again.play(0, second);
  lost.name = null;
  again.play(second, second + 5);
  expect([again.decoder.name, again.failures, again.shown, again.doubted]).toEqual(['software', [], all(0, second + 5), ['vaapi']]);
});

test('[EXT-7] damage of the stream is held against a device, and against software never', () => {
  const { decoder, play, clock } = setUp(baseline, { name: 'cuda', lasts: Infinity });
  using _decoder = decoder;
  play(0, 5);
  const damaged = (): void => { decoder.decode(codecOf(baseline), Buffer.from([0, 0, 0, 9, 1]), 5, false, () => undefined); };
  expect(damaged).toThrow();
  expect([decoder.name, decoder.takeFailed()]).toEqual([null, ['cuda']]);
  const [, second = 0] = keysOf(baseline);
  play(second, second + 5);
  expect(damaged).toThrow();
  expect([decoder.name, decoder.takeFailed()]).toEqual(['software', []]);
  decoder.end(); // another resolution comes: nothing is held against the device any more
  clock.advance(1);
  play(second, second + 1);
  expect(decoder.name).toBe('cuda');
});
