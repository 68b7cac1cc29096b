import { create } from '@bufbuild/protobuf';
import type { GrpcClient } from '../platform/grpc/client.ts';
import { GetStatisticsRequestSchema } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { BatchCount, InferenceService } from '../proto/gen/imageflow/v1/inference_pb.ts';

const RESULT = /^[a-z_]{1,40}$/;
/** As files of models are called. */
const MODEL = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
/** A worker of others may say what it likes. */
const MAX_RESULTS = 32;
const MAX_MODELS = 128;
/** Upper ends of `imageflow_inference_run_pictures`. */
const BUCKETS = [1, 2, 4, 8, 16, 32];

/**
 * What a worker has counted, as rows of `imageflow_kserve_calls_total` and `imageflow_inference_run_pictures` (Prometheus text format
 * 0.0.4). Rejects when it does not answer, or counts nothing.
 */
export const workerMetrics = async (worker: GrpcClient<typeof InferenceService>, signal: AbortSignal): Promise<string> => {
  const { kserveCalls, batches } = await worker.call.getStatistics(create(GetStatisticsRequestSchema), { signal });
  return [...kserveRows(kserveCalls), ...runRows(batches)].map((row) => `${row}\n`).join('');
};

const kserveRows = (calls: Readonly<Record<string, bigint>>): readonly string[] =>
  Object.entries(calls)
    .filter(([result]) => RESULT.test(result))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, MAX_RESULTS)
    .map(([result, count]) => `imageflow_kserve_calls_total{result="${result}",process="worker"} ${count}`);

const runRows = (counts: readonly BatchCount[]): readonly string[] => {
  const models = Map.groupBy(counts.filter(({ model }) => MODEL.test(model)), ({ model }) => model);
  return [...models].toSorted(([a], [b]) => (a < b ? -1 : 1)).slice(0, MAX_MODELS).flatMap(([model, runs]) => {
    const row = (kind: string, labels: string, value: bigint): string => `imageflow_inference_run_pictures_${kind}{${labels}model="${model}",process="worker"} ${value}`;
    const upTo = (most: number): bigint => runs.reduce((sum, { pictures, runs: n }) => (pictures <= most ? sum + n : sum), 0n);
    return [
      ...BUCKETS.map((end) => row('bucket', `le="${end}",`, upTo(end))),
      row('bucket', 'le="+Inf",', upTo(Infinity)),
      row('sum', '', runs.reduce((sum, { pictures, runs: n }) => sum + BigInt(pictures) * n, 0n)),
      row('count', '', upTo(Infinity)),
    ];
  });
};
