import fc from 'fast-check';
import { expect, test } from 'vitest';
import { childBoxes, needBox } from './box-reader.ts';
import type { InitTrack } from './init-reader.ts';
import { readMoof, readPrft } from './part-reader.ts';
import { writePart } from './part-writer.ts';
import { SampleColumns } from './sample-columns.ts';

const track = (id: number, kind: 'video' | 'audio', timescale: number): InitTrack =>
  ({ id, kind, timescale, format: '', sampleEntry: Buffer.alloc(0), width: 0, height: 0, codec: '', defaultDuration: 0, defaultSize: 0, defaultFlags: kind === 'audio' ? 0x0200_0000 : 0x0101_0000 });
const TRACKS = [track(1, 'video', 90_000), track(2, 'audio', 48_000)];

const sample = fc.record({
  data: fc.uint8Array({ minLength: 1, maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
  duration: fc.integer({ min: 1, max: 1_000_000 }),
  compositionOffset: fc.integer({ min: -100_000, max: 100_000 }),
  randomAccess: fc.boolean(),
});

test('what the part writer writes is what is read, sample for sample and byte for byte', () => {
  const part = fc.record({
    sequence: fc.integer({ min: 1, max: 2 ** 31 }),
    wall: fc.double({ min: 0, max: 4_000_000_000_000, noNaN: true }),
    base: fc.integer({ min: 200_000, max: 2 ** 45 }),
    video: fc.array(sample, { minLength: 1, maxLength: 20 }),
    audio: fc.array(sample, { maxLength: 20 }),
    before: fc.integer({ min: 0, max: 2 ** 40 }),
  });
  fc.assert(fc.property(part, ({ sequence, wall, base, video, audio, before }) => {
    const sound = audio.map((s) => ({ ...s, compositionOffset: 0, randomAccess: true }));
    const tracks = [{ trackId: 1, baseDecodeTime: base, samples: video }, ...(sound.length > 0 ? [{ trackId: 2, baseDecodeTime: base + 1, samples: sound }] : [])];
    const bytes = Buffer.concat(writePart({ sequence, reference: { trackId: 1, wall, mediaTime: base }, tracks }));
    const boxes = childBoxes(bytes, 0, bytes.length);
    const prft = readPrft(bytes, needBox(boxes, 'prft'));
    expect(prft).toMatchObject({ trackId: 1, mediaTime: base });
    expect(Math.abs(prft.wall - wall)).toBeLessThan(0.001);
    const columns = [new SampleColumns(1), new SampleColumns(1)];
    const summary = readMoof(bytes, needBox(boxes, 'moof'), before, TRACKS, columns, 3);
    const mdat = needBox(boxes, 'mdat');
    expect(summary).toEqual({ sequence, dataStart: mdat.payload + before, dataEnd: mdat.end + before });
    [video, sound].forEach((samples, t) => {
      const read = columns[t] ?? new SampleColumns();
      let dts = base + t;
      expect(read.length).toBe(samples.length);
      samples.forEach(({ data, duration, compositionOffset, randomAccess }, i) => {
        const offset = (read.offset[i] ?? 0) - before;
        expect([read.dts[i], read.pts[i], read.duration[i], read.sync[i], read.part[i]]).toEqual([dts, dts + compositionOffset, duration, randomAccess ? 1 : 0, 3]);
        expect(bytes.subarray(offset, offset + (read.bytes[i] ?? 0)).equals(data)).toBe(true);
        dts += duration;
      });
    });
  }), { numRuns: 200 });
});

test('a wall time after the NTP era ends in 2036 is read as what it was', () => {
  const wall = Date.UTC(2040, 1, 29, 12);
  const bytes = Buffer.concat(writePart({ sequence: 1, reference: { trackId: 1, wall, mediaTime: 0 }, tracks: [{ trackId: 1, baseDecodeTime: 0, samples: [{ data: Buffer.from([1]), duration: 1, compositionOffset: 0, randomAccess: true }] }] }));
  expect(readPrft(bytes, needBox(childBoxes(bytes, 0, bytes.length), 'prft')).wall).toBe(wall);
});
