/** Writes `ftyp`, `moov` and the `mdat` header of a progressive MP4 (ISO/IEC 14496-12:2022 §8.1–§8.7): plain tables, one `trak` per track. */
import { BoxWriter } from './box-writer.ts';
import type { BoxStart } from './box-writer.ts';
import type { InitTrack } from './init-reader.ts';

/** One track's tables. Ticks are of the track's timescale; the arrays hold `count` entries and may be longer. */
export interface OutputTrack {
  readonly track: InitTrack;
  /** Sample entry boxes. */
  readonly descriptions: readonly Buffer[];
  readonly count: number;
  /** Decode times from 0, strictly increasing. */
  readonly dts: Float64Array;
  /** PTS − DTS. */
  readonly composition: Int32Array;
  readonly bytes: Uint32Array;
  readonly sync: Uint8Array;
  readonly lastDuration: number;
  /** `position` counts from the first byte inside `mdat`; `description` from 1. */
  readonly chunks: readonly { readonly position: number; readonly samples: number; readonly description: number }[];
  /** Ticks of nothing before the first sample is displayed. */
  readonly emptyBefore: number;
  /** The media time displayed first, and for how long. */
  readonly mediaStart: number;
  readonly displayed: number;
}

/** The movie's timescale is video's, so that a frame-exact edit has no rounding. */
const MOVIE_TIMESCALE = 90_000;
const UNITY_MATRIX = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000] as const;
const MDAT_HEADER = 16;

/** `dataBytes`: what will follow the header. */
export const writeProgressiveHeader = (tracks: readonly OutputTrack[], dataBytes: number): Buffer => {
  const w = new BoxWriter(4096 + tracks.reduce((sum, track) => sum + track.count * 8 + track.chunks.length * 20, 0));
  const ftyp = w.begin('ftyp');
  w.ascii('isom');
  w.u32(0x200);
  w.ascii('isomiso2avc1mp41');
  w.end(ftyp);
  const moov = w.begin('moov');
  writeMovieHeader(w, tracks);
  const offsetTables = tracks.map((track, i) => writeTrack(w, track, i + 1));
  w.end(moov);
  w.u32(1); // the size follows in 64 bits: six hours are more than 4 GiB
  w.ascii('mdat');
  w.u64(dataBytes + MDAT_HEADER);
  const header = w.finish();
  tracks.forEach(({ chunks }, i) => {
    let at = offsetTables[i] ?? 0;
    for (const { position } of chunks) {
      const offset = header.length + position;
      header.writeUInt32BE(Math.floor(offset / 2 ** 32), at);
      header.writeUInt32BE(offset % 2 ** 32, at + 4);
      at += 8;
    }
  });
  return header;
};

const movieTicks = (ticks: number, timescale: number): number => Math.round((ticks * MOVIE_TIMESCALE) / timescale);

const editedDuration = ({ emptyBefore, displayed, track }: OutputTrack): number => movieTicks(emptyBefore, track.timescale) + movieTicks(displayed, track.timescale);

const writeMovieHeader = (w: BoxWriter, tracks: readonly OutputTrack[]): void => {
  const box = w.beginFull('mvhd', 1, 0);
  w.u64(0); // creation and modification time: the same bytes for the same range
  w.u64(0);
  w.u32(MOVIE_TIMESCALE);
  w.u64(Math.max(...tracks.map(editedDuration)));
  w.u32(0x10000);
  w.u16(0x100);
  w.zeros(10);
  for (const value of UNITY_MATRIX) w.u32(value);
  w.zeros(24);
  w.u32(tracks.length + 1);
  w.end(box);
};

/** Returns where the entries of its `co64` begin: they are known when the header's length is. */
const writeTrack = (w: BoxWriter, output: OutputTrack, id: number): number => {
  const { track } = output;
  const trak = w.begin('trak');
  const tkhd = w.beginFull('tkhd', 1, 3); // enabled, in the movie
  w.u64(0);
  w.u64(0);
  w.u32(id);
  w.u32(0);
  w.u64(editedDuration(output));
  w.zeros(8);
  w.u16(0);
  w.u16(0);
  w.u16(track.kind === 'audio' ? 0x100 : 0);
  w.u16(0);
  for (const value of UNITY_MATRIX) w.u32(value);
  w.u32(track.width * 0x10000);
  w.u32(track.height * 0x10000);
  w.end(tkhd);
  writeEdits(w, output);

  const mdia = w.begin('mdia');
  const mdhd = w.beginFull('mdhd', 1, 0);
  w.u64(0);
  w.u64(0);
  w.u32(track.timescale);
  w.u64((output.dts[output.count - 1] ?? 0) + output.lastDuration);
  w.u16(0x55c4); // language `und`
  w.u16(0);
  w.end(mdhd);
  const hdlr = w.beginFull('hdlr', 0, 0);
  w.u32(0);
  w.ascii(track.kind === 'video' ? 'vide' : 'soun');
  w.zeros(12);
  w.ascii(track.kind === 'video' ? 'video\0' : 'audio\0');
  w.end(hdlr);
  const minf = w.begin('minf');
  const header = track.kind === 'video' ? w.beginFull('vmhd', 0, 1) : w.beginFull('smhd', 0, 0);
  w.zeros(track.kind === 'video' ? 8 : 4);
  w.end(header);
  const dinf = w.begin('dinf');
  const dref = w.beginFull('dref', 0, 0);
  w.u32(1);
  w.end(w.beginFull('url ', 0, 1)); // the media is in this very file
  w.end(dref);
  w.end(dinf);
  const offsets = writeSampleTables(w, output);
  w.end(minf);
  w.end(mdia);
  w.end(trak);
  return offsets;
};

/** §8.6.6: nothing for a while if the track begins later than the movie, then the media from the asked frame on. */
const writeEdits = (w: BoxWriter, { track, emptyBefore, mediaStart, displayed }: OutputTrack): void => {
  const edts = w.begin('edts');
  const elst = w.beginFull('elst', 1, 0);
  w.u32(emptyBefore > 0 ? 2 : 1);
  if (emptyBefore > 0) {
    w.u64(movieTicks(emptyBefore, track.timescale));
    w.u32(0xffff_ffff); // media time −1: an empty edit
    w.u32(0xffff_ffff);
    w.u32(0x10000);
  }
  w.u64(movieTicks(displayed, track.timescale));
  w.u64(mediaStart);
  w.u32(0x10000); // rate 1.0
  w.end(elst);
  w.end(edts);
};

const writeSampleTables = (w: BoxWriter, output: OutputTrack): number => {
  const { count, dts, lastDuration, composition, bytes, sync, chunks, descriptions } = output;
  const stbl = w.begin('stbl');
  const stsd = w.beginFull('stsd', 0, 0);
  w.u32(descriptions.length);
  for (const entry of descriptions) w.bytes(entry);
  w.end(stsd);

  const stts = w.beginFull('stts', 0, 0);
  writeRuns(w, count, (i) => Math.min(0xffff_ffff, i + 1 < count ? (dts[i + 1] ?? 0) - (dts[i] ?? 0) : lastDuration), (value) => { w.u32(value); });
  w.end(stts);
  const used = composition.subarray(0, count);
  if (used.some((offset) => offset !== 0)) {
    const ctts = w.beginFull('ctts', used.some((offset) => offset < 0) ? 1 : 0, 0);
    writeRuns(w, count, (i) => used[i] ?? 0, (value) => { w.i32(value); });
    w.end(ctts);
  }
  if (sync.subarray(0, count).includes(0)) writeSyncSamples(w, sync, count);
  writeSampleToChunk(w, chunks);
  const stsz = w.beginFull('stsz', 0, 0);
  w.u32(0);
  w.u32(count);
  w.u32s(bytes.subarray(0, count));
  w.end(stsz);
  const co64 = w.beginFull('co64', 0, 0);
  w.u32(chunks.length);
  const offsets = w.length;
  w.zeros(chunks.length * 8);
  w.end(co64);
  w.end(stbl);
  return offsets;
};

/** Run-length coded: entry count, then {how many samples, their value}. */
const writeRuns = (w: BoxWriter, count: number, valueAt: (i: number) => number, write: (value: number) => void): void => {
  const countField: BoxStart = w.length;
  w.u32(0);
  let entries = 0;
  for (let i = 0; i < count;) {
    const value = valueAt(i);
    let end = i + 1;
    while (end < count && valueAt(end) === value) end++;
    w.u32(end - i);
    write(value);
    entries++;
    i = end;
  }
  w.patchU32(countField, entries);
};

const writeSyncSamples = (w: BoxWriter, sync: Uint8Array, count: number): void => {
  const stss = w.beginFull('stss', 0, 0);
  const countField = w.length;
  w.u32(0);
  let entries = 0;
  for (let i = 0; i < count; i++) {
    if (sync[i] === 0) continue;
    w.u32(i + 1);
    entries++;
  }
  w.patchU32(countField, entries);
  w.end(stss);
};

/** §8.7.4: one entry wherever the samples per chunk or the description change. */
const writeSampleToChunk = (w: BoxWriter, chunks: OutputTrack['chunks']): void => {
  const stsc = w.beginFull('stsc', 0, 0);
  const countField = w.length;
  w.u32(0);
  let entries = 0;
  let previous: OutputTrack['chunks'][number] | undefined;
  chunks.forEach((chunk, i) => {
    if (previous?.samples === chunk.samples && previous.description === chunk.description) return;
    w.u32(i + 1);
    w.u32(chunk.samples);
    w.u32(chunk.description);
    entries++;
    previous = chunk;
  });
  w.patchU32(countField, entries);
  w.end(stsc);
};
