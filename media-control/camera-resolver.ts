import { create } from '@bufbuild/protobuf';
import { MediaError } from '../core/errors.ts';
import { CAMERA_ID } from '../core/frame-ref.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import { fromGrpc } from '../platform/grpc/errors.ts';
import type { GrpcClient } from '../platform/grpc/client.ts';
import { ResolveCameraRequestSchema } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import type { EdgeLinkService } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import { toCameraSpec } from './desired-state-store.ts';
import type { DesiredStateStore } from './desired-state-store.ts';
import type { CameraResolver, CameraSpec } from './port.ts';

const ANSWER_WITHIN_MS: Milliseconds = 3000;
/** Control pushes the new state before it answers; it comes by another stream. */
const STATE_WITHIN_MS: Milliseconds = 1000;

/**
 * Finds a camera in the desired state, else asks control, which may create it for this credential (D-12). Only cameras that control
 * does not know cost the question.
 */
export class DesiredStateCameraResolver implements CameraResolver {
  readonly #store: DesiredStateStore;
  readonly #client: GrpcClient<typeof EdgeLinkService>;

  constructor(options: { readonly store: DesiredStateStore; readonly client: GrpcClient<typeof EdgeLinkService> }) {
    this.#store = options.store;
    this.#client = options.client;
  }

  async resolve(camera: CameraId, credential: string | null): Promise<CameraSpec | undefined> {
    const known = this.#store.camera(camera);
    if (known) return known;
    // Without a credential nobody may create one, and nobody is told which there are.
    if (credential === null || !CAMERA_ID.test(camera)) return undefined;
    try {
      const request = create(ResolveCameraRequestSchema, { camera, credential });
      const { camera: found } = await this.#client.call.resolveCamera(request, { deadlineMs: ANSWER_WITHIN_MS });
      if (!found) return undefined;
      return (await this.#store.waitFor(camera, STATE_WITHIN_MS)) ?? toCameraSpec(found);
    } catch (error) {
      const failure = fromGrpc(error);
      if (failure.code !== 'UNAVAILABLE' && failure.code !== 'DEADLINE_EXCEEDED') throw failure;
      throw new MediaError('UNAVAILABLE', 'The camera is not known here, and the control process does not answer.', { cause: failure, reason: 'CONTROL_DOWN', retryAfterSeconds: 2 });
    }
  }
}
