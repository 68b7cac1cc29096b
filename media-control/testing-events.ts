import type { DetectionResult } from '../core/detection.ts';
import type { SessionInfo } from '../ingest/port.ts';
import type { SegmentRecord } from '../recorder/port.ts';
import type { EdgeEvent } from './port.ts';

/** Events for tests, told apart by a number. */
export const sessionEvent = (n: number, change: Partial<SessionInfo> = {}): EdgeEvent => ({
  type: 'session',
  session: { id: `session-${n}`, camera: 'line-1', phase: 'live', protocol: 'rtsp', startedAt: 1_750_000_000_000 + n, endedAt: null, reason: null, epoch: 1_750_000_000_000, ...change },
});

export const segmentOf = (n: number, change: Partial<SegmentRecord> = {}): SegmentRecord => ({
  id: `line-1/${1_750_000_000_000 + n * 10_000}-abcdefgh-${n}`, camera: 'line-1', sessionId: 'session-1', epoch: 1_750_000_000_000, start: 1_750_000_000_000.5 + n * 10_000,
  duration: 10_000, bytes: 1000 + n, sha256: 'ab'.repeat(32), open: false,
  tracks: [{ kind: 'video', codec: 'avc1.64001f', width: 1280, height: 720 }, { kind: 'audio', codec: 'opus', width: null, height: null }], gapBefore: null, ...change,
});

export const segmentEvent = (n: number, change: Partial<SegmentRecord> = {}): EdgeEvent => ({ type: 'segment', segment: segmentOf(n, change) });

export const resultOf = (n: number, boxes = 1): DetectionResult => ({
  frame: { stream: 'line-1', epoch: 1_750_000_000_000, rtpTs: n >>> 0, captureNtp: null, seq: n }, capturedAt: 1_750_000_000_000 + n * 66.7,
  model: 'm', modelDigest: 'd', inferenceMs: 9, width: 1280, height: 720,
  detections: Array.from({ length: boxes }, (_, i) => ({ className: `n${n}`, classId: i, confidence: 0.5, bbox: { x: 1, y: 2, width: 3, height: 4 }, trackId: null })),
});

export const detectionsEvent = (n: number, boxes = 1): EdgeEvent => ({ type: 'detections', results: [resultOf(n, boxes)] });
