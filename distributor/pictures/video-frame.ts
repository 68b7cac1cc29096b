/** Messages of `/ws/stream/{camera}` (contract 0.4): what a viewer gets, and what it may say. Pure. */
import type { RawData } from 'ws';
import * as z from 'zod';
import type { DetectionResult } from '../../core/detection.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { LivePicture } from '../../extractor/port.ts';

export interface FrameStats {
  /** From the capture of the picture until its message is written. */
  readonly processingMs: Milliseconds;
  /** Pictures a second this viewer gets. */
  readonly fps: number;
}

const tenths = (value: number): number => Math.round(value * 10) / 10;

const fieldsOf = (picture: LivePicture, results: readonly DetectionResult[], stats: FrameStats) => {
  const detections = results.flatMap((result) => {
    // Boxes are in pixels of the encoded picture; here of the one that is sent.
    const [scaleX, scaleY] = [picture.width / result.width, picture.height / result.height];
    return result.detections.map(({ className, confidence, bbox }) => ({
      class: className, confidence, bbox: { x: tenths(bbox.x * scaleX), y: tenths(bbox.y * scaleY), width: tenths(bbox.width * scaleX), height: tenths(bbox.height * scaleY) },
    }));
  });
  return {
    timestamp: new Date(picture.capturedAt).toISOString(),
    ...(picture.drawn ? { annotated: { boxes: picture.drawn.how, age_ms: Math.round(picture.drawn.ageMs) } } : {}),
    detections,
    processing_stats: { frame_processing_time_ms: Math.round(stats.processingMs), total_detections: detections.length, fps: tenths(stats.fps) },
  };
};

/** Of a picture once for all its viewers. */
const base64 = new WeakMap<LivePicture, string>();
const base64Of = (picture: LivePicture): string => {
  let text = base64.get(picture);
  if (text === undefined) base64.set(picture, (text = picture.bytes.toString('base64')));
  return text;
};

/** The `video_frame` message as text. */
export const videoFrame = (picture: LivePicture, results: readonly DetectionResult[], stats: FrameStats): string =>
  JSON.stringify({ type: 'video_frame', camera_id: picture.frame.stream, frame_data: base64Of(picture), ...fieldsOf(picture, results, stats) });

/** The same without base64: the length of the JSON (u32, big endian), the JSON without `frame_data`, the JPEG. */
export const binaryVideoFrame = (picture: LivePicture, results: readonly DetectionResult[], stats: FrameStats): Buffer => {
  const json = Buffer.from(JSON.stringify({ type: 'video_frame', camera_id: picture.frame.stream, ...fieldsOf(picture, results, stats) }));
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json, picture.bytes]);
};

const StreamControl = z.object({
  type: z.literal('stream_control'),
  action: z.enum(['start', 'stop', 'pause']),
  camera_id: z.string().max(64).optional(),
  /** The detector whose results the viewer wants; null or empty: all. Absent: as before. */
  processing_pipeline: z.string().max(256).nullish(),
});
export type StreamControl = z.output<typeof StreamControl>;

/** What a client says; null for what is no `stream_control`. */
export const parseStreamControl = (data: RawData): StreamControl | null => {
  try {
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer);
    return StreamControl.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    return null; // not JSON, or something else
  }
};
