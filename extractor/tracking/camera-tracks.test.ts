import { expect, test } from 'vitest';
import type { Detection, DetectionResult } from '../../core/detection.ts';
import { CameraTracks } from './camera-tracks.ts';

const detection = (x: number): Detection => ({ className: 'n', classId: 0, confidence: 0.8, bbox: { x, y: 0, width: 40, height: 40 }, trackId: null });
const result = (at: number, epoch: number, ...detections: readonly Detection[]): DetectionResult => ({
  frame: { stream: 'cam', epoch, rtpTs: at, captureNtp: null, seq: at }, capturedAt: at, model: 'm', modelDigest: 'd', inferenceMs: 1, width: 1280, height: 720, detections,
});
const ids = ({ detections }: DetectionResult): (string | null)[] => detections.map(({ trackId }) => trackId);

test('[INF-6] ids go on from the last, are those of one camera whatever the detector, and change nothing else of a result', () => {
  const tracks = new CameraTracks(41);
  const told = tracks.follow('a', result(0, 1, detection(0), detection(200)), []);
  expect(told).toEqual(result(0, 1, { ...detection(0), trackId: '42' }, { ...detection(200), trackId: '43' }));
  expect(ids(tracks.follow('b', result(0, 1, detection(0)), []))).toEqual(['44']);
  expect(ids(tracks.follow('a', result(66, 1, detection(205), detection(5)), []))).toEqual(['43', '42']);
  expect(ids(tracks.follow('b', result(66, 1, detection(5)), []))).toEqual(['44']);
});

test('[INF-6] a new epoch continues no track and gives no id again', () => {
  const tracks = new CameraTracks(0);
  tracks.follow('a', result(0, 1, detection(0)), []);
  expect(ids(tracks.follow('a', result(33, 2, detection(0)), []))).toEqual(['2']);
});

test('[INF-6] a detector that went and came back begins anew', () => {
  const tracks = new CameraTracks(0);
  tracks.follow('a', result(0, 1, detection(0)), []);
  tracks.follow('b', result(0, 1, detection(0)), []);
  tracks.keep(['b']);
  tracks.keep(['a', 'b']);
  expect(ids(tracks.follow('a', result(33, 1, detection(0)), []))).toEqual(['3']);
  expect(ids(tracks.follow('b', result(33, 1, detection(0)), []))).toEqual(['2']);
});
