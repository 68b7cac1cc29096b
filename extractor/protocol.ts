/**
 * What an edge and its extractor children say to each other over one byte pipe; the only file both sides import.
 *
 * A message is `u32 length` (big endian, of what follows), `u8 type`, body. Access units have a binary body and their bytes follow
 * untouched in both directions, those of an encoded picture follow its JSON; everything else is JSON. Bounded both ways: a length above the limit ends the conversation.
 */
import * as z from 'zod';
import type { AccessUnit } from '../core/access-unit.ts';
import { CODE_FORMATS, MAX_CODE_BYTES } from '../core/code-formats.ts';
import { MediaError } from '../core/errors.ts';
import { CAMERA_ID } from '../core/frame-ref.ts';
import type { FrameRef } from '../core/frame-ref.ts';
import type { MediaTicks, Milliseconds } from '../core/units.ts';
import { MAX_WORKERS } from '../inference/port.ts';
import { CODECS, HARDWARE_TYPES } from './hardware/hardware-choice.ts';

/** A coded picture has at most this many bytes (4K intra pictures have 2–3 MiB); the depacketisers allow as many. */
export const MAX_ACCESS_UNIT_BYTES = 16 << 20;
const MAX_JSON_BYTES = 1 << 20;

/** More models than this, of all workers together, are not told. */
export const MAX_MODELS = 1000;
export const MAX_MODEL_NAME = 256;

export const LENGTH_BYTES = 4;
const ACCESS_UNIT_HEADER_BYTES = 52;
export const MAX_MESSAGE_BYTES = MAX_ACCESS_UNIT_BYTES + ACCESS_UNIT_HEADER_BYTES;
/** An encoded picture, or an access unit with boxes burned in, has at most this many bytes: its header and it fit into a message. A PNG of 4K can have more. */
export const MAX_PICTURE_BYTES = MAX_ACCESS_UNIT_BYTES - (64 << 10);

const TYPE = { hello: 1, camera: 2, remove: 3, accessUnit: 4, flush: 5, pictures: 6, still: 7, workers: 8, burnIn: 9, keyframe: 10, hardware: 11, result: 16, stats: 17, flushed: 18, picture: 19, noStill: 20, reports: 21, annotated: 22, burnInStats: 23, models: 24, codes: 25, codeStats: 26 } as const;

const Bytes = z.base64().max(8192);
/** Parameter sets are NAL units in base64, without start codes; VP8, VP9 and AV1 carry what a decoder needs in their random access units. */
const Codec = z.discriminatedUnion('codec', [
  z.strictObject({ codec: z.literal('h264'), sps: Bytes, pps: Bytes }),
  z.strictObject({ codec: z.literal('h265'), vps: Bytes, sps: Bytes, pps: Bytes }),
  z.strictObject({ codec: z.literal('vp8') }),
  z.strictObject({ codec: z.literal('vp9') }),
  z.strictObject({ codec: z.literal('av1') }),
]);
const Share = z.number().min(0).max(1);
/** Which of its objects are drawn: those that are told. Absent: all. */
const Shown = z.strictObject({ classes: z.array(z.string()).readonly(), zonesOnly: z.boolean(), anchor: z.enum(['foot', 'centre']), zones: z.array(z.strictObject({ id: z.string(), polygon: z.array(z.tuple([Share, Share]).readonly()).readonly() })).readonly() });
const Detector = z.strictObject({ id: z.string().max(256), model: z.string().max(MAX_MODEL_NAME), fps: z.number().positive(), confidence: z.number().min(0).max(1).nullable(), tracking: z.boolean(), shown: Shown.optional() });

/** Printed codes that are looked for, and in how many pictures a second. */
const Codes = z.strictObject({ fps: z.number().positive(), formats: z.array(z.enum(CODE_FORMATS)).min(1).max(CODE_FORMATS.length).readonly() });

/** The tokens come here, and not in the arguments, which every user of the machine can list. */
const WorkerList = z.array(z.strictObject({ address: z.string(), token: z.string().optional() })).max(MAX_WORKERS);
/** First message to a child. */
const Hello = z.strictObject({ workers: WorkerList, deadlineMs: z.number().positive(), keepAll: z.boolean().optional() });
/** The workers from now on. */
const Workers = z.strictObject({ workers: WorkerList });
/** A camera to decode, or what changed about it. `handle` names it in all later messages. Its tracks are numbered from `lastTrack` + 1 on. */
const Camera = z.strictObject({
  handle: z.int().min(0), camera: z.string().regex(CAMERA_ID), codec: Codec, clockRate: z.number().positive(), detectors: z.array(Detector).max(64), lastTrack: z.int().min(0),
  /** Absent: none are looked for. */
  codes: Codes.optional(),
});
const Remove = z.strictObject({ handle: z.int().min(0) });
/** Nothing continues what was sent: give out the pictures the decoder holds back, and say how many were offered to detectors. */
const Flush = Remove;
const Flushed = z.strictObject({ handle: z.int().min(0), offered: z.int().min(0) });

const Side = z.int().min(1).max(0xffff);
const Spec = z.strictObject({ format: z.enum(['jpeg', 'png', 'webp']), width: Side.nullable(), height: Side.nullable(), quality: z.int().min(1).max(100), annotated: z.boolean() });
const Id = z.int().min(0);
/** All kinds of pictures that are to come of a camera from now on, each at most so often. */
const Pictures = z.strictObject({ handle: Id, streams: z.array(z.strictObject({ id: Id, spec: Spec, fps: z.number().positive() })).max(64) });
/** The newest picture is wanted, once. It is answered by `picture` or by `no-still`. */
const Still = z.strictObject({ handle: Id, id: Id, spec: Spec });
const NoStill = z.strictObject({ handle: Id, id: Id, why: z.enum(['too_large', 'failed']) });

/** Whether the camera's video with boxes burned in is wanted from now on, and with how many lines at most (null: as many as the camera's own). It begins with a random access picture. */
const BurnIn = z.strictObject({ handle: Id, on: z.boolean(), maxHeight: Side.nullable() });
/** The next picture with boxes burned in is to be random access. */
const Keyframe = Remove;

/** What pictures are decoded and encoded on, as far as it is trusted; codecs that are not named, and these cameras, in software. */
const Device = z.strictObject({ type: z.enum(HARDWARE_TYPES), device: z.string().max(256).nullable() });
const Hardware = z.strictObject({ decode: z.partialRecord(z.enum(CODECS), Device), encode: Device.nullable(), software: z.array(z.string().regex(CAMERA_ID)).max(1000) });

const Finite = z.number();
/** As the journal's events carry it. */
const Uint32 = z.int().min(0).max(0xffffffff);
const Frame = z.strictObject({ stream: z.string().regex(CAMERA_ID), epoch: Finite, rtpTs: Uint32, captureNtp: Finite.nullable(), seq: z.int().min(0) });
const Result = z.strictObject({
  handle: z.int().min(0),
  detector: z.string().max(256),
  result: z.strictObject({
    frame: Frame,
    capturedAt: Finite,
    model: z.string(),
    modelDigest: z.string(),
    inferenceMs: Finite,
    width: Uint32,
    height: Uint32,
    detections: z.array(z.strictObject({
      className: z.string(),
      classId: z.int().min(0).max(0x7fffffff),
      confidence: Finite,
      bbox: z.strictObject({ x: Finite, y: Finite, width: Finite, height: Finite }),
      trackId: z.string().regex(/^[1-9]\d{0,14}$/).nullable(),
    })).max(1000),
  }),
  timings: z.strictObject({ queueMs: Finite, waitMs: Finite, inferenceMs: Finite, shareMs: Finite, totalMs: Finite }),
});
/** An encoded picture; its bytes follow. */
const Picture = z.strictObject({
  handle: Id,
  /** Who gets it: ids of `pictures` and of `still`. */
  streams: z.array(Id).max(64),
  stills: z.array(Id).max(256),
  frame: Frame,
  capturedAt: Finite,
  pts: Finite,
  format: Spec.shape.format,
  width: Side,
  height: Side,
  sourceWidth: Side,
  sourceHeight: Side,
  /** What is drawn into it; null: nothing. */
  drawn: z.strictObject({ how: z.enum(['exact', 'held', 'none']), ageMs: Finite }).nullable(),
  /** It was encoded for this message; false: once more what was sent before. */
  fresh: z.boolean(),
  /** Pictures its streams did not get since the last one, for the encoder was busy or the pipe full. */
  dropped: Id,
});
/** What the dispatcher knows of the workers, told once a second. */
const Reports = z.strictObject({
  // Those that have just been taken off the list are told of, too.
  reports: z.array(z.strictObject({ address: z.string(), connected: z.boolean(), unanswered: Id, answered: Id, expectedMs: Finite })).max(1000),
});
/** Which models some worker has ready, told when they have changed; `classes` is the same for the same class names in the same order. */
const Models = z.strictObject({ models: z.array(z.strictObject({ name: z.string().max(MAX_MODEL_NAME), classes: z.string().max(64) })).max(MAX_MODELS) });
const SKIP_REASONS = ['fps', 'no_credit', 'superseded', 'refreshed', 'deadline', 'late', 'worker_lost', 'refused', 'decoder_error', 'decoder_restart', 'queue_full'] as const;
/** What happened to one camera since the last such message. */
/** As many as are told of; a camera has fewer detectors. */
export const MAX_REFUSED_MODELS = 64;
const Stats = z.strictObject({
  handle: z.int().min(0),
  decodersActive: z.int().min(0).max(1),
  decodedFrames: z.int().min(0),
  /** What decodes: `software`, or the name of a device; null: there is no decoder. */
  decoder: z.string().max(300).nullable(),
  /** Devices that failed, and were given up for a while. */
  failedDevices: z.array(z.string().max(300)).max(16),
  skipped: z.partialRecord(z.enum(SKIP_REASONS), z.int().min(0)),
  /** Models that have refused pictures of this camera. */
  refusedModels: z.array(z.string()).max(MAX_REFUSED_MODELS),
  /** It cannot go on before the next random access unit. */
  awaitingRandomAccess: z.boolean(),
});

/** More codes in one picture are not told. */
export const MAX_CODES_IN_PICTURE = 16;
const Corner = z.tuple([Share, Share]).readonly();
const Code = z.strictObject({
  format: z.enum(CODE_FORMATS),
  /** What it says; null: it holds no text, but these bytes, in base64. */
  text: z.string().max(MAX_CODE_BYTES).nullable(),
  bytes: z.base64().max(2 * MAX_CODE_BYTES).nullable(),
  /** Top left, top right, bottom right, bottom left of the code as it was printed; shares of the picture's width and height. */
  corners: z.tuple([Corner, Corner, Corner, Corner]).readonly(),
});
/** Codes read in one picture. */
const CodesRead = z.strictObject({ handle: Id, frame: Frame, capturedAt: Finite, codes: z.array(Code).max(MAX_CODES_IN_PICTURE).readonly() });
export const CODE_SKIPS = ['fps', 'late', 'superseded', 'deadline', 'failed'] as const;
/** Pictures in which codes were looked for, and those in which they were not, since the last such message. */
const CodeStats = z.strictObject({ handle: Id, looked: Id, skipped: z.partialRecord(z.enum(CODE_SKIPS), Id) });

export const BURN_IN_DROPS = ['late', 'repeated', 'interrupted', 'encoder_busy', 'pipe_full', 'failed'] as const;
/** What became of pictures on their way to the encoder since the last such message. */
const BurnInStats = z.strictObject({ handle: Id, encoders: z.int().min(0).max(1), encoded: Id, dropped: z.partialRecord(z.enum(BURN_IN_DROPS), Id) });

export type Hello = z.output<typeof Hello>;
export type ReportsMessage = z.output<typeof Reports>;
export type ModelsMessage = z.output<typeof Models>;
export type CameraMessage = z.output<typeof Camera>;
export type CodecMessage = z.output<typeof Codec>;
export type HardwareMessage = z.output<typeof Hardware>;
export type ResultMessage = z.output<typeof Result>;
export type StatsMessage = z.output<typeof Stats>;
export type FlushedMessage = z.output<typeof Flushed>;
export type PicturesMessage = z.output<typeof Pictures>;
export type PictureStream = PicturesMessage['streams'][number];
export type StillMessage = z.output<typeof Still>;
export type NoStillMessage = z.output<typeof NoStill>;
export type PictureHeader = z.output<typeof Picture>;
export type BurnInMessage = z.output<typeof BurnIn>;
export type BurnInStatsMessage = z.output<typeof BurnInStats>;
export type CodesWanted = z.output<typeof Codes>;
export type ReadCode = z.output<typeof Code>;
export type CodesMessage = z.output<typeof CodesRead>;
export type CodeStatsMessage = z.output<typeof CodeStats>;

/** An access unit with boxes burned in: H.264 as in `AccessUnit`, with its parameter sets where it is random access; the FrameRef and times of the picture they were burned into. */
export interface AnnotatedUnitMessage {
  readonly handle: number;
  readonly frame: FrameRef;
  readonly pts: MediaTicks;
  readonly wall: Milliseconds;
  readonly randomAccess: boolean;
  readonly data: Buffer;
}

/** An access unit as the child sees it. `data` is the child's own memory and may be changed. */
export interface AccessUnitMessage extends AnnotatedUnitMessage {
  /** It is late: decode it for those that follow, show it to no detector. */
  readonly decodeOnly: boolean;
}

export type ToChild =
  | ({ readonly type: 'hello' } & Hello)
  | ({ readonly type: 'workers' } & z.output<typeof Workers>)
  | ({ readonly type: 'camera' } & CameraMessage)
  | { readonly type: 'remove'; readonly handle: number }
  | { readonly type: 'flush'; readonly handle: number }
  | ({ readonly type: 'pictures' } & PicturesMessage)
  | ({ readonly type: 'still' } & StillMessage)
  | ({ readonly type: 'burn-in' } & BurnInMessage)
  | { readonly type: 'keyframe'; readonly handle: number }
  | ({ readonly type: 'hardware' } & HardwareMessage)
  | ({ readonly type: 'access-unit' } & AccessUnitMessage);

export type FromChild =
  | ({ readonly type: 'reports' } & ReportsMessage)
  | ({ readonly type: 'models' } & ModelsMessage)
  | FromCamera;

/** What a child says of one camera. */
export type FromCamera =
  | ({ readonly type: 'result' } & ResultMessage)
  | ({ readonly type: 'stats' } & StatsMessage)
  | ({ readonly type: 'flushed' } & FlushedMessage)
  | ({ readonly type: 'picture'; readonly bytes: Buffer } & PictureHeader)
  | ({ readonly type: 'no-still' } & NoStillMessage)
  | ({ readonly type: 'annotated' } & AnnotatedUnitMessage)
  | ({ readonly type: 'burn-in-stats' } & BurnInStatsMessage)
  | ({ readonly type: 'codes' } & CodesMessage)
  | ({ readonly type: 'code-stats' } & CodeStatsMessage);

const encodeJson = (type: number, body: unknown): Buffer => {
  const json = Buffer.from(JSON.stringify(body));
  const message = Buffer.allocUnsafe(LENGTH_BYTES + 1 + json.length);
  message.writeUInt32BE(1 + json.length, 0);
  message.writeUInt8(type, LENGTH_BYTES);
  json.copy(message, LENGTH_BYTES + 1);
  return message;
};

export const encodeHello = (hello: Hello): Buffer => encodeJson(TYPE.hello, hello);
export const encodeWorkers = (workers: Hello['workers']): Buffer => encodeJson(TYPE.workers, { workers });
export const encodeReports = (reports: ReportsMessage['reports']): Buffer => encodeJson(TYPE.reports, { reports });
export const encodeModels = (models: ModelsMessage['models']): Buffer => encodeJson(TYPE.models, { models });
export const encodeCamera = (camera: CameraMessage): Buffer => encodeJson(TYPE.camera, camera);
export const encodeRemove = (handle: number): Buffer => encodeJson(TYPE.remove, { handle });
export const encodeFlush = (handle: number): Buffer => encodeJson(TYPE.flush, { handle });
export const encodePictures = (pictures: PicturesMessage): Buffer => encodeJson(TYPE.pictures, pictures);
export const encodeStill = (still: StillMessage): Buffer => encodeJson(TYPE.still, still);
export const encodeBurnIn = (burnIn: BurnInMessage): Buffer => encodeJson(TYPE.burnIn, burnIn);
export const encodeKeyframe = (handle: number): Buffer => encodeJson(TYPE.keyframe, { handle });
export const encodeHardware = (hardware: HardwareMessage): Buffer => encodeJson(TYPE.hardware, hardware);
export const encodeBurnInStats = (stats: BurnInStatsMessage): Buffer => encodeJson(TYPE.burnInStats, stats);
export const encodeCodes = (codes: CodesMessage): Buffer => encodeJson(TYPE.codes, codes);
export const encodeCodeStats = (stats: CodeStatsMessage): Buffer => encodeJson(TYPE.codeStats, stats);
export const encodeNoStill = (failure: NoStillMessage): Buffer => encodeJson(TYPE.noStill, failure);
export const encodeFlushed = (flushed: FlushedMessage): Buffer => encodeJson(TYPE.flushed, flushed);
export const encodeResult = (result: ResultMessage): Buffer => encodeJson(TYPE.result, result);
export const encodeStats = (stats: StatsMessage): Buffer => encodeJson(TYPE.stats, stats);

/** The message of a picture without its `bytes` bytes, which are written behind it as they are. */
export const encodePictureHeader = (picture: PictureHeader, bytes: number): Buffer => {
  const json = Buffer.from(JSON.stringify(picture));
  const message = Buffer.allocUnsafe(2 * LENGTH_BYTES + 1 + json.length);
  message.writeUInt32BE(1 + LENGTH_BYTES + json.length + bytes, 0);
  message.writeUInt8(TYPE.picture, LENGTH_BYTES);
  message.writeUInt32BE(json.length, LENGTH_BYTES + 1);
  json.copy(message, 2 * LENGTH_BYTES + 1);
  return message;
};

const RANDOM_ACCESS = 1;
const DECODE_ONLY = 2;
const HAS_CAPTURE_NTP = 4;

/** As much of an access unit as the pipe carries. */
export type SentUnit = Pick<AccessUnit, 'frame' | 'pts' | 'wall' | 'randomAccess' | 'data'>;

/** The message of an access unit without its bytes, which are written behind it as they are. */
export const encodeAccessUnitHeader = (handle: number, unit: SentUnit, decodeOnly: boolean): Buffer => encodeUnitHeader(TYPE.accessUnit, handle, unit, decodeOnly);

/** The same for one with boxes burned in, towards the edge. */
export const encodeAnnotatedUnitHeader = (handle: number, unit: SentUnit): Buffer => encodeUnitHeader(TYPE.annotated, handle, unit, false);

const encodeUnitHeader = (type: number, handle: number, unit: SentUnit, decodeOnly: boolean): Buffer => {
  const { frame } = unit;
  const header = Buffer.allocUnsafe(LENGTH_BYTES + 1 + ACCESS_UNIT_HEADER_BYTES);
  header.writeUInt32BE(1 + ACCESS_UNIT_HEADER_BYTES + unit.data.length, 0);
  header.writeUInt8(type, 4);
  header.writeUInt32BE(handle, 5);
  header.writeUInt32BE((unit.randomAccess ? RANDOM_ACCESS : 0) | (decodeOnly ? DECODE_ONLY : 0) | (frame.captureNtp === null ? 0 : HAS_CAPTURE_NTP), 9);
  header.writeUInt32BE(frame.rtpTs, 13);
  header.writeDoubleBE(frame.epoch, 17);
  header.writeDoubleBE(frame.captureNtp ?? 0, 25);
  header.writeDoubleBE(frame.seq, 33);
  header.writeDoubleBE(unit.pts, 41);
  header.writeDoubleBE(unit.wall, 49);
  return header;
};

export const refuse = (why: string, cause?: unknown): MediaError => new MediaError('INVALID_ARGUMENT', `extractor pipe: ${why}`, cause === undefined ? {} : { cause });

/** `stream` of the frame is empty: the receiver knows the camera by its handle. */
const decodeAccessUnit = (body: Buffer): AccessUnitMessage => {
  if (body.length < ACCESS_UNIT_HEADER_BYTES) throw refuse('an access unit ends inside its header');
  const flags = body.readUInt32BE(4);
  const numbers = [body.readDoubleBE(12), body.readDoubleBE(20), body.readDoubleBE(28), body.readDoubleBE(36), body.readDoubleBE(44)] as const;
  const [epoch, captureNtp, seq, pts, wall] = numbers;
  if (!numbers.every(Number.isFinite)) throw refuse('an access unit without a time');
  return {
    handle: body.readUInt32BE(0),
    frame: { stream: '', epoch, rtpTs: body.readUInt32BE(8), captureNtp: flags & HAS_CAPTURE_NTP ? captureNtp : null, seq },
    pts,
    wall,
    randomAccess: (flags & RANDOM_ACCESS) !== 0,
    decodeOnly: (flags & DECODE_ONLY) !== 0,
    data: body.subarray(ACCESS_UNIT_HEADER_BYTES),
  };
};

const annotatedUnit = ({ decodeOnly: _, ...unit }: AccessUnitMessage): AnnotatedUnitMessage => unit;

const parseJson = <T>(schema: z.ZodType<T>, body: Buffer): T => {
  if (body.length > MAX_JSON_BYTES) throw refuse(`a message of ${body.length} bytes`);
  try {
    return schema.parse(JSON.parse(body.toString('utf8')));
  } catch (error) {
    throw refuse('a message that is not what it says', error);
  }
};

const decodePicture = (body: Buffer): FromChild => {
  const json = body.length < LENGTH_BYTES ? Infinity : body.readUInt32BE(0);
  if (json > body.length - LENGTH_BYTES) throw refuse('a picture ends inside its header');
  return { type: 'picture', ...parseJson(Picture, body.subarray(LENGTH_BYTES, LENGTH_BYTES + json)), bytes: body.subarray(LENGTH_BYTES + json) };
};

/** Throws INVALID_ARGUMENT for anything that is no message to a child. */
export const decodeToChild = (type: number, body: Buffer): ToChild => {
  switch (type) {
    case TYPE.hello: return { type: 'hello', ...parseJson(Hello, body) };
    case TYPE.workers: return { type: 'workers', ...parseJson(Workers, body) };
    case TYPE.camera: return { type: 'camera', ...parseJson(Camera, body) };
    case TYPE.remove: return { type: 'remove', ...parseJson(Remove, body) };
    case TYPE.flush: return { type: 'flush', ...parseJson(Flush, body) };
    case TYPE.pictures: return { type: 'pictures', ...parseJson(Pictures, body) };
    case TYPE.still: return { type: 'still', ...parseJson(Still, body) };
    case TYPE.burnIn: return { type: 'burn-in', ...parseJson(BurnIn, body) };
    case TYPE.keyframe: return { type: 'keyframe', ...parseJson(Keyframe, body) };
    case TYPE.hardware: return { type: 'hardware', ...parseJson(Hardware, body) };
    case TYPE.accessUnit: return { type: 'access-unit', ...decodeAccessUnit(body) };
    default: throw refuse(`message type ${type}`);
  }
};

/** Throws INVALID_ARGUMENT for anything that is no message of a child. */
export const decodeFromChild = (type: number, body: Buffer): FromChild => {
  switch (type) {
    case TYPE.reports: return { type: 'reports', ...parseJson(Reports, body) };
    case TYPE.models: return { type: 'models', ...parseJson(Models, body) };
    case TYPE.result: return { type: 'result', ...parseJson(Result, body) };
    case TYPE.stats: return { type: 'stats', ...parseJson(Stats, body) };
    case TYPE.flushed: return { type: 'flushed', ...parseJson(Flushed, body) };
    case TYPE.picture: return decodePicture(body);
    case TYPE.noStill: return { type: 'no-still', ...parseJson(NoStill, body) };
    case TYPE.annotated: return { type: 'annotated', ...annotatedUnit(decodeAccessUnit(body)) };
    case TYPE.codes: return { type: 'codes', ...parseJson(CodesRead, body) };
    case TYPE.codeStats: return { type: 'code-stats', ...parseJson(CodeStats, body) };
    case TYPE.burnInStats: return { type: 'burn-in-stats', ...parseJson(BurnInStats, body) };
    default: throw refuse(`message type ${type}`);
  }
};
