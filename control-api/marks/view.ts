import type { z } from '@hono/zod-openapi';
import { timestamp } from '../schemas.ts';
import type { Mark } from './schemas.ts';
import type { Mark as StoredMark } from './store.ts';

/** A mark as the API shows it. */
export const markView = (mark: StoredMark): z.output<typeof Mark> => ({
  id: mark.id, camera: mark.camera_id, kind: mark.kind, from: timestamp(mark.from_ms), to: timestamp(mark.to_ms), duration: Math.round(mark.to_ms - mark.from_ms) / 1000, archive: mark.archive === 1, tags: [...mark.tags],
  title: mark.title, note: mark.note, product_id: mark.product_id, inspection_id: mark.inspection_id, work_order_id: mark.work_order_id, instruction_id: mark.instruction_id, product_type: mark.product_type,
  machine_number: mark.machine_number, production_date: mark.production_date, monthly_sequence: mark.monthly_sequence, inspection_result: mark.inspection_result,
  created_at: timestamp(mark.created_at), created_by: mark.created_by,
  playback: `/v1/recordings/${mark.camera_id}/playback?from=${timestamp(mark.from_ms)}&to=${timestamp(mark.to_ms)}`,
});
