import { create } from '@bufbuild/protobuf';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { serve } from '../../platform/grpc/service.ts';
import type { ServiceRegistration } from '../../platform/grpc/service.ts';
import {
  DistributionStateSchema, DistributionSwitch, MediaControlService, RecordingPolicy, RecordingStateSchema, RecordingSwitch, StartDistributionResponseSchema, StartRecordingResponseSchema,
  StopDistributionResponseSchema, StopRecordingResponseSchema,
} from '../../proto/gen/imageflow/v1/media_control_service_pb.ts';
import type { DistributionState, RecordingState } from '../../proto/gen/imageflow/v1/media_control_service_pb.ts';
import type { AuditService } from '../audit/service.ts';
import { settingsOf } from '../cameras/service.ts';
import type { CameraRow, CameraService } from '../cameras/service.ts';
import { deadline } from '../deadline.ts';
import { ValidationError } from '../problem.ts';
import { CameraId } from '../schemas.ts';
import type { CallGuard, Caller } from './call-guard.ts';

export interface MediaControlOptions {
  readonly cameras: CameraService;
  readonly audit: AuditService;
  readonly guard: CallGuard;
  readonly clock: Clock;
}

/** Whatever deadline the client gives; the database has its own, shorter one. */
const CALL_MS: Milliseconds = 20_000;

/** What `POST /v1/cameras/{id}/recording/{start,stop}` and `…/distribution/{start,stop}` do, by gRPC (SD-53). */
export const mediaControlService = (options: MediaControlOptions): ServiceRegistration => {
  const { cameras, audit, guard, clock } = options;
  const switched = async (call: Caller, cameraId: string, to: 'on' | 'off'): Promise<RecordingState> => {
    const principal = await guard.admit(call, 'recording:manage');
    const row = await cameras.switchRecording(validId(cameraId), to);
    audit.record({ principal: principal.username, action: to === 'on' ? 'recording:start' : 'recording:stop', target: row.id, detail: { protocol: 'grpc' } });
    return stateOf(row);
  };
  const distributed = async (call: Caller, cameraId: string, to: 'on' | 'off'): Promise<DistributionState> => {
    const principal = await guard.admit(call, 'camera:manage');
    const { id, distribution } = await cameras.switchDistribution(validId(cameraId), to);
    audit.record({ principal: principal.username, action: to === 'on' ? 'distribution:start' : 'distribution:stop', target: id, detail: { protocol: 'grpc' } });
    return create(DistributionStateSchema, { cameraId: id, switched: DISTRIBUTION[distribution] });
  };
  const comesLater = async (call: Caller, what: string): Promise<never> => {
    await guard.admit(call, 'camera:manage');
    throw new MediaError('UNPROCESSABLE', `${what} comes in a later version; nothing acts on it yet.`, { reason: 'NOT_IMPLEMENTED' });
  };
  return serve(MediaControlService, {
    startRecording: async ({ cameraId }, call) => create(StartRecordingResponseSchema, { recording: await inTime(clock, switched(call, cameraId, 'on')) }),
    stopRecording: async ({ cameraId }, call) => create(StopRecordingResponseSchema, { recording: await inTime(clock, switched(call, cameraId, 'off')) }),
    startDistribution: async ({ cameraId }, call) => create(StartDistributionResponseSchema, { distribution: await inTime(clock, distributed(call, cameraId, 'on')) }),
    stopDistribution: async ({ cameraId }, call) => create(StopDistributionResponseSchema, { distribution: await inTime(clock, distributed(call, cameraId, 'off')) }),
    setQuality: (_request, call) => comesLater(call, 'Setting the quality'),
  });
};

/** Throws DEADLINE_EXCEEDED when `work` takes too long; it goes on then, and what it does stands. */
const inTime = async <T>(clock: Clock, work: Promise<T>): Promise<T> => {
  using limit = deadline(clock, CALL_MS);
  const late = Promise.withResolvers<never>();
  limit.signal.addEventListener('abort', () => { late.reject(new MediaError('DEADLINE_EXCEEDED', `no answer within ${String(CALL_MS)} ms`)); }, { once: true });
  return await Promise.race([work, late.promise]);
};

/** Throws `ValidationError`. */
const validId = (cameraId: string): string => {
  const { success, data, error } = CameraId.safeParse(cameraId);
  if (success) return data;
  throw new ValidationError(error.issues.map(({ message }) => ({ field: 'camera_id', message, value: cameraId.slice(0, 100) })));
};

const POLICIES = { always: RecordingPolicy.ALWAYS, 'on-event': RecordingPolicy.ON_EVENT, off: RecordingPolicy.OFF } as const;
const DISTRIBUTION = { on: DistributionSwitch.ON, off: DistributionSwitch.OFF } as const;
const SWITCHES = { on: RecordingSwitch.ON, off: RecordingSwitch.OFF } as const;

const stateOf = (row: CameraRow): RecordingState => {
  const { policy, switched } = settingsOf(row).recording;
  return create(RecordingStateSchema, { cameraId: row.id, policy: POLICIES[policy], switched: switched === undefined ? RecordingSwitch.UNSPECIFIED : SWITCHES[switched] });
};
