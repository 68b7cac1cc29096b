import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GrpcClient } from '../platform/grpc/client.ts';
import { GrpcServer } from '../platform/grpc/server.ts';
import { serve } from '../platform/grpc/service.ts';
import { GetStatisticsResponseSchema, InferenceService, ListModelsResponseSchema } from '../proto/gen/imageflow/v1/inference_pb.ts';
import { kserveMetrics } from './kserve-metrics.ts';

/** What becomes of what a worker says. */
const metricsOf = async (kserveCalls: Readonly<Record<string, bigint>>): Promise<string> => {
  await using server = await GrpcServer.start({
    listen: '127.0.0.1:0', graceMs: 10,
    services: [serve(InferenceService, {
      detect: (call) => { call.end(); },
      listModels: () => Promise.resolve(create(ListModelsResponseSchema)),
      getStatistics: () => Promise.resolve(create(GetStatisticsResponseSchema, { kserveCalls })),
    })],
  });
  using client = GrpcClient.dial(InferenceService, server.address);
  return await kserveMetrics(client, AbortSignal.timeout(20_000));
};

test('[INF-4] a worker\'s calls are rows of the server\'s metrics', async () => {
  expect(await metricsOf({ ok: 12n, full: 0n })).toBe('imageflow_kserve_calls_total{result="full",process="worker"} 0\nimageflow_kserve_calls_total{result="ok",process="worker"} 12\n');
});

test('[INF-4] results that are no names, or too many, are left out', async () => {
  expect(await metricsOf({ 'a"} 1\nimageflow_alarms': 1n, '': 2n, OK: 3n })).toBe('');
  expect((await metricsOf(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`r${'_'.repeat(i % 39)}${String.fromCharCode(97 + i % 26)}`, 1n])))).split('\n')).toHaveLength(33);
});
