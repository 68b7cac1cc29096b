/** What is told on the topic `video-analysis-events` (SD-56): seed 001 §4.2.2, with members added beside the seed's. */
import { z } from '@hono/zod-openapi';
import { CODE_FORMATS } from '../../core/code-formats.ts';
import type { Milliseconds } from '../../core/units.ts';
import { CameraId, Timestamp, timestamp } from '../schemas.ts';

const nullableText = z.string().nullable();

const ProductInfo = z
  .object({ work_order_id: nullableText, instruction_id: nullableText, product_type: nullableText, machine_number: nullableText })
  .describe('Of the marks that overlap the range, as far as they agree; of a search: what was asked for; of a rule and of a code always null: what was made then is often told later.');
export type ProductInfo = z.output<typeof ProductInfo>;

const common = {
  event_id: z.uuid().describe('The same however often the event is delivered.'),
  video_id: z.string().describe('`{camera}/{from}/{to}`; of a search `*` for several cameras or any, and `..` for an open end.').openapi({ example: 'line-1/2026-11-22T11:45:00.000Z/2026-11-22T11:55:00.000Z' }),
  camera: CameraId.nullable(), from: Timestamp.nullable(), to: Timestamp.nullable(),
  product_info: ProductInfo, timestamp: Timestamp,
};

const AnalysisEvent = z.object({
  event_type: z.enum(['analysis_completed', 'analysis_failed', 'analysis_cancelled']), ...common,
  analysis_results: z.object({
    analysis_id: z.string(), models: z.array(z.string()), pictures: z.int().describe('Looked at.'), detections: z.int(),
    defect_classes: z.array(z.string()), defect_pictures: z.int().describe('Pictures in which one of these was found.'),
    defect_count: z.int().nullable().describe('Defects: of each class and stretch of time without a second between its pictures the most in one picture, added up. Null: no classes were named as defects, or it is not complete.'),
    quality_score: z.number().min(0).max(1).nullable().describe('The share of the pictures without a defect. Null: as above, or no picture was looked at.'),
    processing_time_ms: z.int(), error: nullableText,
  }),
});
export type AnalysisEvent = z.output<typeof AnalysisEvent>;

const SearchEvent = z.object({
  event_type: z.literal('search_completed'), ...common,
  search_results: z.object({
    hits: z.int().describe('On the first page.'), more: z.boolean().describe('There are further pages.'), processing_time_ms: z.int(),
    filters: z.record(z.string(), z.union([z.string(), z.number(), z.array(z.string())])).describe('The query, without camera, from, to and paging.'),
  }),
});
export type SearchEvent = z.output<typeof SearchEvent>;

const PlaybackEvent = z.object({
  event_type: z.literal('playback_started'), ...common,
  playback: z.object({ format: z.enum(['mp4', 'fmp4', 'hls']) }),
});
export type PlaybackEvent = z.output<typeof PlaybackEvent>;

const RuleEvent = z.object({
  event_type: z.enum(['rule_began', 'rule_ended', 'rule_happened']).describe('`rule_happened`: of a moment, it neither begins nor ends.'), ...common,
  rule: z.object({
    occurrence_id: z.uuid().describe('The same when it begins and when it ends.'), id: z.string(), type: z.enum(['count', 'dwell', 'cross']),
    detector: z.string(), model: z.string(), zone: nullableText.describe('Null: the whole picture.'), line: nullableText, direction: z.enum(['to_left', 'to_right']).nullable(),
    count: z.int().describe('Objects: now, of `rule_ended` the most in one picture.'), class_names: z.array(z.string()), track_ids: z.array(z.string()),
    epoch: z.number(), rtp_timestamp: z.int().describe('With `epoch`: the picture in which it was found out.'),
  }),
});
export type RuleEvent = z.output<typeof RuleEvent>;

const Share = z.number().min(0).max(1);
const Corner = z.tuple([Share, Share]);
const CodeEvent = z.object({
  event_type: z.literal('code_seen').describe('A QR or bar code has come into the picture. `from`: since when it is to be seen; `to`: the picture it is told of.'), ...common,
  code: z.object({
    format: z.enum(CODE_FORMATS), text: nullableText.describe('What it says. Null: it holds no text, but `bytes`.'), bytes: nullableText.describe('Base64.'),
    corners: z.array(Corner).length(4).describe("Top left, top right, bottom right, bottom left of the code as it was printed; x and y as shares of the picture's width and height."),
    epoch: z.number(), rtp_timestamp: z.int().describe('With `epoch`: the picture.'), sequence: z.int(),
  }),
});
export type CodeEvent = z.output<typeof CodeEvent>;

export const VideoAnalysisEvent = z.discriminatedUnion('event_type', [AnalysisEvent, SearchEvent, PlaybackEvent, RuleEvent, CodeEvent]).openapi('VideoAnalysisEvent');
export type VideoAnalysisEvent = z.output<typeof VideoAnalysisEvent>;

export interface VideoRange {
  /** Null: several, or any. */
  readonly camera: string | null;
  /** Unix ms; null: open. */
  readonly from: Milliseconds | null;
  readonly to: Milliseconds | null;
}

/** The members that name a range. */
export const videoOf = ({ camera, from, to }: VideoRange): Pick<VideoAnalysisEvent, 'video_id' | 'camera' | 'from' | 'to'> => {
  const [start, end] = [from === null ? null : timestamp(from), to === null ? null : timestamp(to)];
  return { video_id: `${camera ?? '*'}/${start ?? '..'}/${end ?? '..'}`, camera, from: start, to: end };
};
