/** The topics there are (OPS-1), what their events look like, and who may read them. */
import type { z } from 'zod';
import type { Topic } from '../../core/topics.ts';
import type { Permission } from '../permissions.ts';
import { SystemMetricsEvent } from './system-metrics-event.ts';
import { VideoAnalysisEvent } from './video-analysis-event.ts';
import { VideoStreamArchiveEvent } from './video-stream-archive-event.ts';

interface TopicRule {
  readonly schema: z.ZodType;
  readonly permission: Permission;
}

export const TOPICS: Readonly<Record<Topic, TopicRule>> = {
  'video-analysis-events': { schema: VideoAnalysisEvent, permission: 'detection:view' },
  'video-stream-archive': { schema: VideoStreamArchiveEvent, permission: 'recording:view' },
  'system-metrics': { schema: SystemMetricsEvent, permission: 'detection:view' },
};
