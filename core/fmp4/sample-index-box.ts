/**
 * A `uuid` box at the end of a closed recording that says again what all its `moof`s say: so that the index of ten seconds is one read instead of
 * a hundred, and a playback of hours begins at once. Players pass it over; a file without it is read box by box.
 *
 *     16 bytes type, u32 version, u32 parts, parts × f64 wall time of media time 0,
 *     u32 tracks, tracks × { u32 kind (0 video, 1 audio), u32 samples, f64 first dts,
 *       samples × u32: dts − first dts; composition offset (i32); duration; file offset; bytes; part × 2 + sync },
 *     u32 length, frame bases as JSON, u32 size of this box, "IFSX". All big-endian.
 */
import type { Milliseconds } from '../units.ts';
import { FieldReader, malformed, readBoxHeader } from './box-reader.ts';
import { BoxWriter } from './box-writer.ts';
import { SampleColumns } from './sample-columns.ts';
import { readFrameBases } from './segment-info-box.ts';
import type { FrameBase } from './segment-info-box.ts';

/** 0b7c5a52-3de7-4b0f-9d0a-6a7f43c1d8e2, drawn at random. */
const TYPE = Buffer.from('0b7c5a523de74b0f9d0a6a7f43c1d8e2', 'hex');
const MAGIC = 'IFSX';
/** Longer boxes (hours in one segment) are not written: reading them in one piece would be no gain. */
const MAX_BYTES = 2 << 20;
const MAX_U32 = 0xffff_ffff;
const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
/** The last bytes of a file that tell whether and how long the box is. */
export const SAMPLE_INDEX_TAIL = 8;

export interface SampleIndex {
  readonly wallAtZero: readonly Milliseconds[];
  readonly video: SampleColumns;
  readonly audio: SampleColumns;
  readonly bases: readonly FrameBase[];
}

/** The whole box, or undefined when the file is too large for it. */
export const encodeSampleIndex = (index: SampleIndex): Buffer | undefined => {
  const w = new BoxWriter(256 + index.wallAtZero.length * 8 + (index.video.length + index.audio.length) * 24);
  const box = w.begin('uuid');
  w.bytes(TYPE);
  w.u32(1);
  w.u32(index.wallAtZero.length);
  for (const wall of index.wallAtZero) writeDouble(w, wall);
  w.u32(2);
  for (const [kind, samples] of [index.video, index.audio].entries()) {
    const base = samples.dts[0] ?? 0;
    w.u32(kind);
    w.u32(samples.length);
    writeDouble(w, samples.length > 0 ? base : 0);
    for (let i = 0; i < samples.length; i++) {
      const dts = samples.dts[i] ?? 0;
      const offset = samples.offset[i] ?? 0;
      if (dts - base > MAX_U32 || dts < base || offset > MAX_U32) return undefined;
      w.u32(dts - base);
      w.i32(Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, (samples.pts[i] ?? 0) - dts)));
      w.u32(samples.duration[i] ?? 0);
      w.u32(offset);
      w.u32(samples.bytes[i] ?? 0);
      w.u32((samples.part[i] ?? 0) * 2 + (samples.sync[i] ?? 0));
    }
  }
  const json = Buffer.from(JSON.stringify(index.bases));
  w.u32(json.length);
  w.bytes(json);
  if (w.length + SAMPLE_INDEX_TAIL > MAX_BYTES) return undefined;
  w.u32(w.length - box + SAMPLE_INDEX_TAIL);
  w.ascii(MAGIC);
  w.end(box);
  return w.finish();
};

/** The size of the box by the last 8 bytes of a file; undefined when they are something else. */
export const sampleIndexSize = (tail: Buffer): number | undefined => {
  if (tail.length < SAMPLE_INDEX_TAIL || tail.toString('latin1', tail.length - 4) !== MAGIC) return undefined;
  const size = tail.readUInt32BE(tail.length - 8);
  return size <= MAX_BYTES && size > TYPE.length + 8 ? size : undefined;
};

/** Whether a `uuid` box with these first payload bytes is one. */
export const isSampleIndex = (payload: Buffer): boolean => payload.length >= TYPE.length && payload.subarray(0, TYPE.length).equals(TYPE);

/**
 * Reads a whole box. `fileEnd`: where the box begins in the file; samples lie before it. Throws INVALID_ARGUMENT when it does not make sense.
 */
export const decodeSampleIndex = (bytes: Buffer, fileEnd: number): SampleIndex => {
  const box = readBoxHeader(bytes, 0, 0, bytes.length);
  if (box?.type !== 'uuid' || box.end !== bytes.length || !isSampleIndex(bytes.subarray(box.payload))) throw malformed('not a sample index');
  const fields = new FieldReader(bytes, box);
  fields.skip(TYPE.length);
  if (fields.u32() !== 1) throw malformed('a sample index of an unknown version');
  const parts = fields.u32();
  if (parts * 8 > fields.remaining) throw malformed('more parts than there can be');
  const wallAtZero = Array.from({ length: parts }, () => finite(fields.slice(8).readDoubleBE(0)));
  if (fields.u32() !== 2) throw malformed('a sample index without two tracks');
  const columns = [0, 1].map((kind) => {
    if (fields.u32() !== kind) throw malformed('the tracks of a sample index');
    return readSamples(fields, parts, fileEnd);
  });
  const json = fields.slice(fields.u32()).toString('utf8');
  const [video = NO_SAMPLES, audio = NO_SAMPLES] = columns;
  return { wallAtZero, video, audio, bases: readFrameBases(json) };
};

/** A track that is not there: one for all files, since nobody adds to what was read. */
const NO_SAMPLES = new SampleColumns();
/** Where words are put into the machine's order; as large as the largest yet. */
let scratch = new Uint32Array(0);

const readSamples = (fields: FieldReader, parts: number, fileEnd: number): SampleColumns => {
  const count = fields.u32();
  if (count * 24 > fields.remaining) throw malformed('more samples than there can be');
  const base = finite(fields.slice(8).readDoubleBE(0));
  if (count === 0) return NO_SAMPLES;
  // All at once into the machine's own order: ten hours are a million samples, six numbers each.
  if (scratch.length < count * 6) scratch = new Uint32Array(count * 6);
  const words = scratch;
  const bytes = Buffer.from(words.buffer, 0, count * 24);
  bytes.set(fields.slice(count * 24));
  if (LITTLE_ENDIAN) bytes.swap32();
  const samples = SampleColumns.filled(count);
  const { dts, pts, duration, offset, bytes: sizes, part, sync } = samples;
  for (let i = 0, at = 0; i < count; i++, at += 6) {
    const begin = words[at + 3] ?? 0;
    const size = words[at + 4] ?? 0;
    const word = words[at + 5] ?? 0;
    if (begin + size > fileEnd || word >>> 1 >= parts) throw malformed('a sample outside the file');
    const decode = base + (words[at] ?? 0);
    dts[i] = decode;
    pts[i] = decode + ((words[at + 1] ?? 0) | 0);
    duration[i] = words[at + 2] ?? 0;
    offset[i] = begin;
    sizes[i] = size;
    part[i] = word >>> 1;
    sync[i] = word & 1;
  }
  return samples;
};

const finite = (value: number): number => {
  if (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER) throw malformed('a number that is none');
  return value;
};

const writeDouble = (w: BoxWriter, value: number): void => {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleBE(value, 0);
  w.bytes(bytes);
};
