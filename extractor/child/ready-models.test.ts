import { expect, test } from 'vitest';
import type { ModelInfo } from '../../inference/port.ts';
import { fakeModelInfo } from '../../inference/testing/fake-worker.ts';
import { readyModels } from './ready-models.ts';

const told = (...models: readonly ModelInfo[]) => readyModels(new Map(models.map((model) => [model.name, model])));
const model = (name: string, over: Partial<ModelInfo> = {}): ModelInfo => ({ ...fakeModelInfo(name, 416), ...over });

test('[EXT-3] the edge is told of models that are ready, in the same order whatever the workers\' is, with what tells other classes apart', () => {
  const [a, b, c] = told(model('b', { labels: ['nut', 'bolt'] }), model('c', { labels: ['bolt', 'nut'] }), model('a', { labels: ['nut', 'bolt'] }), model('loading', { state: 'loading' }), model('failed', { state: 'failed' }));
  expect([a?.name, b?.name, c?.name]).toEqual(['a', 'b', 'c']);
  expect(a?.classes).toBe(b?.classes);
  expect(c?.classes).not.toBe(a?.classes);
  expect(told(model('failed', { state: 'failed' }))).toEqual([]);
});

test('a worker with names or numbers of models beyond what the pipe carries does not end the process', () => {
  expect(told(model('x'.repeat(257)), model('y'))).toMatchObject([{ name: 'y' }]);
  expect(told(...Array.from({ length: 1200 }, (_, i) => model(`m${i}`)))).toHaveLength(1000);
});
