import type { Milliseconds } from '../../core/units.ts';
import type { NewEvent, VideoStreamArchiveEvent } from '../events/service.ts';
import { timestamp } from '../schemas.ts';
import type { FrameRow } from './store.ts';

/** The event that a picture is in the object store. */
export const frameEvent = (row: FrameRow, now: Milliseconds): NewEvent => {
  const { width, height, bytes, sha256 } = row;
  const body: Omit<VideoStreamArchiveEvent, 'event_id' | 'timestamp'> = {
    event_type: 'frame_archived', frame_id: row.id, camera: row.camera_id, captured_at: timestamp(row.captured_at_ms), image: { key: row.object_key, width, height, bytes, sha256 },
    reason: row.reason, classes: JSON.parse(row.classes) as string[],
  };
  return { topic: 'video-stream-archive', camera: row.camera_id, at: now, body };
};
