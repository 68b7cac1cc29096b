/** Codes in real H.264, decoded by a real extractor process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { ExtractorProcess } from '../../extractor/extractor-process.ts';
import type { CodesWanted, FromChild } from '../../extractor/protocol.ts';
import { silentLogger } from '../../platform/logging.ts';
import { codeClip } from '../support/code-clip.ts';
import { until } from '../support/server.ts';
import { accessUnit, readClip } from './clip.ts';
import type { Clip } from './clip.ts';

const CAMERA = 'line-1';
const TEXT = 'https://mes.example/wo/4711?part=A-7';
const [FROM, TO] = [1, 2];
/** ffmpeg shows what it overlays from the picture before on. */
const ONE_PICTURE = 0.04;
/** Of the clip, one is looked at. */
const EACH = 6;

let folder: string;
let clip: Clip;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'if-codes-'));
  clip = await readClip(await codeClip(folder, TEXT, { seconds: 3, from: FROM, to: TO }));
});
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

const start = () => {
  const messages: FromChild[] = [];
  const crashes: (number | null)[] = [];
  const extractor = new ExtractorProcess({
    hello: { workers: [], deadlineMs: 1000 }, logLevel: 'error', clock: systemClock, logger: silentLogger(), onMessage: (message) => { messages.push(message); }, onCrash: (culprit) => { crashes.push(culprit); },
  });
  const { sps, pps } = clip.tracks.video;
  const set = (codes?: CodesWanted): void => {
    extractor.setCamera({ handle: 1, camera: CAMERA, codec: { codec: 'h264', sps: Buffer.from(sps).toString('base64'), pps: Buffer.from(pps).toString('base64') }, clockRate: 90_000, detectors: [], lastTrack: 0, ...(codes && { codes }) });
  };
  const send = async (first: number, end: number): Promise<void> => {
    for (let seq = first; seq < end; seq++) {
      const unit = clip.units[seq];
      if (unit && !extractor.send(1, accessUnit(CAMERA, 1_750_000_000_000, seq, unit, clip.tracks, systemClock.monotonic()), false)) await extractor.drained();
    }
  };
  const sum = (count: (message: FromChild) => number): number => messages.reduce((total, message) => total + count(message), 0);
  const looked = () => sum((message) => (message.type === 'code-stats' ? message.looked : 0));
  const skipped = (reason: 'fps' | 'superseded') => sum((message) => (message.type === 'code-stats' ? message.skipped[reason] ?? 0 : 0));
  const decoded = () => sum((message) => (message.type === 'stats' ? message.decodedFrames : 0));
  const read = () => messages.flatMap((message) => (message.type === 'codes' ? [message] : []));
  return { extractor, crashes, set, send, looked, skipped, decoded, read };
};

test('[PRO-2] [EXT-1] a code that a camera sees is read from its one decoder, at the place and in the pictures in which it is to be seen', async () => {
  const { extractor, crashes, set, send, looked, skipped, decoded, read } = start();
  await using _extractor = extractor;
  set({ fps: 30 / EACH, formats: ['qr'] });
  // One picture that is looked at after the other, so that none takes another one's place: the first, and one in each of the next few.
  for (let seq = 0; seq < clip.units.length; seq += seq === 0 ? 1 : EACH) {
    const before = looked();
    await send(seq, seq === 0 ? 1 : seq + EACH);
    await until('it is looked at', () => looked() > before);
  }
  expect(skipped('superseded')).toBe(0);
  await until('all are counted', () => looked() + skipped('fps') === clip.units.length);
  await until('and what was decoded', () => decoded() >= clip.units.length);
  expect(decoded()).toBe(clip.units.length);
  const shown = read();
  expect(shown.length).toBeGreaterThanOrEqual(4);
  for (const { frame, capturedAt, codes } of shown) {
    const { pts = 0 } = clip.units[frame.seq] ?? {};
    const seconds = pts / 90_000;
    expect(codes).toMatchObject([{ format: 'qr', text: TEXT, bytes: null }]);
    expect(seconds).toBeGreaterThanOrEqual(FROM - ONE_PICTURE);
    expect(seconds).toBeLessThanOrEqual(TO + ONE_PICTURE);
    expect([frame.stream, frame.epoch, capturedAt]).toEqual([CAMERA, 1_750_000_000_000, 1_750_000_000_000 + pts / 90]);
    const middle = (axis: 0 | 1): number => (codes[0]?.corners ?? []).reduce((total, corner) => total + corner[axis], 0) / 4;
    expect(Math.abs(middle(0) * 1280 - (200 + 60 * seconds + 120))).toBeLessThan(12);
    expect(Math.abs(middle(1) * 720 - (200 + 20 * seconds + 120))).toBeLessThan(12);
  }
  expect(crashes).toEqual([]);
});

test('[PRO-2] pictures that come faster than they are read give way to the newest one, counted, and switched off none is looked at', async () => {
  const { extractor, set, send, looked, skipped, decoded } = start();
  await using _extractor = extractor;
  set({ fps: 10, formats: ['qr', 'data_matrix', 'pdf417'] });
  await send(0, 60); // all at once: the thread has not even started
  await until('all are decoded', () => decoded() === 60);
  await until('each is looked at or counted', () => looked() + skipped('superseded') + skipped('fps') === 60);
  expect(skipped('superseded')).toBeGreaterThan(0);
  set();
  const before = looked();
  await send(60, 90);
  await until('these are decoded, too', () => decoded() === 90);
  expect(looked()).toBe(before);
});
