/** One pass over the boxes of a recorded file: what `segment-index.ts` reads files with. */
import { MAX_BOX_HEADER, malformed, readBoxHeader } from '../core/fmp4/box-reader.ts';
import type { BoxHeader } from '../core/fmp4/box-reader.ts';
import { readMoov } from '../core/fmp4/init-reader.ts';
import type { InitTrack } from '../core/fmp4/init-reader.ts';
import { readMoof, readPrft } from '../core/fmp4/part-reader.ts';
import { SampleColumns } from '../core/fmp4/sample-columns.ts';
import { isSampleIndex } from '../core/fmp4/sample-index-box.ts';
import type { SampleIndex } from '../core/fmp4/sample-index-box.ts';
import { decodeSegmentInfoBox } from '../core/fmp4/segment-info-box.ts';
import type { FrameBase, SegmentInfo } from '../core/fmp4/segment-info-box.ts';
import { isSignatureBox } from '../core/fmp4/signature-box.ts';
import { MediaError } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import type { SegmentBytes } from './segment-file.ts';

export interface IndexedTrack {
  readonly track: InitTrack;
  readonly samples: SampleColumns;
  readonly bases: readonly FrameBase[];
}

/** What one recorded file holds. */
export interface SegmentIndex {
  readonly info: SegmentInfo;
  readonly tracks: readonly IndexedTrack[];
  /** Per part: the wall time (Unix ms) of media time 0, from its `prft`. A sample's wall = this + pts in ms. */
  readonly wallAtZero: readonly Milliseconds[];
  /** Where the init segment (`ftyp`, `moov`) ends, and where the first part begins. */
  readonly initBytes: number;
  readonly mediaStart: number;
  /** Where the last whole part ends; equal to the bytes asked for unless there is a `defect`. */
  readonly wholeBytes: number;
  /** Why reading stopped before the end, in words; null when every byte made sense. */
  readonly defect: string | null;
  /** With a defect of the kind a crash leaves, a box or part that the end of the file cuts off: where that box begins. Else null. */
  readonly cutAt: number | null;
}

/** The beginning of a recorded file. */
export interface SegmentHead extends Pick<SegmentIndex, 'info' | 'initBytes' | 'mediaStart'> {
  readonly tracks: readonly InitTrack[];
}

/** What a segment's file is made of. */
const BOX_TYPES: ReadonlySet<string> = new Set(['ftyp', 'styp', 'free', 'skip', 'moov', 'uuid', 'prft', 'moof', 'mdat']);
/** Boxes that must be read whole are refused beyond this. */
const MAX_READ = 4 << 20;
/** Holds `prft` + `moof` + the header of `mdat` of an ordinary part. */
const WINDOW = 4096;

/** The end of the file is in the middle of something. */
export class CutOffError extends MediaError {
  constructor(what: string) {
    super('INVALID_ARGUMENT', `not a readable MP4: ${what}`, { reason: 'MALFORMED_MP4' });
  }
}

/** Positional reads through one small buffer. */
export class Window {
  readonly #file: SegmentBytes;
  readonly #limit: number;
  #bytes: Buffer = Buffer.allocUnsafe(0);
  #start = 0;

  constructor(file: SegmentBytes, limit: number) {
    this.#file = file;
    this.#limit = limit;
  }

  /** Position in the file of the window's first byte. */
  get start(): number { return this.#start; }
  get bytes(): Buffer { return this.#bytes; }

  async header(position: number): Promise<BoxHeader> {
    await this.hold(position, Math.min(position + MAX_BOX_HEADER, this.#limit));
    const box = readBoxHeader(this.#bytes, position - this.#start, this.#start, this.#limit);
    if (!box) throw new CutOffError('a cut box header');
    if (!BOX_TYPES.has(box.type)) throw malformed(`an unexpected ${printable(box.type)} box`);
    if (box.end > this.#limit) throw new CutOffError(`a cut ${box.type} box`);
    return box;
  }

  /** Makes the window hold the file's [start, end). Throws INVALID_ARGUMENT when that is too much or the file is shorter. */
  async hold(start: number, end: number): Promise<void> {
    if (start >= this.#start && end <= this.#start + this.#bytes.length) return;
    if (end - start > MAX_READ) throw malformed('a box too large to read');
    const size = Math.min(Math.max(end - start, WINDOW), this.#limit - start);
    this.#bytes = await this.#file.read(start, size);
    this.#start = start;
    if (start + this.#bytes.length < end) throw malformed('the file is shorter than its index says');
  }
}

/** The state of one scan. */
export class Scan {
  #info: SegmentInfo | undefined;
  #tracks: IndexedTrack[] = [];
  readonly #bases: Record<'video' | 'audio', FrameBase[]> = { video: [], audio: [] };
  readonly #wallAtZero: Milliseconds[] = [];
  #wall: Milliseconds | undefined;
  #pending: { readonly dataStart: number; readonly dataEnd: number; readonly lengths: readonly number[]; readonly bases: readonly FrameBase[] } | undefined;
  #pendingBases: FrameBase[] = [];
  #initBytes = 0;
  #mediaStart = 0;
  wholeBytes = 0;

  async take(box: BoxHeader, window: Window, limit: number): Promise<void> {
    switch (box.type) {
      case 'mdat':
        this.#takeMdat(box);
        return;
      case 'ftyp': case 'styp': case 'free': case 'skip': return;
    }
    if (box.end === limit && box.type === 'moof') throw new CutOffError('a moof without its mdat');
    await window.hold(box.start, box.end);
    const base = window.start;
    const local: BoxHeader = { type: box.type, start: box.start - base, payload: box.payload - base, end: box.end - base };
    if (box.type === 'moov') {
      this.#takeMoov(window.bytes, local);
      this.#initBytes = box.end;
    }
    else if (box.type === 'uuid') this.#takeUuid(window.bytes, local, box.end);
    else if (box.type === 'prft') this.#takePrft(window.bytes, local);
    else this.#takeMoof(window.bytes, local, base);
  }

  finish(defect: string | null = null, cutAt: number | null = null): SegmentIndex {
    if (!this.#info || this.#tracks.length === 0) throw malformed(defect ?? 'not a recorded segment');
    this.#discardPending();
    for (const { samples } of this.#tracks) samples.trim();
    return { ...this.#head(), info: this.#info, tracks: this.#tracks, wallAtZero: this.#wallAtZero, wholeBytes: this.wholeBytes, defect, cutAt };
  }

  /** The head has been read: what the file says about itself is known. */
  get hasHead(): boolean { return this.#info !== undefined; }

  /** With the head alone. */
  finishHead(): SegmentHead {
    if (!this.#info) throw malformed('not a recorded segment');
    return { ...this.#head(), info: this.#info, tracks: this.#tracks.map(({ track }) => track) };
  }

  /** With the samples from the file's own index instead of its parts. */
  finishWith(index: SampleIndex, bytes: number): SegmentIndex {
    if (!this.#info) throw malformed('not a recorded segment');
    const tracks = this.#tracks.map(({ track }) => ({ track, samples: index[track.kind], bases: index.bases.filter(({ kind }) => kind === track.kind) }));
    return { ...this.#head(), info: this.#info, tracks, wallAtZero: index.wallAtZero, wholeBytes: bytes, defect: null, cutAt: null };
  }

  #takeMoov(bytes: Buffer, box: BoxHeader): void {
    if (this.#tracks.length > 0) throw malformed('two moov boxes');
    this.#tracks = tracksOf(bytes, box).map((track) => ({ track, samples: new SampleColumns(), bases: this.#bases[track.kind] }));
  }

  #takeUuid(bytes: Buffer, box: BoxHeader, end: number): void {
    const payload = bytes.subarray(box.payload, box.end);
    if ((isSampleIndex(payload) || isSignatureBox(payload)) && !this.#pending) {
      this.wholeBytes = end;
      return;
    }
    const content = decodeSegmentInfoBox(bytes, box);
    if (!content) return;
    if ('frames' in content) {
      this.#pendingBases = [...content.frames];
      return;
    }
    if (this.#info || this.#tracks.length === 0) throw malformed('segment information in an unexpected place');
    this.#info = content.segment;
    this.#addBases(content.segment.frames);
    this.#mediaStart = end;
    this.wholeBytes = end;
  }

  #takePrft(bytes: Buffer, box: BoxHeader): void {
    const { trackId, wall, mediaTime } = readPrft(bytes, box);
    const track = this.#tracks.find((candidate) => candidate.track.id === trackId)?.track;
    if (!track) throw malformed('a prft of an unknown track');
    this.#wall = wall - (mediaTime * 1000) / track.timescale;
  }

  #takeMoof(bytes: Buffer, box: BoxHeader, base: number): void {
    if (!this.#info) throw malformed('a part before the segment information');
    if (this.#wall === undefined) throw malformed('a part without a wall clock');
    if (this.#pending) throw malformed('a moof without its mdat');
    const lengths = this.#tracks.map(({ samples }) => samples.length);
    // Known to be incomplete until its mdat has been seen: what is appended here may have to go again.
    this.#pending = { dataStart: Infinity, dataEnd: 0, lengths, bases: this.#pendingBases };
    const summary = readMoof(bytes, box, base, this.#tracks.map(({ track }) => track), this.#tracks.map(({ samples }) => samples), this.#wallAtZero.length);
    this.#pending = { ...summary, lengths, bases: this.#pendingBases };
    this.#pendingBases = [];
  }

  #takeMdat(box: BoxHeader): void {
    if (!this.#pending || this.#wall === undefined) throw malformed('an mdat without its moof');
    const { dataStart, dataEnd, bases } = this.#pending;
    // Ours holds its samples and nothing else: a longer one has swallowed parts that follow.
    if (dataStart !== box.payload || dataEnd !== box.end) throw malformed('an mdat that is not its samples');
    this.#addBases(bases);
    this.#wallAtZero.push(this.#wall);
    this.#pending = undefined;
    this.wholeBytes = box.end;
  }

  #head(): Pick<SegmentIndex, 'initBytes' | 'mediaStart'> {
    return { initBytes: this.#initBytes, mediaStart: this.#mediaStart };
  }

  #addBases(bases: readonly FrameBase[]): void {
    for (const base of bases) this.#bases[base.kind].push(base);
  }

  #discardPending(): void {
    this.#tracks.forEach(({ samples }, i) => { samples.truncate(this.#pending?.lengths[i] ?? samples.length); });
    this.#pending = undefined;
  }
}

/** The last `moov` read. The files of a camera have the same one, thousands of them. */
let known: { readonly moov: Buffer; readonly tracks: readonly InitTrack[] } | undefined;

const tracksOf = (bytes: Buffer, box: BoxHeader): readonly InitTrack[] => {
  if (known && bytes.compare(known.moov, 0, known.moov.length, box.start, box.end) === 0) return known.tracks;
  const tracks = readMoov(bytes, box);
  known = { moov: Buffer.from(bytes.subarray(box.start, box.end)), tracks };
  return tracks;
};

const printable = (type: string): string => (/^[\x20-\x7e]{4}$/.test(type) ? type : 'nameless');
