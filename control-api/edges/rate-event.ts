import type { RateChanged } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { DetectionRateEvent, NewEvent } from '../events/service.ts';

/** The event that a camera is detected at another rate, or with another model [EXT-3]. */
export const rateEvent = ({ camera, at, fromFps, toFps, fullFps, cause, models }: RateChanged): NewEvent => {
  const body: Omit<DetectionRateEvent, 'event_id' | 'timestamp'> = {
    event_type: 'detection_rate_changed', camera,
    detection_rate: { from_fps: fromFps, to_fps: toFps, full_fps: fullFps, cause, models: models.map(({ detector, fromModel, toModel, fullModel }) => ({ detector, from_model: fromModel, to_model: toModel, full_model: fullModel })) },
  };
  return { topic: 'system-metrics', camera, at: Math.round(at), body };
};
