import { create } from '@bufbuild/protobuf';
import type { GrpcClient } from '../platform/grpc/client.ts';
import { GetStatisticsRequestSchema } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { InferenceService } from '../proto/gen/imageflow/v1/inference_pb.ts';

const RESULT = /^[a-z_]{1,40}$/;
/** A worker of others may say what it likes. */
const MAX_RESULTS = 32;

/** What a worker has counted, as rows of `imageflow_kserve_calls_total` (Prometheus text format 0.0.4). Rejects when it does not answer, or counts nothing. */
export const kserveMetrics = async (worker: GrpcClient<typeof InferenceService>, signal: AbortSignal): Promise<string> => {
  const { kserveCalls } = await worker.call.getStatistics(create(GetStatisticsRequestSchema), { signal });
  return Object.entries(kserveCalls)
    .filter(([result]) => RESULT.test(result))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, MAX_RESULTS)
    .map(([result, calls]) => `imageflow_kserve_calls_total{result="${result}",process="worker"} ${calls}\n`)
    .join('');
};
