/**
 * Plans a progressive MP4 (`moov` first, ISO/IEC 14496-12:2022 §8) over samples that already lie in other files: which of their bytes follow
 * one another, and the header that describes them. No sample byte is read or copied here.
 *
 * The rule of time: media time within a source is kept to the tick. Between sources the shift the caller gives counts, so across a gap the
 * sample before it lasts until the one after it: MP4 time = wall time since the first picture, and seeking by wall time works.
 */
import { invariant } from '../errors.ts';
import { ExtentTable } from './extent-table.ts';
import type { Milliseconds } from '../units.ts';
import type { InitTrack } from './init-reader.ts';
import { writeProgressiveHeader } from './progressive-header.ts';
import type { OutputTrack } from './progressive-header.ts';
import type { SampleColumns } from './sample-columns.ts';

/** Samples [first, last) of a track, in file order. */
export interface SampleRange {
  readonly first: number;
  readonly last: number;
}

/** One file's contribution. */
export interface ProgressiveSource {
  readonly tracks: readonly InitTrack[];
  /** One per track, as are `ranges`. */
  readonly samples: readonly SampleColumns[];
  readonly ranges: readonly SampleRange[];
  /** Added to this file's media time so that all sources share one timeline. */
  readonly shift: Milliseconds;
  /**
   * Parameter sets to put before the first selected video sample, as NAL units behind their lengths. Decoders and demuxers that took their set-up
   * from the first sample description then see a change in the stream itself: Chromium looks nowhere else.
   */
  readonly videoPrefix?: Buffer;
}

/** What is displayed: [start, end) on the shared timeline. What lies outside is there for decoding only, and cut away by the edit list. */
export interface ProgressiveWindow {
  readonly start: Milliseconds;
  readonly end: Milliseconds;
}

/** A run of bytes of one source's file, or bytes of our own. Sorted by `position`, without holes. */
export interface ProgressiveExtent {
  /** Set: these bytes, none of the file's. */
  readonly inline?: Buffer;
  /** Index into the sources. */
  readonly source: number;
  /** In that file. */
  readonly offset: number;
  readonly length: number;
  /** In the progressive file. */
  readonly position: number;
}

export interface ProgressivePlan {
  /** `ftyp`, `moov` and the header of `mdat`. */
  readonly header: Buffer;
  readonly extents: ExtentTable;
  readonly byteLength: number;
}

/** Throws Error when no sample is selected; the caller has found at least one. */
export const buildProgressive = (sources: readonly ProgressiveSource[], window: ProgressiveWindow): ProgressivePlan => {
  const tracks = new Map<string, TrackBuilder>();
  const extents = new ExtentTable();
  let position = 0;
  sources.forEach((source, index) => {
    // A format that changes (AAC instead of Opus) becomes a track of its own: players do not change codec inside one.
    const builders = source.tracks.map((track) => {
      const key = `${track.kind} ${track.format} ${String(track.timescale)}`;
      const builder = tracks.get(key) ?? new TrackBuilder(track);
      tracks.set(key, builder);
      return builder;
    });
    const parts = new PartCursor(source);
    let prefix = source.videoPrefix;
    while (parts.next()) {
      if (prefix) {
        extents.push(index, 0, prefix.length, position, prefix);
        position += prefix.length;
      }
      extents.push(index, parts.offset, parts.length, position);
      for (const [t, builder] of builders.entries()) {
        const samples = source.samples[t];
        const track = source.tracks[t];
        const first = parts.firsts[t] ?? 0;
        const last = parts.lasts[t] ?? 0;
        if (samples && track && last > first) builder.append(samples, first, last, track, source.shift, position - parts.offset, track.kind === 'video' ? prefix?.length ?? 0 : 0);
      }
      prefix = undefined;
      position += parts.length;
    }
  });
  invariant(position > 0, 'a playback without samples');
  const header = writeProgressiveHeader([...tracks.values()].filter((builder) => builder.count > 0).map((builder) => builder.finish(window)), position);
  extents.finish(header.length);
  return { header, extents, byteLength: header.length + position };
};

/** Goes over the selected samples of a source part by part. Hours are 180,000 parts: nothing is made for one. */
class PartCursor {
  readonly #source: ProgressiveSource;
  /** Of the part it stands on: samples [first, last) by track, */
  readonly firsts: number[];
  readonly lasts: number[];
  /** and the bytes they span in the file. */
  offset = 0;
  length = 0;

  constructor(source: ProgressiveSource) {
    this.#source = source;
    this.lasts = source.ranges.map(({ first }) => first);
    this.firsts = [...this.lasts];
  }

  /** Moves on; false behind the last part. */
  next(): boolean {
    const { samples, ranges } = this.#source;
    let part = Infinity;
    for (let t = 0; t < samples.length; t++) {
      const at = this.firsts[t] = this.lasts[t] ?? 0;
      if (at < (ranges[t]?.last ?? 0)) part = Math.min(part, samples[t]?.part[at] ?? Infinity);
    }
    if (part === Infinity) return false;
    let start = Infinity;
    let end = 0;
    for (let t = 0; t < samples.length; t++) {
      const columns = samples[t];
      if (!columns) continue;
      const limit = ranges[t]?.last ?? 0;
      let last = this.firsts[t] ?? 0;
      for (; last < limit && columns.part[last] === part; last++) {
        const at = columns.offset[last] ?? 0;
        if (at < start) start = at;
        end = Math.max(end, at + (columns.bytes[last] ?? 0));
      }
      this.lasts[t] = last;
    }
    this.offset = start;
    this.length = end - start;
    return true;
  }
}

/** Collects one track's tables. */
class TrackBuilder {
  readonly #track: InitTrack;
  readonly #descriptions: Buffer[] = [];
  #base: number | undefined;
  #capacity = 1024;
  #dts = new Float64Array(1024);
  #composition = new Int32Array(1024);
  #bytes = new Uint32Array(1024);
  #sync = new Uint8Array(1024);
  readonly chunks: { position: number; samples: number; description: number }[] = [];
  #lastDuration = 0;
  #presentationEnd = 0;
  count = 0;

  constructor(track: InitTrack) {
    this.#track = track;
  }

  /** `move`: added to a sample's file offset, it is its position in the output's `mdat`. `lead`: bytes that stand before the first sample and belong to it. */
  append(samples: SampleColumns, first: number, last: number, track: InitTrack, shift: Milliseconds, move: number, lead: number): void {
    const description = this.#describe(track.sampleEntry);
    const shiftTicks = Math.round((shift * track.timescale) / 1000);
    while (this.count + last - first > this.#capacity) this.#grow();
    const { dts, pts, duration, offset, bytes, sync } = samples;
    const [times, compositions, sizes, syncs] = [this.#dts, this.#composition, this.#bytes, this.#sync];
    const base = this.#base ??= (dts[first] ?? 0) + shiftTicks;
    let previous = this.count > 0 ? times[this.count - 1] ?? 0 : -1;
    let end = this.#presentationEnd;
    let expected = -1;
    let chunk: TrackBuilder['chunks'][number] | undefined;
    for (let i = first, to = this.count; i < last; i++, to++) {
      const position = offset[i] ?? 0;
      const own = i === first ? lead : 0;
      if (position === expected && chunk) chunk.samples++;
      else this.chunks.push(chunk = { position: position + move - own, samples: 1, description });
      expected = position + (bytes[i] ?? 0);
      const shown = (pts[i] ?? 0) + shiftTicks;
      // A clock that was set back between two sources must not turn decode time around.
      const decode = Math.max((dts[i] ?? 0) + shiftTicks - base, previous + 1);
      times[to] = decode;
      compositions[to] = shown - base - decode;
      sizes[to] = own + (bytes[i] ?? 0);
      syncs[to] = sync[i] ?? 0;
      previous = decode;
      end = Math.max(end, shown + (duration[i] ?? 0));
    }
    this.count += last - first;
    this.#lastDuration = Math.max(1, duration[last - 1] ?? 0);
    this.#presentationEnd = end;
  }

  finish(window: ProgressiveWindow): OutputTrack {
    const base = this.#base ?? 0;
    const tick = (time: Milliseconds): number => Math.round((time * this.#track.timescale) / 1000) - base;
    const start = tick(window.start);
    const end = Math.min(tick(window.end), this.#presentationEnd - base);
    return {
      track: this.#track,
      descriptions: this.#descriptions,
      count: this.count,
      dts: this.#dts,
      composition: this.#composition,
      bytes: this.#bytes,
      sync: this.#sync,
      lastDuration: this.#lastDuration,
      chunks: this.chunks,
      emptyBefore: Math.max(0, -start),
      mediaStart: Math.max(0, start),
      displayed: Math.max(1, end - Math.max(0, start)),
    };
  }

  #describe(entry: Buffer): number {
    const known = this.#descriptions.findIndex((description) => description.equals(entry));
    return known >= 0 ? known + 1 : this.#descriptions.push(entry);
  }

  #grow(): void {
    const grown = <T extends Float64Array | Int32Array | Uint32Array | Uint8Array>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.#capacity *= 2;
    this.#dts = grown(new Float64Array(this.#capacity), this.#dts);
    this.#composition = grown(new Int32Array(this.#capacity), this.#composition);
    this.#bytes = grown(new Uint32Array(this.#capacity), this.#bytes);
    this.#sync = grown(new Uint8Array(this.#capacity), this.#sync);
  }
}
