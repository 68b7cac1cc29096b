import type { Selectable } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { AnalysesTable } from '../../platform/database/schema.ts';
import { videoOf } from '../events/service.ts';
import type { AnalysisEvent, NewEvent, ProductInfo } from '../events/service.ts';

const TYPES = { done: 'analysis_completed', failed: 'analysis_failed', cancelled: 'analysis_cancelled' } as const;

/** The event that an analysis has ended. */
export const analysisEvent = (row: Selectable<AnalysesTable>, product: ProductInfo, now: Milliseconds): NewEvent => {
  const { state } = row;
  const body: Omit<AnalysisEvent, 'event_id' | 'timestamp'> = {
    event_type: TYPES[state === 'queued' || state === 'running' ? 'failed' : state],
    ...videoOf({ camera: row.camera_id, from: row.from_ms, to: row.to_ms }), product_info: product,
    analysis_results: {
      analysis_id: row.id, models: [...new Set((JSON.parse(row.detectors) as { readonly model: string }[]).map(({ model }) => model))], pictures: row.pictures, detections: row.detections,
      defect_classes: JSON.parse(row.defect_classes) as string[], defect_pictures: row.defect_pictures, defect_count: row.defect_count, quality_score: row.quality_score,
      processing_time_ms: row.started_at === null ? 0 : Math.max(0, Math.floor(now) - row.started_at), error: row.error,
    },
  };
  return { topic: 'video-analysis-events', camera: row.camera_id, at: now, body };
};
