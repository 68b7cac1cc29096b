/**
 * What control says to its exporter, in the messages of `picture-protocol.ts`; the only file both sides import. The exporter answers with one JSON
 * line at its end.
 */
import * as z from 'zod';
import { MediaError } from '../core/errors.ts';

const Pixels = z.number().min(-65_536).max(65_536);
/** A box in pixels of the picture as it was recorded. */
const Box = z.strictObject({ className: z.string().max(256), classId: z.int(), confidence: z.number().min(0).max(1), trackId: z.string().max(32).nullable(), x: Pixels, y: Pixels, width: Pixels, height: Pixels });

const Message = z.discriminatedUnion('type', [
  /** First: where the file goes, about how many pictures a second it has, and how large it may become. */
  z.strictObject({ type: z.literal('begin'), path: z.string().min(1).max(4_096), fps: z.int().min(1).max(240), maxBytes: z.int().min(1) }),
  /** What follows does not continue what came before. `decoderConfig`: AVCDecoderConfigurationRecord (ISO/IEC 14496-15:2022 §5.3.3.1), base64. */
  z.strictObject({ type: z.literal('stream'), decoderConfig: z.base64().max(65_536) }),
  /** An access unit, with its bytes. `at`: milliseconds from the first picture shown; null: only others need it. */
  z.strictObject({ type: z.literal('picture'), at: z.number().min(0).nullable(), boxes: z.array(Box).max(1_000) }),
  /** Last. `length`: milliseconds from the first picture to the end of the last. */
  z.strictObject({ type: z.literal('end'), length: z.number().min(0) }),
]);
export type ExportMessage = z.output<typeof Message>;

export const EXPORT_FAILURES = ['disk_full', 'too_large', 'no_picture', 'other'] as const;
const Answer = z.discriminatedUnion('type', [
  z.object({ type: z.literal('done'), bytes: z.int().min(1), pictures: z.int().min(1) }),
  z.object({ type: z.literal('failed'), why: z.enum(EXPORT_FAILURES), message: z.string() }),
]);
export type ExportAnswer = z.output<typeof Answer>;

/** Throws INVALID_ARGUMENT. */
export const decodeExportMessage = (json: Buffer): ExportMessage => {
  try {
    return Message.parse(JSON.parse(json.toString('utf8')));
  } catch (cause) {
    throw new MediaError('INVALID_ARGUMENT', 'exporter pipe: a message that is not what it says', { cause });
  }
};

/** Undefined for anything else. */
export const decodeExportAnswer = (message: unknown): ExportAnswer | undefined => Answer.safeParse(message).data;
