import { expect, test } from 'vitest';
import { FieldReader, childBoxes, needBox } from './box-reader.ts';
import type { BoxHeader } from './box-reader.ts';
import { buildProgressive } from './progressive.ts';
import type { ProgressiveSource } from './progressive.ts';
import { SampleColumns } from './sample-columns.ts';

const ENTRY = Buffer.from('0000000861766331', 'hex');
const OTHER = Buffer.from('000000096176633100', 'hex');
const track = (sampleEntry = ENTRY) => ({ id: 1, kind: 'video' as const, timescale: 90_000, format: 'avc1', sampleEntry, width: 640, height: 360, codec: 'avc1', defaultDuration: 0, defaultSize: 0, defaultFlags: 0 });

/** Two parts of three pictures: the first part at 1000, the second at 2000; decode order I P B. */
const source = (shift = 0, sampleEntry = ENTRY): ProgressiveSource => {
  const samples = new SampleColumns();
  for (let i = 0; i < 6; i++) {
    const dts = 90_000 + i * 3_000;
    const pts = dts + ([3_000, 6_000, 0][i % 3] ?? 0);
    samples.push(dts, pts, 3_000, (i < 3 ? 1_000 : 2_000) + (i % 3) * 10, 10, i % 3 === 0, i < 3 ? 0 : 1);
  }
  return { tracks: [track(sampleEntry)], samples: [samples], ranges: [{ first: 0, last: 6 }], shift };
};

const table = (header: Buffer, type: string, read: (fields: FieldReader) => unknown): unknown => {
  const inside = (box: BoxHeader): BoxHeader[] => childBoxes(header, box.payload, box.end);
  const moov = needBox(childBoxes(header.subarray(0, header.length - 16), 0, header.length - 16), 'moov');
  const trak = inside(needBox(inside(moov), 'trak'));
  if (type === 'elst') return read(new FieldReader(header, needBox(inside(needBox(trak, 'edts')), 'elst')));
  const minf = needBox(inside(needBox(trak, 'mdia')), 'minf');
  return read(new FieldReader(header, needBox(inside(needBox(inside(minf), 'stbl')), type)));
};
const pairs = (fields: FieldReader): number[][] => {
  fields.fullBox();
  return Array.from({ length: fields.u32() }, () => [fields.u32(), fields.u32()]);
};
const offsets = (fields: FieldReader): number[] => {
  fields.fullBox();
  return Array.from({ length: fields.u32() }, () => fields.u64());
};

test('one extent and one chunk per part; offsets count from the start of the file', () => {
  const { header, extents, byteLength } = buildProgressive([source()], { start: 1_000, end: 1_200 });
  expect(Array.from({ length: extents.count }, (_, i) => extents.at(i))).toEqual([
    { source: 0, offset: 1_000, length: 30, position: header.length },
    { source: 0, offset: 2_000, length: 30, position: header.length + 30 },
  ]);
  expect(byteLength).toBe(header.length + 60);
  expect(table(header, 'co64', offsets)).toEqual([header.length, header.length + 30]);
  expect(table(header, 'stts', pairs)).toEqual([[6, 3_000]]);
  expect(table(header, 'ctts', pairs)).toEqual([[1, 3_000], [1, 6_000], [1, 0], [1, 3_000], [1, 6_000], [1, 0]]);
});

test('the edit list begins at the asked picture, to the tick, and ends after the last', () => {
  const { header } = buildProgressive([source()], { start: (96_000 * 1000) / 90_000, end: (102_000 * 1000) / 90_000 });
  expect(table(header, 'elst', (f) => { f.fullBox(); return [f.u32(), f.u64(), f.u64()]; })).toEqual([1, 6_000, 6_000]);
});

test('across a gap the picture before it lasts until the one after it', () => {
  const { header } = buildProgressive([source(), source(10_000)], { start: 1_000, end: 20_000 });
  expect(table(header, 'stts', pairs)).toEqual([[5, 3_000], [1, 900_000 - 15_000], [6, 3_000]]);
});

test('two sources that overlap keep decode time going forward', () => {
  const { header } = buildProgressive([source(), source(-50)], { start: 1_000, end: 2_000 });
  expect((table(header, 'stts', pairs) as number[][]).every(([, delta]) => (delta ?? 0) >= 1)).toBe(true);
});

test('other parameters are another sample description, announced in the stream itself', () => {
  const prefix = Buffer.from('000000026742', 'hex');
  const { header, extents } = buildProgressive([source(), { ...source(200, OTHER), videoPrefix: prefix }], { start: 1_000, end: 1_400 });
  expect(extents.at(2)).toEqual({ source: 1, inline: prefix, offset: 0, length: 6, position: header.length + 60 });
  expect(table(header, 'stsc', (f) => { f.fullBox(); return Array.from({ length: f.u32() }, () => [f.u32(), f.u32(), f.u32()]); })).toEqual([[1, 3, 1], [3, 3, 2]]);
  expect(table(header, 'stsz', (f) => { f.fullBox(); f.u32(); return Array.from({ length: f.u32() }, () => f.u32()); })).toEqual([10, 10, 10, 10, 10, 10, 16, 10, 10, 10, 10, 10]);
  expect(table(header, 'co64', offsets)).toEqual([0, 30, 60, 96].map((at) => header.length + at));
});
