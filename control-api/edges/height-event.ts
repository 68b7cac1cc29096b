import type { HeightChanged } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { NewEvent, ShownHeightEvent } from '../events/service.ts';

/** The event that a camera is shown at another height [EXT-3]. */
export const heightEvent = ({ camera, at, from, to, full, cause }: HeightChanged): NewEvent => {
  const body: Omit<ShownHeightEvent, 'event_id' | 'timestamp'> = { event_type: 'shown_height_changed', camera, shown_height: { from, to, full, cause } };
  return { topic: 'system-metrics', camera, at: Math.round(at), body };
};
