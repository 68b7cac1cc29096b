import type { Insertable, Kysely, Transaction } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Database, SegmentsTable } from '../../platform/database/schema.ts';
import type { Segment } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { forgetSightings } from '../sightings.ts';

const toRow = (segment: Segment): Insertable<SegmentsTable> => ({
  id: segment.id,
  camera_id: segment.camera,
  session_id: segment.sessionId,
  epoch: segment.epoch,
  start_ms: segment.start,
  end_ms: segment.start + segment.duration,
  bytes: Number(segment.bytes),
  sha256: segment.sha256 ?? null,
  open: segment.open ? 1 : 0,
  tracks: JSON.stringify(segment.tracks.map(({ kind, codec, width, height }) => ({ kind, codec, width: width ?? null, height: height ?? null }))),
  gap_before: segment.gapBefore ?? null,
  gap_cause: segment.gapCause ?? null,
  expired_at: null,
  prev_sha256: segment.prevSha256 ?? null,
  archived_at: null,
  unmarked_at: null,
});

/** 15 columns; SQLite takes 32,766 parameters, PostgreSQL 65,535. */
const ROWS_PER_STATEMENT = 500;

/**
 * Adds segments or brings them up to date. A closed one never opens again, nor does an expired one come back: an inventory may be
 * newer than the events that are still on their way.
 */
export const upsertSegments = async (tx: Transaction<Database> | Kysely<Database>, segments: readonly Segment[]): Promise<void> => {
  // No statement may touch a row twice; what comes last counts.
  const rows = [...new Map(segments.map((segment) => [segment.id, segment])).values()];
  for (let i = 0; i < rows.length; i += ROWS_PER_STATEMENT) {
    await tx
      .insertInto('segments')
      .values(rows.slice(i, i + ROWS_PER_STATEMENT).map(toRow))
      .onConflict((conflict) =>
        conflict
          .column('id')
          .doUpdateSet((e) => ({
            start_ms: e.ref('excluded.start_ms'), end_ms: e.ref('excluded.end_ms'), bytes: e.ref('excluded.bytes'), sha256: e.ref('excluded.sha256'),
            open: e.ref('excluded.open'), tracks: e.ref('excluded.tracks'), gap_before: e.ref('excluded.gap_before'), gap_cause: e.ref('excluded.gap_cause'),
            prev_sha256: e.ref('excluded.prev_sha256'),
            local: 1,
          }))
          .where((e) => e.or([e('segments.open', '=', 1), e('excluded.open', '=', 0)])),
      )
      .execute();
  }
};

/** The files go a minute later. What is in the archive stays listed and is read from there; the rest is gone from lists. */
export const expireSegments = async (tx: Transaction<Database>, ids: readonly string[], now: Milliseconds): Promise<void> => {
  for (let i = 0; i < ids.length; i += ROWS_PER_STATEMENT) await expire(tx, ids.slice(i, i + ROWS_PER_STATEMENT), now);
};

/** As `expireSegments`; and what was seen in it alone is found no more. */
export const expireSegment = async (tx: Transaction<Database>, id: string, now: Milliseconds): Promise<void> => {
  for (const { camera_id, start_ms, end_ms } of await expire(tx, [id], now)) await forgetSightings(tx, camera_id, start_ms, end_ms);
};

/** Those that are gone from lists now. */
const expire = async (tx: Transaction<Database>, ids: readonly string[], now: Milliseconds): Promise<{ camera_id: string; start_ms: number; end_ms: number }[]> => {
  await tx.updateTable('segments').set({ local: 0 }).where('id', 'in', ids).execute();
  return await tx
    .updateTable('segments').set({ expired_at: now }).where('id', 'in', ids).where('archived_at', 'is', null).where('expired_at', 'is', null)
    .returning(['camera_id', 'start_ms', 'end_ms']).execute();
};
