/**
 * What control and the process that decodes sent pictures say to each other over one byte pipe; the only file both sides import. Messages are
 * framed as between an edge and its extractors (`protocol.ts`, `MessageReader`); a picture, and an answer, are `u32 length of JSON`, the JSON, and the picture's
 * bytes untouched.
 */
import * as z from 'zod';
import { MediaError } from '../core/errors.ts';
import { MAX_WORKERS } from '../inference/port.ts';
import { MAX_SENT_PICTURE_BYTES } from './port.ts';
import type { SentPictureOutcome } from './port.ts';

const MAX_JSON_BYTES = 1 << 20;
const LENGTH_BYTES = 4;
const TYPE = { hello: 1, workers: 2, picture: 3, ready: 16, answer: 17 } as const;

/** The tokens come here, and not in the arguments, which every user of the machine can list. */
const Workers = z.strictObject({ workers: z.array(z.strictObject({ address: z.string(), token: z.string().optional() })).max(MAX_WORKERS) });
/** First message to the child. */
const Hello = Workers.extend({ deadlineMs: z.number().positive() });
/** A picture to look at; its bytes follow. */
const Picture = z.strictObject({ id: z.int().min(0), model: z.string().max(256), confidence: z.number().min(0).max(1).nullable(), annotated: z.boolean() });
const Finite = z.number();
const Side = z.int().min(1);
/** Exactly one for each picture, in any order; the picture with its boxes follows where there is one. */
const Answer = z.discriminatedUnion('seen', [
  z.strictObject({
    id: z.int().min(0),
    seen: z.literal(true),
    width: Side,
    height: Side,
    modelDigest: z.string().max(256),
    detections: z.array(z.strictObject({
      className: z.string(), classId: z.int().min(0), confidence: Finite, bbox: z.strictObject({ x: Finite, y: Finite, width: Finite, height: Finite }), trackId: z.null(),
    })).max(1_000),
    annotated: z.discriminatedUnion('made', [z.strictObject({ made: z.literal(true) }), z.strictObject({ made: z.literal(false), why: z.enum(['too_large', 'failed']) })]).nullable(),
    times: z.strictObject({ waitingMs: Finite, decodeMs: Finite, resizeMs: Finite, queueMs: Finite, inferenceMs: Finite, annotateMs: Finite }),
  }),
  z.strictObject({
    id: z.int().min(0),
    seen: z.literal(false),
    reason: z.enum(['no_model', 'model_not_ready', 'refused', 'worker_lost', 'deadline', 'format', 'too_large', 'damaged']),
    detail: z.string().max(4_000),
  }),
]);

export type SentPictureHello = z.output<typeof Hello>;
export type SentPictureRequest = z.output<typeof Picture>;
/** What became of a picture. */
export type SentPictureAnswer = { readonly id: number } & Exclude<SentPictureOutcome, { readonly seen: false }> | Extract<z.output<typeof Answer>, { readonly seen: false }>;

export type ToDecoder =
  | ({ readonly type: 'hello' } & SentPictureHello)
  | { readonly type: 'workers'; readonly workers: SentPictureHello['workers'] }
  /** `bytes` are the child's own. */
  | { readonly type: 'picture'; readonly request: SentPictureRequest; readonly bytes: Buffer };

export type FromDecoder =
  /** It takes pictures. */
  | { readonly type: 'ready' }
  | { readonly type: 'answer'; readonly answer: SentPictureAnswer };

const head = (type: number, length: number, more: number): Buffer => {
  const message = Buffer.allocUnsafe(LENGTH_BYTES + 1 + more);
  message.writeUInt32BE(1 + length, 0);
  message.writeUInt8(type, LENGTH_BYTES);
  return message;
};

const encodeJson = (type: number, body: unknown): Buffer => {
  const json = Buffer.from(JSON.stringify(body));
  return Buffer.concat([head(type, json.length, 0), json]);
};

export const encodeHello = (hello: SentPictureHello): Buffer => encodeJson(TYPE.hello, hello);
export const encodeWorkers = (workers: SentPictureHello['workers']): Buffer => encodeJson(TYPE.workers, { workers });
export const encodeReady = (): Buffer => encodeJson(TYPE.ready, {});
/** The begin of a message: the JSON, behind which `bytes` bytes are written as they are. */
const encodeHead = (type: number, body: unknown, bytes: number): Buffer => {
  const json = Buffer.from(JSON.stringify(body));
  const message = head(type, LENGTH_BYTES + json.length + bytes, LENGTH_BYTES);
  message.writeUInt32BE(json.length, LENGTH_BYTES + 1);
  return Buffer.concat([message, json]);
};

/** The message of a picture without its `bytes` bytes, which are written behind it as they are. */
export const encodePictureHead = (request: SentPictureRequest, bytes: number): Buffer => encodeHead(TYPE.picture, request, bytes);

/** The message of an answer, in pieces to be written one after the other; the picture's bytes are not copied. */
export const encodeAnswer = (answer: SentPictureAnswer): readonly Uint8Array[] => {
  if (!answer.seen || answer.annotated?.made !== true) return [encodeHead(TYPE.answer, answer, 0)];
  const { bytes } = answer.annotated;
  return [encodeHead(TYPE.answer, { ...answer, annotated: { made: true } }, bytes.length), bytes];
};

const refuse = (why: string, cause?: unknown): MediaError => new MediaError('INVALID_ARGUMENT', `pipe of sent pictures: ${why}`, cause === undefined ? {} : { cause });

const parse = <T>(schema: z.ZodType<T>, json: Buffer): T => {
  if (json.length > MAX_JSON_BYTES) throw refuse(`a message of ${String(json.length)} bytes`);
  try {
    return schema.parse(JSON.parse(json.toString('utf8')));
  } catch (error) {
    throw refuse('a message that is not what it says', error);
  }
};

/** The two parts of a message with a picture. */
const split = (body: Buffer): { readonly json: Buffer; readonly bytes: Buffer } => {
  const json = body.length < LENGTH_BYTES ? Infinity : body.readUInt32BE(0);
  if (json > body.length - LENGTH_BYTES) throw refuse('a picture ends inside its header');
  const bytes = body.subarray(LENGTH_BYTES + json);
  if (bytes.length > MAX_SENT_PICTURE_BYTES) throw refuse(`a picture of ${String(bytes.length)} bytes`);
  return { json: body.subarray(LENGTH_BYTES, LENGTH_BYTES + json), bytes };
};

const decodePicture = (body: Buffer): ToDecoder => {
  const { json, bytes } = split(body);
  return { type: 'picture', request: parse(Picture, json), bytes };
};

const decodeAnswer = (body: Buffer): FromDecoder => {
  const { json, bytes } = split(body);
  const answer = parse(Answer, json);
  if (!answer.seen) return { type: 'answer', answer };
  const { annotated } = answer;
  return { type: 'answer', answer: { ...answer, annotated: annotated?.made === true ? { made: true, bytes } : annotated } };
};

/** Throws INVALID_ARGUMENT for anything that is no message to the child. */
export const decodeToDecoder = (type: number, body: Buffer): ToDecoder => {
  switch (type) {
    case TYPE.hello: return { type: 'hello', ...parse(Hello, body) };
    case TYPE.workers: return { type: 'workers', ...parse(Workers, body) };
    case TYPE.picture: return decodePicture(body);
    default: throw refuse(`message type ${String(type)}`);
  }
};

/** Throws INVALID_ARGUMENT for anything that is no message of the child. */
export const decodeFromDecoder = (type: number, body: Buffer): FromDecoder => {
  switch (type) {
    case TYPE.ready: return { type: 'ready' };
    case TYPE.answer: return decodeAnswer(body);
    default: throw refuse(`message type ${String(type)}`);
  }
};
