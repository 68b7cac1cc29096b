import { expect, test } from 'vitest';
import type { CodeReading, CodeSeen } from '../../media-control/port.ts';
import { createMetrics } from '../../platform/metrics.ts';
import type { ReadCode } from '../protocol.ts';
import { CameraCodes } from './camera-codes.ts';
import { MAX_TOLD_PER_MINUTE } from './seen-codes.ts';

const READING: CodeReading = { fps: 2, formats: ['qr', 'code_128'], repeatMs: 10_000 };
const code = (text: string, over: Partial<ReadCode> = {}): ReadCode => ({ format: 'qr', text, bytes: null, corners: [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]], ...over });
const AT = 1_750_000_000_000;

const begin = () => {
  const metrics = createMetrics('edge');
  const seen: CodeSeen[] = [];
  const codes = new CameraCodes({ camera: 'line-1', metrics, onSeen: (each) => { seen.push(each); } });
  const picture = (ms: number, ...read: ReadCode[]): void => {
    codes.see({ handle: 1, frame: { stream: 'line-1', epoch: 7, rtpTs: ms * 90, captureNtp: null, seq: ms }, capturedAt: AT + ms, codes: read });
  };
  return { metrics, seen, codes, picture };
};

test('[PRO-2] a code is told once with what it says, where it is and in which picture; the same text in another kind of code is another code', () => {
  const { codes, picture, seen } = begin();
  codes.follow(READING);
  picture(0, code('WO-1'));
  picture(500, code('WO-1'), code('WO-1', { format: 'code_128' }), code('WO-1'));
  picture(1_000, code('WO-1'), code('WO-1', { text: null, bytes: 'AAE=' }));
  const same = { camera: 'line-1', epoch: 7, corners: [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]] };
  expect(seen).toEqual([
    { ...same, format: 'qr', text: 'WO-1', bytes: null, firstSeen: AT, at: AT, rtpTs: 0, seq: 0 },
    { ...same, format: 'code_128', text: 'WO-1', bytes: null, firstSeen: AT + 500, at: AT + 500, rtpTs: 45_000, seq: 500 },
    { ...same, format: 'qr', text: null, bytes: 'AAE=', firstSeen: AT + 1_000, at: AT + 1_000, rtpTs: 90_000, seq: 1_000 },
  ]);
});

test('[PRO-2] other settings forget nothing, switched off it forgets all, and tells nothing of what was under way', () => {
  const { codes, picture, seen } = begin();
  codes.follow(READING);
  picture(0, code('a'));
  codes.follow({ ...READING, fps: 5 });
  picture(1_000, code('a'));
  expect(seen.length).toBe(1);
  expect(codes.last).toEqual({ format: 'qr', text: 'a', at: AT + 1_000 });
  codes.follow(undefined);
  picture(1_500, code('b'));
  expect([seen.length, codes.last]).toEqual([1, null]);
  codes.follow(READING);
  picture(2_000, code('a'));
  expect(seen.length).toBe(2);
});

test('[PRO-2] what was told, held back, looked at and left out is counted', async () => {
  const { codes, picture, metrics } = begin();
  codes.follow(READING);
  for (let i = 0; i < MAX_TOLD_PER_MINUTE + 3; i++) picture(i, code(String(i)));
  codes.onStats({ handle: 1, looked: 4, skipped: { fps: 100, superseded: 2 } });
  const values = async (metric: { get(): Promise<{ readonly values: readonly { readonly value: number; readonly labels: object }[] }> }) => (await metric.get()).values.map(({ value, labels }) => ({ value, ...labels }));
  expect(await values(metrics.codesSeen)).toEqual([{ value: MAX_TOLD_PER_MINUTE, camera: 'line-1', format: 'qr' }]);
  expect(await values(metrics.codesHeldBack)).toEqual([{ value: 3, camera: 'line-1' }]);
  expect(await values(metrics.codePictures)).toEqual([{ value: 4, camera: 'line-1' }]);
  expect(await values(metrics.codePicturesSkipped)).toEqual([{ value: 100, camera: 'line-1', reason: 'fps' }, { value: 2, camera: 'line-1', reason: 'superseded' }]);
});
