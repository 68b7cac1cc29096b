/**
 * What control and the process that decodes sent pictures say to each other over one byte pipe; the only file both sides import. Messages are
 * framed as between an edge and its extractors (`protocol.ts`, `MessageReader`); a picture is `u32 length of JSON`, the JSON, and its bytes untouched.
 */
import * as z from 'zod';
import { MediaError } from '../core/errors.ts';
import { MAX_WORKERS } from '../inference/port.ts';
import { MAX_SENT_PICTURE_BYTES } from './port.ts';

const MAX_JSON_BYTES = 1 << 20;
const LENGTH_BYTES = 4;
const TYPE = { hello: 1, workers: 2, picture: 3, ready: 16, answer: 17 } as const;

/** The tokens come here, and not in the arguments, which every user of the machine can list. */
const Workers = z.strictObject({ workers: z.array(z.strictObject({ address: z.string(), token: z.string().optional() })).max(MAX_WORKERS) });
/** First message to the child. */
const Hello = Workers.extend({ deadlineMs: z.number().positive() });
/** A picture to look at; its bytes follow. */
const Picture = z.strictObject({ id: z.int().min(0), model: z.string().max(256), confidence: z.number().min(0).max(1).nullable() });
const Finite = z.number();
const Side = z.int().min(1);
/** Exactly one for each picture, in any order. */
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
    times: z.strictObject({ waitingMs: Finite, decodeMs: Finite, resizeMs: Finite, queueMs: Finite, inferenceMs: Finite }),
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
export type SentPictureAnswer = z.output<typeof Answer>;

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
export const encodeAnswer = (answer: SentPictureAnswer): Buffer => encodeJson(TYPE.answer, answer);

/** The message of a picture without its `bytes` bytes, which are written behind it as they are. */
export const encodePictureHead = (request: SentPictureRequest, bytes: number): Buffer => {
  const json = Buffer.from(JSON.stringify(request));
  const message = head(TYPE.picture, LENGTH_BYTES + json.length + bytes, LENGTH_BYTES);
  message.writeUInt32BE(json.length, LENGTH_BYTES + 1);
  return Buffer.concat([message, json]);
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

const decodePicture = (body: Buffer): ToDecoder => {
  const json = body.length < LENGTH_BYTES ? Infinity : body.readUInt32BE(0);
  if (json > body.length - LENGTH_BYTES) throw refuse('a picture ends inside its header');
  const bytes = body.subarray(LENGTH_BYTES + json);
  if (bytes.length > MAX_SENT_PICTURE_BYTES) throw refuse(`a picture of ${String(bytes.length)} bytes`);
  return { type: 'picture', request: parse(Picture, body.subarray(LENGTH_BYTES, LENGTH_BYTES + json)), bytes };
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
    case TYPE.answer: return { type: 'answer', answer: parse(Answer, body) };
    default: throw refuse(`message type ${String(type)}`);
  }
};
