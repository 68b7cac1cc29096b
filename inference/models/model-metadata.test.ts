import { mkdtempSync, rmSync, writeFileSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { labelsFor, readModelMetadata } from './model-metadata.ts';
import { readOnnxMetadata } from './onnx-metadata.ts';
import { parseNames } from './python-dict.ts';

const MODELS = join(import.meta.dirname, '..', '..', 'models');

/** A protobuf field of wire type 2; lengths below 128. */
const field = (number: number, bytes: Buffer): Buffer => Buffer.concat([Buffer.from([number << 3 | 2, bytes.length]), bytes]);
const entry = (key: string, value: string): Buffer => field(14, Buffer.concat([field(1, Buffer.from(key)), field(2, Buffer.from(value))]));

test('[INF-2] metadata_props are read from between the other fields', () => {
  const model = Buffer.concat([Buffer.from([0x08, 0x08]), field(7, Buffer.from('a graph')), entry('stride', '32'), entry('names', "{0: 'a'}")]);
  expect([...readOnnxMetadata(model)]).toEqual([['stride', '32'], ['names', "{0: 'a'}"]]);
});

test('[INF-2] the bundled models name their classes', () => {
  expect(parseNames(readOnnxMetadata(readFileSync(join(MODELS, 'inspect-320.onnx'))).get('names') ?? '')).toEqual(['scratch', 'contamination', 'deformation']);
  expect(parseNames(readOnnxMetadata(readFileSync(join(MODELS, 'nanodet-g-416.int8.u8.onnx'))).get('names') ?? '')).toHaveLength(80);
});

test('any bytes have metadata or are refused, and never crash', () => {
  const refusedOrMap = (bytes: Uint8Array): void => {
    try {
      expect(readOnnxMetadata(bytes)).toBeInstanceOf(Map);
    } catch (error) {
      expect(error).toBeInstanceOf(MediaError);
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), refusedOrMap), { numRuns: 500 });
  const good = Buffer.concat([entry('names', "{0: 'a'}"), field(7, Buffer.alloc(50))]);
  fc.assert(fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, length) => {
    const bytes = Buffer.from(good);
    bytes.writeUInt8(value, at);
    refusedOrMap(bytes.subarray(0, length));
  }), { numRuns: 500 });
});

test.each([
  ["{0: 'person', 1: \"driver's seat\"}", ['person', "driver's seat"]],
  ["{0:'a',2:'c',}", ['a', 'class 1', 'c']],
  [String.raw`{0: 'it\'s', 1: 'a\\b'}`, ["it's", 'a\\b']],
  ['{}', null],
  ["{0: 'open", null],
  ["{0: 'a'} x", null],
  ["{99999: 'a'}", null],
  ["['a']", null],
])('parses names %s', (text, labels) => { expect(parseNames(text)).toEqual(labels); });

test('any text is a dict of names or is none, and what is written is read', () => {
  fc.assert(fc.property(fc.string(), (text) => { expect(parseNames(text) === null || Array.isArray(parseNames(text))).toBe(true); }));
  fc.assert(fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1, maxLength: 20 }), (labels) => {
    const text = `{${labels.map((label, i) => `${i}: '${label.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`).join(', ')}}`;
    expect(parseNames(text)).toEqual(labels);
  }));
});

let folder: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-meta-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

test('[INF-2] a sidecar names the classes and sets the confidence; without any, 80 classes are COCO', async () => {
  const path = join(folder, 'mine.onnx');
  const none = await readModelMetadata(path, Buffer.alloc(0));
  expect(none).toMatchObject({ labels: null, defaultConfidence: 0.35 });
  expect((await labelsFor(none.labels, 80, MODELS))[32]).toBe('sports ball');
  expect(await labelsFor(none.labels, 2, MODELS)).toEqual(['class 0', 'class 1']);
  writeFileSync(join(folder, 'mine.labels.json'), '["bolt", "nut"]');
  writeFileSync(join(folder, 'mine.json'), '{"confidence": 0.6}');
  const told = await readModelMetadata(path, entry('names', "{0: 'a'}"));
  expect(told).toMatchObject({ labels: ['bolt', 'nut'], defaultConfidence: 0.6 });
  expect(await labelsFor(told.labels, 3, MODELS)).toEqual(['bolt', 'nut', 'class 2']);
});

test('a broken sidecar is refused with its name', async () => {
  writeFileSync(join(folder, 'mine.json'), '{"confidence": 60}');
  await expect(readModelMetadata(join(folder, 'mine.onnx'), Buffer.alloc(0))).rejects.toThrow('mine.json');
});
