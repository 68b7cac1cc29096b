import { create } from '@bufbuild/protobuf';
import type { Milliseconds } from '../core/units.ts';
import type { GrpcClient } from '../platform/grpc/client.ts';
import { ListModelsRequestSchema } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { InferenceService } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { ModelInfo } from './port.ts';
import { fromModelMessage } from './wire.ts';

const DEADLINE_MS: Milliseconds = 2000;

/** What a worker has, also what it could not load. Rejects with UNAVAILABLE or DEADLINE_EXCEEDED when it does not answer. */
export const listModels = async (worker: GrpcClient<typeof InferenceService>): Promise<readonly ModelInfo[]> =>
  (await worker.call.listModels(create(ListModelsRequestSchema), { deadlineMs: DEADLINE_MS })).models.map(fromModelMessage);
