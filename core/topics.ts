/** The topics on which is told what happens (contract 0.7). */
export const TOPIC_NAMES = ['video-analysis-events', 'video-stream-archive', 'system-metrics'] as const;
export type Topic = (typeof TOPIC_NAMES)[number];
