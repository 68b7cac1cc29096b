/**
 * What control and its thumbnailer say to each other over one byte pipe; the only file both sides import.
 *
 * A message is `u32 length` (big endian, of what follows), `u32 length of the JSON`, the JSON, bytes. Bounded both ways: a length above the limit
 * ends the conversation.
 */
import * as z from 'zod';
import { MediaError } from '../core/errors.ts';

/** A sheet of a hundred 4K key frames. */
export const MAX_MESSAGE_BYTES = 128 << 20;
const MAX_JSON_BYTES = 1 << 20;
const HEADER_BYTES = 8;

const Pixels = z.int().min(1).max(16_384);

/** One recorded picture and its place on the canvas. Its access units, in decode order from a random access one to it, are the message's bytes, `bytes` long each. */
const Tile = z.strictObject({
  left: z.int().min(0).max(16_384), top: z.int().min(0).max(16_384), width: Pixels, height: Pixels,
  /** AVCDecoderConfigurationRecord (ISO/IEC 14496-15:2022 §5.3.3.1), base64. */
  decoderConfig: z.base64().max(65_536),
  units: z.array(z.int().min(1)).min(1).max(4_096),
});
const Request = z.strictObject({ id: z.int().min(0), width: Pixels, height: Pixels, format: z.enum(['jpeg', 'webp']), tiles: z.array(Tile).min(1).max(256) });
const Answer = z.strictObject({ id: z.int().min(0), error: z.string().max(1_000).nullable() });

export type PictureRequest = z.output<typeof Request>;
export type PictureAnswer = z.output<typeof Answer>;

const refuse = (why: string, cause?: unknown): MediaError => new MediaError('INVALID_ARGUMENT', `thumbnailer pipe: ${why}`, cause === undefined ? {} : { cause });

/** The message in pieces; the bytes are not copied. Throws PAYLOAD_TOO_LARGE. */
export const encodeMessage = (json: object, bytes: readonly Buffer[]): Buffer[] => {
  const text = Buffer.from(JSON.stringify(json));
  const length = 4 + text.length + bytes.reduce((sum, each) => sum + each.length, 0);
  if (length > MAX_MESSAGE_BYTES || text.length > MAX_JSON_BYTES) throw new MediaError('PAYLOAD_TOO_LARGE', 'These pictures are too large to be made at once.', { reason: 'PICTURES_TOO_LARGE' });
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(length, 0);
  header.writeUInt32BE(text.length, 4);
  return [header, text, ...bytes];
};

/** Throws INVALID_ARGUMENT for anything that is no request, also one whose access units do not fill `bytes`. */
export const decodeRequest = (json: Buffer, bytes: Buffer): PictureRequest => {
  const request = parse(Request, json);
  const claimed = request.tiles.reduce((sum, { units }) => sum + units.reduce((all, unit) => all + unit, 0), 0);
  if (claimed !== bytes.length) throw refuse('access units that are not there');
  for (const { left, top, width, height } of request.tiles) if (left + width > request.width || top + height > request.height) throw refuse('a tile beside its canvas');
  return request;
};

/** Throws INVALID_ARGUMENT. */
export const decodeAnswer = (json: Buffer): PictureAnswer => parse(Answer, json);

const parse = <T>(schema: z.ZodType<T>, json: Buffer): T => {
  try {
    return schema.parse(JSON.parse(json.toString('utf8')));
  } catch (error) {
    throw refuse('a message that is not what it says', error);
  }
};

/** Cuts a byte stream into messages. */
export class PictureMessageReader {
  readonly #onMessage: (json: Buffer, bytes: Buffer) => void;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerFilled = 0;
  #body: Buffer | undefined;
  #bodyFilled = 0;

  constructor(onMessage: (json: Buffer, bytes: Buffer) => void) {
    this.#onMessage = onMessage;
  }

  /** Throws INVALID_ARGUMENT when the stream is no such stream; what `onMessage` throws passes through. The reader is of no use after that. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (!this.#body) {
        const copied = chunk.copy(this.#header, this.#headerFilled, at);
        at += copied;
        this.#headerFilled += copied;
        if (this.#headerFilled < HEADER_BYTES) return;
        const length = this.#header.readUInt32BE(0) - 4;
        const json = this.#header.readUInt32BE(4);
        if (length < 1 || length > MAX_MESSAGE_BYTES || json < 1 || json > Math.min(length, MAX_JSON_BYTES)) throw refuse(`a message of ${String(length)} bytes`);
        this.#body = Buffer.allocUnsafeSlow(length);
        this.#bodyFilled = 0;
      }
      const copied = chunk.copy(this.#body, this.#bodyFilled, at);
      at += copied;
      this.#bodyFilled += copied;
      if (this.#bodyFilled < this.#body.length) return;
      const body = this.#body;
      const json = this.#header.readUInt32BE(4);
      this.#body = undefined;
      this.#headerFilled = 0;
      this.#onMessage(body.subarray(0, json), body.subarray(json));
    }
  }
}
