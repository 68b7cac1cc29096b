import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import type { ValidationError } from '../problem.ts';
import { frameSettings } from './frame-settings.ts';

const settings = (pipelineId: string, processingParams: Record<string, string> = {}, sourceId = '') => frameSettings({ sourceId, pipelineId, processingParams }, 'default-model');

test('[INF-7] a frame says which model it is for, and how it is to be looked at', () => {
  const plain = { sourceId: '', model: 'default-model', confidence: null, mayGiveWay: false, annotated: false };
  expect(frameSettings(undefined, 'default-model')).toEqual(plain);
  expect(settings('')).toEqual(plain);
  expect(settings('detect', {}, 'camera 7 / 右')).toEqual({ ...plain, sourceId: 'camera 7 / 右' });
  expect(settings('inspect-320', { confidence_threshold: '0.25', frames: 'newest', processed_data: 'none' })).toEqual({ sourceId: '', model: 'inspect-320', confidence: 0.25, mayGiveWay: true, annotated: false });
  expect(settings('', { processed_data: 'annotated' })).toEqual({ ...plain, annotated: true });
  expect(settings('detect', { ai_model: 'inspect-320', frames: 'every' })).toEqual({ ...plain, model: 'inspect-320' });
  for (const [text, value] of [['0', 0], ['1', 1], ['.5', 0.5], ['1e-1', 0.1]] as const) expect(settings('', { confidence_threshold: text }).confidence).toBe(value);
});

test.each<[string, string, Record<string, string>, string]>([
  ['a parameter that does not exist', '', { resize_width: '640' }, 'metadata.processing_params.resize_width'],
  ['a confidence above 1', '', { confidence_threshold: '1.5' }, 'metadata.processing_params.confidence_threshold'],
  ['a confidence in words', '', { confidence_threshold: 'half' }, 'metadata.processing_params.confidence_threshold'],
  ['a confidence of nothing', '', { confidence_threshold: '' }, 'metadata.processing_params.confidence_threshold'],
  ['a confidence that is no number', '', { confidence_threshold: 'NaN' }, 'metadata.processing_params.confidence_threshold'],
  ['two models', 'inspect-320', { ai_model: 'another' }, 'metadata.processing_params.ai_model'],
  ['a model without a name', '', { ai_model: '' }, 'metadata.processing_params.ai_model'],
  ['another word for frames', '', { frames: 'all' }, 'metadata.processing_params.frames'],
  ['another word for processed_data', '', { processed_data: 'jpeg' }, 'metadata.processing_params.processed_data'],
  ['a pipeline of a long name', 'x'.repeat(257), {}, 'metadata.pipeline_id'],
])('[INF-7] %s is refused, by the name of its field', (_, pipeline, params, field) => {
  expect(() => settings(pipeline, params)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', fields: [expect.objectContaining({ field }) as unknown] }));
});

test('[INF-7] everything that is wrong is told at once', () => {
  expect(() => settings('', { a: '1', b: '2' }, 'x'.repeat(300))).toThrow(expect.objectContaining({ fields: [expect.anything(), expect.anything(), expect.anything()] }));
});

test('[INF-7] any metadata is understood or refused', () => {
  const word = fc.oneof(fc.string(), fc.constantFrom('frames', 'ai_model', 'confidence_threshold', 'processed_data', 'newest', 'annotated', '0.5', '__proto__', 'constructor'));
  fc.assert(fc.property(word, fc.dictionary(word, word), word, (pipeline, params, source) => {
    try {
      const { confidence, model } = settings(pipeline, params, source);
      expect(confidence === null || (confidence >= 0 && confidence <= 1)).toBe(true);
      expect(model.length).toBeGreaterThan(0);
    } catch (error) {
      expect(error).toBeInstanceOf(MediaError);
    }
  }), { numRuns: 1000 });
});

test('[INF-7] hostile texts and many parameters cost nothing, and are told in few words', () => {
  const refused = (params: Record<string, string>): readonly { readonly field: string; readonly value: string }[] => {
    try {
      settings('', params);
    } catch (error) {
      return (error as ValidationError).fields as readonly { readonly field: string; readonly value: string }[];
    }
    throw new Error('it was taken');
  };
  // With a pattern that goes back, a million digits take hours.
  expect(refused({ confidence_threshold: `${'1'.repeat(1_000_000)}x` })).toMatchObject([{ field: 'metadata.processing_params.confidence_threshold' }]);
  const many = refused(Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`${'n'.repeat(1_000)}${String(i)}`, 'v'.repeat(1_000)])));
  expect(many.length).toBeLessThanOrEqual(17);
  expect(JSON.stringify(many).length).toBeLessThan(8_000);
});
