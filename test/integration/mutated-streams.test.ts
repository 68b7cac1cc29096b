/** Ten thousand broken streams at the decoder: what the camera sends is never trusted, and what breaks is a decoder process at most. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { ExtractorProcess } from '../../extractor/extractor-process.ts';
import type { CameraMessage, FromChild } from '../../extractor/protocol.ts';
import { silentLogger } from '../../platform/logging.ts';
import { clip as media, ffmpegMake } from '../support/media.ts';
import { seededRandom } from '../support/random.ts';
import { accessUnit, readClip } from './clip.ts';
import type { Clip, ClipUnit } from './clip.ts';

const STREAMS = 10_000;
const UNITS = 6;
const GOP = 12;
/** Streams that are in the process at a time. */
const AT_ONCE = 50;
const HEALTHY = 0;

const folder = await mkdtemp(join(tmpdir(), 'imageflow-mutated-'));
let clip: Clip;
beforeAll(async () => {
  clip = await readClip(await ffmpegMake(['-t', '2', '-i', media('vtest-720p30-baseline.mp4'), '-an', '-vf', 'scale=160:96', '-c:v', 'libx264', '-profile:v', 'main', '-g', String(GOP), '-sc_threshold', '0', '-bf', '1'], join(folder, 'small.mp4')));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const random = seededRandom(20_261_130);
const below = (n: number): number => Math.floor(random() * n);
/** Changes of a stream's units; each keeps most of it, so that the decoder gets far into it. */
const MUTATIONS: readonly ((units: ClipUnit[]) => ClipUnit[])[] = [
  (units) => units.map((unit) => changed(unit, (data) => { for (let i = 0; i < 1 + below(8); i++) data[below(data.length)] = below(256); return data; })),
  (units) => units.map((unit) => changed(unit, (data) => { const at = below(data.length); data[at] = (data[at] ?? 0) ^ (1 << below(8)); return data; })),
  (units) => units.map((unit) => changed(unit, (data) => data.subarray(0, 1 + below(data.length)))),
  (units) => units.toSorted(() => random() - 0.5),
  (units) => units.map((unit) => changed(unit, (data) => Buffer.concat([data, data.subarray(below(data.length))]))),
  // The lengths before NAL units lie.
  (units) => units.map((unit) => changed(unit, (data) => { data.writeUInt32BE(below(2 ** 32), 0); return data; })),
  (units) => units.map((unit) => changed(unit, () => Buffer.from(Array.from({ length: 1 + below(2_000) }, () => below(256))))),
  (units) => units.map((unit, i) => (i === 0 ? changed(unit, (data) => { for (let at = 4; at < Math.min(60, data.length); at++) if (below(4) === 0) data[at] = below(256); return data; }) : unit)),
];
/** Every other unit stays as it is: what is broken meets what is not. */
const changed = (unit: ClipUnit, change: (data: Buffer) => Buffer): ClipUnit => (below(2) === 0 ? unit : { ...unit, data: change(Buffer.from(unit.data)), randomAccess: true });

test('[EXT-7] ten thousand mutated streams: the edge outlives them, every one is done with, and a healthy camera in the same process is decoded on', { timeout: 300_000 }, async () => {
  let crashes = 0;
  let healthyFrames = 0;
  let pictures = 0;
  const waiting = new Map<number, () => void>();
  const onMessage = (message: FromChild): void => {
    if (message.type === 'flushed') {
      waiting.get(message.handle)?.();
      waiting.delete(message.handle);
    }
    if (message.type !== 'stats') return;
    if (message.handle === HEALTHY) healthyFrames += message.decodedFrames;
    else pictures += message.decodedFrames;
  };
  const { sps, pps } = clip.tracks.video;
  /** The parameter sets of every fourth are broken, too. */
  const setOf = (bytes: Uint8Array, handle: number): string => (handle === HEALTHY || handle % 4 !== 0 ? Buffer.from(bytes) : Buffer.from(bytes.map((byte, i) => (i > 0 && below(6) === 0 ? below(256) : byte)))).toString('base64');
  const camera = (handle: number): CameraMessage => ({
    handle, camera: `camera-${String(handle)}`, codec: { codec: 'h264', sps: setOf(sps, handle), pps: setOf(pps, handle) }, clockRate: 90_000,
    detectors: [{ id: 'd', model: 'none', fps: 30, confidence: null, tracking: false }], lastTrack: 0,
  });
  const start = (): ExtractorProcess => {
    const process = new ExtractorProcess({
      hello: { workers: [{ address: `unix:${join(folder, 'no-worker')}` }], deadlineMs: 1000 }, logLevel: 'fatal', clock: systemClock, logger: silentLogger(), onMessage,
      onCrash: () => {
        crashes++;
        extractor = start();
        for (const done of waiting.values()) done(); // what was in the process is given up
        waiting.clear();
      },
    });
    process.setCamera(camera(HEALTHY));
    return process;
  };
  let extractor = start();
  const run = async (handle: number, units: readonly ClipUnit[]): Promise<void> => {
    const process = extractor;
    process.setCamera(camera(handle));
    for (const [seq, unit] of units.entries()) if (!process.send(handle, accessUnit(`camera-${String(handle)}`, 1, seq, unit, clip.tracks, systemClock.monotonic()), false)) await process.drained();
    await new Promise<void>((resolve) => { waiting.set(handle, resolve); process.flush(handle); });
    process.removeCamera(handle);
  };
  let healthy = 0;
  for (let first = 1; first <= STREAMS; first += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => {
      const begin = GOP * below(Math.floor(clip.units.length / GOP) - 1);
      const mutation = MUTATIONS[(first + i) % MUTATIONS.length];
      return run(first + i, mutation?.(clip.units.slice(begin, begin + UNITS)) ?? []);
    }));
    const unit = clip.units[healthy % clip.units.length];
    if (unit) extractor.send(HEALTHY, accessUnit('camera-0', 1, healthy, { ...unit, pts: healthy * 3000, dts: healthy * 3000 }, clip.tracks, systemClock.monotonic()), false);
    healthy++;
  }
  await expect.poll(() => healthyFrames, { timeout: 20_000 }).toBeGreaterThan(healthy * 0.8);
  console.info('mutated streams:', JSON.stringify({ streams: STREAMS, pictures, crashes, healthyFrames, of: healthy }));
  await extractor[Symbol.asyncDispose]();
  expect(crashes).toBe(0);
  // Most is decoded as far as it goes, and not refused at the door.
  expect(pictures).toBeGreaterThan(STREAMS);
});
