import type { z } from '@hono/zod-openapi';
import { timestamp, timestampOrNull } from '../schemas.ts';
import type { EdgeStats } from './edge-stats.ts';
import { CameraRates } from './schemas.ts';
import type { Camera, CameraKey, CameraSession } from './schemas.ts';
import { settingsOf } from './service.ts';
import type { CameraRow, KeyRow, SessionRow } from './store.ts';
import { urlsOf } from './urls.ts';
import type { MediaPorts, Origin } from './urls.ts';

export const sessionView = (row: SessionRow): z.output<typeof CameraSession> => ({
  id: row.id, phase: row.phase, protocol: row.protocol, started_at: timestamp(row.started_at), ended_at: timestampOrNull(row.ended_at), reason: row.reason, epoch: row.epoch,
});

export const keyView = (row: KeyRow): z.output<typeof CameraKey> => ({
  id: row.id, kind: row.kind, created_at: timestamp(row.created_at), revoked_at: timestampOrNull(row.revoked_at),
});

/** Where a view's URLs lead. */
export interface UrlContext {
  readonly origin: Origin;
  readonly ports: MediaPorts;
  readonly behindProxy: boolean;
}

export const cameraView = (row: CameraRow, session: SessionRow | undefined, context: UrlContext, stats?: EdgeStats | null): z.output<typeof Camera> => {
  const { source, pipelines, recording, extra: { bandwidth_hint = null, codes = null, ...rates } } = settingsOf(row);
  return {
    id: row.id, name: row.name, source, pipelines: [...pipelines], recording, distribution: { state: row.distribution }, ...CameraRates.parse(rates), bandwidth_hint, codes, created_at: timestamp(row.created_at), updated_at: timestamp(row.updated_at),
    ...urlsOf(row.id, context.origin, context.ports, context.behindProxy),
    phase: session === undefined || session.phase === 'ended' ? 'idle' : session.phase,
    session: session === undefined ? null : sessionView(session),
    ...(stats === undefined ? {} : { stats }),
  };
};
