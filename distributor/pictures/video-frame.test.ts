import fc from 'fast-check';
import { expect, test } from 'vitest';
import { binaryVideoFrame, parseStreamControl, videoFrame } from './video-frame.ts';
import { pictureOf, resultOf } from './testing-pictures.ts';

const STATS = { processingMs: 34.6, fps: 28.47 };

test('[DIS-3] [SD-27] a video_frame is the JSON of seed 002 §5.4.2, its boxes in pixels of the picture it carries', () => {
  expect(videoFrame(pictureOf(1), [resultOf(1, 'person')], STATS)).toBe(JSON.stringify({
    type: 'video_frame', camera_id: 'line-1', frame_data: Buffer.from('JPEG 1').toString('base64'), timestamp: '2025-06-15T15:06:40.100Z',
    detections: [{ class: 'person', confidence: 0.92, bbox: { x: 150, y: 200, width: 80, height: 180.3 } }],
    processing_stats: { frame_processing_time_ms: 35, total_detections: 1, fps: 28.5 },
  }));
});

test('[DIS-3] the binary variant is the same with the JPEG as it is', () => {
  const message = binaryVideoFrame(pictureOf(1), [resultOf(1, 'person')], STATS);
  const json = message.readUInt32BE(0);
  const { frame_data: jpeg, ...rest } = JSON.parse(videoFrame(pictureOf(1), [resultOf(1, 'person')], STATS)) as { frame_data: string };
  expect(JSON.parse(message.subarray(4, 4 + json).toString())).toEqual(rest);
  expect(message.subarray(4 + json)).toEqual(Buffer.from(jpeg, 'base64'));
});

test('[DIS-4] one with boxes drawn in says of which frame they are', () => {
  const { annotated } = JSON.parse(videoFrame({ ...pictureOf(1), drawn: { how: 'held', ageMs: 66.7 } }, [], STATS)) as { annotated: unknown };
  expect(annotated).toEqual({ boxes: 'held', age_ms: 67 });
});

test('a stream_control is read', () => {
  expect(parseStreamControl(Buffer.from('{"type":"stream_control","action":"pause","camera_id":"cam-office-1","processing_pipeline":"yolo11n-detection","more":1}')))
    .toEqual({ type: 'stream_control', action: 'pause', camera_id: 'cam-office-1', processing_pipeline: 'yolo11n-detection' });
});

test('any message is a stream_control or none, and never a crash', () => {
  const near = fc.record({ type: fc.constantFrom('stream_control', 'auth'), action: fc.oneof(fc.constantFrom('start', 'stop', 'pause'), fc.jsonValue()), camera_id: fc.jsonValue(), processing_pipeline: fc.jsonValue() }, { requiredKeys: [] });
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }).map((each) => Buffer.from(each)), near.map((each) => Buffer.from(JSON.stringify(each))));
  fc.assert(fc.property(fc.oneof(bytes, fc.array(bytes, { maxLength: 3 })), (data) => {
    const control = parseStreamControl(data);
    if (control) expect(['start', 'stop', 'pause']).toContain(control.action);
  }));
});
