import { expect, test } from 'vitest';
import { isOpen, stateWords } from './exports.ts';
import type { BoxExport } from './exports.ts';

const job = (more: Partial<BoxExport>): BoxExport => ({ id: 'e', from: '', to: '', state: 'done', progress: 1, pictures: 30, undecodable: 0, missing_segments: 0, boxes: 12, bytes: 2_340_000, error: null, ...more });

test('[REC-5] an export says how far it is, what came of it and what is not in it', () => {
  expect(stateWords(job({ state: 'queued' }))).toBe('waits for its turn');
  expect(stateWords(job({ state: 'running', progress: 0.999 }))).toBe('99 %');
  expect(stateWords(job({ state: 'failed', error: 'The disk is full.' }))).toBe('The disk is full.');
  expect(stateWords(job({}))).toBe('12 boxes, 2.3 MB');
  expect(stateWords(job({ undecodable: 3, missing_segments: 1 }))).toBe('12 boxes, 2.3 MB; pictures that could not be decoded: 3; segments deleted meanwhile: 1');
  expect([job({ state: 'running' }), job({ state: 'cancelled' })].map(isOpen)).toEqual([true, false]);
});
