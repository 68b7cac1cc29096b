import { expect, test } from 'vitest';
import { createMetrics } from '../platform/metrics.ts';
import { WorkerReports } from './worker-reports.ts';

test('[INF-1] results are added up over processes, connections counted, and a worker nobody knows any more is told no longer', async () => {
  const metrics = createMetrics('test');
  const reports = new WorkerReports<string>(metrics);
  const told = async (name: string): Promise<string[]> =>
    (await metrics.registry.getSingleMetricAsString(name)).split('\n').filter((line) => line.startsWith(name)).map((line) => line.replace(/.*worker="([^"]+)".* /, '$1 '));
  const report = (address: string, connected: boolean, answered: number) => ({ address, connected, unanswered: 0, answered, expectedMs: 20 });
  reports.take('one', [report('a:1', true, 3), report('b:1', false, 0)]);
  reports.take('two', [report('a:1', true, 4)]);
  expect(await told('imageflow_worker_connections')).toEqual(['a:1 2', 'b:1 0']);
  expect(await told('imageflow_worker_results_total')).toEqual(['a:1 7', 'b:1 0']);
  expect(await told('imageflow_worker_answer_seconds')).toEqual(['a:1 0.02', 'b:1 0.02']);
  reports.take('one', [report('a:1', false, 0)]);
  expect(await told('imageflow_worker_connections')).toEqual(['a:1 1']);
  reports.forget('two');
  reports.forget('one');
  expect(await told('imageflow_worker_results_total')).toEqual([]);
});
