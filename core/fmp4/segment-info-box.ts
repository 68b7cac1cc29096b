/**
 * The `uuid` box (ISO/IEC 14496-12:2022 §4.2.2) that makes a recorded file describe itself, so that the index can be rebuilt from the
 * files alone. It stands after `moov` and holds JSON: a file is read by people and by later versions, too, and it is 0.02 % of it.
 * A second kind of it stands before any part whose `FrameRef`s do not follow from the ones before (a lost picture, new clock mapping).
 */
import type { FrameRef } from '../frame-ref.ts';
import type { MediaTicks, Milliseconds } from '../units.ts';
import { malformed } from './box-reader.ts';
import type { BoxHeader } from './box-reader.ts';

/** 6d1f0f3a-9c52-4b8e-a1d4-2f6c7be05e91, drawn at random. */
const TYPE = Buffer.from('6d1f0f3a9c524b8ea1d42f6c7be05e91', 'hex');
const MAX_JSON = 1 << 20;

/**
 * From here on, `FrameRef`s follow: `rtpTs` = `rtpTs` + (pts − `pts`) modulo 2^32, `seq` counts up by one per video sample in decode order,
 * `captureNtp` runs with pts. `index` counts the samples of its track in the file from 0.
 */
export interface FrameBase {
  readonly kind: 'video' | 'audio';
  readonly index: number;
  readonly pts: MediaTicks;
  readonly rtpTs: number;
  readonly seq: number;
  readonly captureNtp: Milliseconds | null;
}

export interface SegmentInfoTrack {
  readonly kind: 'video' | 'audio';
  readonly codec: string;
  readonly width: number | null;
  readonly height: number | null;
}

/** Which segment of its camera a file is, and which one it continues: what was taken out, put in between or changed afterwards does not fit. */
export interface ChainLink {
  /** Counts the camera's segments in the order they were begun, from 1. */
  readonly position: number;
  /** The segment before; null for the first. */
  readonly previousId: string | null;
  /** SHA-256 of its file, hex; null for the first, and when the one before was not closed yet (a disk that hung) when this one began. */
  readonly previousSha256: string | null;
}

/** What a recorded file says about itself. */
export interface SegmentInfo {
  readonly version: 1;
  readonly id: string;
  readonly camera: string;
  readonly sessionId: string;
  readonly sessionStart: Milliseconds;
  readonly epoch: number;
  readonly sequence: number;
  /** Unix ms of the first picture. */
  readonly start: Milliseconds;
  readonly gapBefore: Milliseconds | null;
  /** Why there is a gap; a word of the recorder's. */
  readonly gapCause?: string;
  /** Absent in files of versions that did not chain. */
  readonly chain?: ChainLink;
  readonly tracks: readonly SegmentInfoTrack[];
  readonly frames: readonly FrameBase[];
}

/** A whole box for the head of a file. */
export const encodeSegmentInfo = (info: SegmentInfo): Buffer => encode({ segment: info });
/** A whole box to stand before a part. */
export const encodeFrameBases = (frames: readonly FrameBase[]): Buffer => encode({ frames });

export type SegmentInfoBox = { readonly segment: SegmentInfo } | { readonly frames: readonly FrameBase[] };

/** Reads a `uuid` box at `box` of `bytes`; undefined when it is somebody else's. Throws INVALID_ARGUMENT when it is ours and does not make sense. */
export const decodeSegmentInfoBox = (bytes: Buffer, box: BoxHeader): SegmentInfoBox | undefined => {
  if (box.end - box.payload < TYPE.length || box.end > bytes.length) return undefined;
  if (!bytes.subarray(box.payload, box.payload + TYPE.length).equals(TYPE)) return undefined;
  if (box.end - box.payload > MAX_JSON) throw malformed('segment information too long');
  const root = object(parse(bytes.toString('utf8', box.payload + TYPE.length, box.end)));
  return 'segment' in root ? { segment: readInfo(object(root.segment)) } : { frames: list(root.frames).map(readBase) };
};

/** Reads a JSON list of bases. Throws INVALID_ARGUMENT. */
export const readFrameBases = (json: string): FrameBase[] => list(parse(json)).map(readBase);

/**
 * The `FrameRef` of sample `index` (counted per track in the file) with presentation time `pts`. `bases`: those of its kind, ordered by
 * `index`; the last that is not after the sample counts. Without any, a reference of zeros.
 */
export const frameAt = (info: Pick<SegmentInfo, 'camera' | 'epoch'>, bases: readonly FrameBase[], index: number, pts: MediaTicks, clockRate: number): FrameRef => {
  let low = 0;
  for (let high = bases.length - 1; low < high;) {
    const middle = (low + high + 1) >>> 1;
    if ((bases[middle]?.index ?? 0) <= index) low = middle;
    else high = middle - 1;
  }
  const base = bases[low];
  if (!base) return { stream: info.camera, epoch: info.epoch, rtpTs: 0, captureNtp: null, seq: 0 };
  const elapsed = pts - base.pts;
  return {
    stream: info.camera,
    epoch: info.epoch,
    rtpTs: modulo32(base.rtpTs + elapsed),
    captureNtp: base.captureNtp === null ? null : base.captureNtp + (elapsed * 1000) / clockRate,
    seq: base.kind === 'video' ? base.seq + index - base.index : base.seq,
  };
};

/** Device clocks are measured anew with every sender report: a change up to this is not worth a new base. */
const NTP_TOLERANCE_MS = 5;

/** True when `frameAt` gives `frame` for sample `index` at `pts` if `base` is the last one before it. Audio has no sequence of its own. */
export const follows = (base: FrameBase, index: number, pts: MediaTicks, clockRate: number, frame: FrameRef): boolean => {
  const elapsed = pts - base.pts;
  if (modulo32(base.rtpTs + elapsed) !== frame.rtpTs) return false;
  if (base.kind === 'video' && base.seq + index - base.index !== frame.seq) return false;
  if (base.captureNtp === null || frame.captureNtp === null) return base.captureNtp === frame.captureNtp;
  return Math.abs(base.captureNtp + (elapsed * 1000) / clockRate - frame.captureNtp) <= NTP_TOLERANCE_MS;
};

const modulo32 = (value: number): number => ((value % 2 ** 32) + 2 ** 32) % 2 ** 32;

const encode = (content: SegmentInfoBox): Buffer => {
  const json = Buffer.from(JSON.stringify(content));
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + TYPE.length + json.length, 0);
  head.write('uuid', 4, 'latin1');
  return Buffer.concat([head, TYPE, json]);
};

const parse = (json: string): unknown => {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw malformed('segment information is not JSON', cause);
  }
};

type JsonObject = Record<string, unknown>;
const object = (value: unknown): JsonObject => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('segment information');
  return value as JsonObject;
};
const list = (value: unknown): unknown[] => {
  if (!Array.isArray(value)) throw malformed('segment information');
  return value;
};
const number = (value: unknown): number => {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw malformed('segment information: not a number');
  return value;
};
const text = (value: unknown): string => {
  if (typeof value !== 'string' || value.length > 512) throw malformed('segment information: not a text');
  return value;
};
const nullable = <T>(read: (value: unknown) => T, value: unknown): T | null => (value === null ? null : read(value));
const kind = (value: unknown): 'video' | 'audio' => {
  if (value !== 'video' && value !== 'audio') throw malformed('segment information: kind');
  return value;
};

const readBase = (value: unknown): FrameBase => {
  const base = object(value);
  return {
    kind: kind(base.kind), index: number(base.index), pts: number(base.pts), rtpTs: number(base.rtpTs), seq: number(base.seq),
    captureNtp: nullable(number, base.captureNtp),
  };
};

const sha256 = (value: unknown): string => {
  if (typeof value !== 'string' || !/^[0-9a-f]{64}$/.test(value)) throw malformed('segment information: not a SHA-256');
  return value;
};

/** Reads a link from JSON. Throws INVALID_ARGUMENT. */
export const readChainLink = (value: unknown): ChainLink => {
  const link = object(value);
  const position = number(link.position);
  if (!Number.isSafeInteger(position) || position < 1) throw malformed('segment information: position');
  return { position, previousId: nullable(text, link.previousId), previousSha256: nullable(sha256, link.previousSha256) };
};

const readInfo = (info: JsonObject): SegmentInfo => {
  if (info.version !== 1) throw malformed('segment information of an unknown version');
  return {
    version: 1,
    id: text(info.id),
    camera: text(info.camera),
    sessionId: text(info.sessionId),
    sessionStart: number(info.sessionStart),
    epoch: number(info.epoch),
    sequence: number(info.sequence),
    start: number(info.start),
    gapBefore: nullable(number, info.gapBefore),
    ...(info.gapCause === undefined ? {} : { gapCause: text(info.gapCause) }),
    ...(info.chain === undefined ? {} : { chain: readChainLink(info.chain) }),
    tracks: list(info.tracks).map((value) => {
      const track = object(value);
      return { kind: kind(track.kind), codec: text(track.codec), width: nullable(number, track.width), height: nullable(number, track.height) };
    }),
    frames: list(info.frames).map(readBase),
  };
};
