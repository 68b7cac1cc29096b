import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GrpcClient } from '../platform/grpc/client.ts';
import { GrpcServer } from '../platform/grpc/server.ts';
import { serve } from '../platform/grpc/service.ts';
import { BatchCountSchema, GetStatisticsResponseSchema, InferenceService, ListModelsResponseSchema } from '../proto/gen/imageflow/v1/inference_pb.ts';
import { workerMetrics } from './worker-metrics.ts';

/** What becomes of what a worker says. */
const metricsOf = async (kserveCalls: Readonly<Record<string, bigint>>, batches: readonly (readonly [string, number, bigint])[] = []): Promise<string> => {
  await using server = await GrpcServer.start({
    listen: '127.0.0.1:0', graceMs: 10,
    services: [serve(InferenceService, {
      detect: (call) => { call.end(); },
      listModels: () => Promise.resolve(create(ListModelsResponseSchema)),
      getStatistics: () => Promise.resolve(create(GetStatisticsResponseSchema, {
        kserveCalls, batches: batches.map(([model, pictures, runs]) => create(BatchCountSchema, { model, pictures, runs })),
      })),
    })],
  });
  using client = GrpcClient.dial(InferenceService, server.address);
  return await workerMetrics(client, AbortSignal.timeout(20_000));
};

test('[INF-4] a worker\'s calls are rows of the server\'s metrics', async () => {
  expect(await metricsOf({ ok: 12n, full: 0n })).toBe('imageflow_kserve_calls_total{result="full",process="worker"} 0\nimageflow_kserve_calls_total{result="ok",process="worker"} 12\n');
});

test('[INF-4] results that are no names, or too many, are left out', async () => {
  expect(await metricsOf({ 'a"} 1\nimageflow_alarms': 1n, '': 2n, OK: 3n })).toBe('');
  expect((await metricsOf(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`r${'_'.repeat(i % 39)}${String.fromCharCode(97 + i % 26)}`, 1n])))).split('\n')).toHaveLength(33);
});

test('[INF-5] runs of models by the number of their pictures are a histogram', async () => {
  const rows = (await metricsOf({}, [['m.u8', 1, 5n], ['m.u8', 3, 2n], ['m.u8', 64, 1n], ['a', 4, 7n], ['a"} 1\n', 1, 1n], ['', 1, 1n]])).split('\n');
  const of = (model: string, kind: string): string[] => rows.filter((row) => row.startsWith(`imageflow_inference_run_pictures_${kind}{`) && row.includes(`model="${model}"`)).map((row) => row.slice(row.indexOf('{')));
  expect(of('m.u8', 'bucket')).toEqual(['1', '2', '4', '8', '16', '32', '+Inf'].map((end, i) => `{le="${end}",model="m.u8",process="worker"} ${String([5, 5, 7, 7, 7, 7, 8][i])}`));
  expect([of('m.u8', 'sum'), of('m.u8', 'count')]).toEqual([['{model="m.u8",process="worker"} 75'], ['{model="m.u8",process="worker"} 8']]);
  expect(of('a', 'sum')).toEqual(['{model="a",process="worker"} 28']);
  expect(rows.filter((row) => row !== '')).toHaveLength(18);
});
