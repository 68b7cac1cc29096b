/** An index made anew from the archive alone: its objects describe themselves (ADR 4). */
import { createHash } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import { MAX_GET_BYTES } from '../../platform/object-store/object-store.ts';
import type { ObjectInfo, ObjectStore } from '../../platform/object-store/object-store.ts';
import type { SegmentFiles, SegmentRecord } from '../../recorder/port.ts';
import { MAX_MARK_MS, MarkService } from '../marks/service.ts';
import { ArchivedSegments } from './archived-segments.ts';
import { segmentOfKey } from './keys.ts';
import { ArchiveStore } from './store.ts';

export interface RestoreOptions {
  readonly db: Kysely<Database>;
  readonly objects: ObjectStore;
  /** Reads what a segment says about itself. Throws a `MediaError` when it makes no sense. */
  readonly describe: (files: SegmentFiles, segment: SegmentRecord, sha256: string) => Promise<SegmentRecord>;
  readonly clock: Clock;
  /** Only this camera. */
  readonly camera?: string | undefined;
  readonly onProgress?: (listed: number, key: string) => void;
}

export interface RestoreReport {
  /** Objects looked at. */
  readonly listed: number;
  /** Now in the index. */
  readonly restored: number;
  readonly bytes: number;
  /** Marks made, so that nothing restored is deleted for want of one. */
  readonly marks: number;
  readonly problems: readonly { readonly key: string; readonly problem: string }[];
}

const MARK = { kind: 'pin' as const, archive: true, title: 'Restored from the archive' };
const MADE_BY = 'record restore';
/** Segments closer together than this are one mark. */
const ONE_MARK_MS: Milliseconds = 60_000;

/** The edge's disk is not asked: what is there comes by its inventory. */
const NO_FILES: SegmentFiles = { open: () => Promise.reject(new MediaError('NOT_FOUND', 'only the archive is read')) };

/**
 * Puts archived segments the index lacks into it, and marks over them that no mark covers. May run beside a server, and again: what is known
 * is not read. Throws what the store says when it cannot be listed.
 */
export const restoreFromArchive = async (options: RestoreOptions): Promise<RestoreReport> => {
  const { db, objects, camera, onProgress } = options;
  const { signal } = new AbortController();
  const problems: { key: string; problem: string }[] = [];
  let listed = 0;
  let restored = 0;
  let bytes = 0;
  for (let after: string | undefined, more = true; more;) {
    const page = await objects.list(camera === undefined ? '' : `${camera}/`, after, signal);
    const known = await knownOf(db, page.items.flatMap(({ key }) => segmentOfKey(key)?.id ?? []));
    for (const item of page.items) {
      listed++;
      onProgress?.(listed, item.key);
      const segment = segmentOfKey(item.key);
      if (segment === undefined || known.has(segment.id)) continue;
      try {
        await restoreOne(options, item, segment, signal);
        restored++;
        bytes += item.size;
      } catch (error) {
        // One that cannot be read is told; a store that does not answer ends it: it can be run again.
        if (!(error instanceof MediaError) || (error.code !== 'INVALID_ARGUMENT' && error.code !== 'NOT_FOUND')) throw error;
        problems.push({ key: item.key, problem: messageOf(error) });
      }
    }
    after = page.next;
    more = after !== undefined;
  }
  return { listed, restored, bytes, marks: await markUncovered(options), problems };
};

/** Of these, the segments the index has as archived. */
const knownOf = async (db: Kysely<Database>, ids: readonly string[]): Promise<Set<string>> => {
  const known = new Set<string>();
  for (let i = 0; i < ids.length; i += 500) {
    for (const { id } of await db.selectFrom('segments').select('id').where('id', 'in', ids.slice(i, i + 500)).where('archived_at', 'is not', null).execute()) known.add(id);
  }
  return known;
};

const restoreOne = async (options: RestoreOptions, { key, size, modified }: ObjectInfo, { id, camera }: { readonly id: string; readonly camera: string }, signal: AbortSignal): Promise<void> => {
  const { db, objects, describe } = options;
  const sha256 = (await objects.head(key, signal))?.sha256 ?? (await hashOf(objects, key, size, signal));
  const unknown: SegmentRecord = { id, camera, sessionId: '', epoch: 0, start: 0, duration: 0, bytes: size, sha256, open: false, tracks: [], gapBefore: null };
  const record = await describe(new ArchivedSegments(NO_FILES, objects), unknown, sha256);
  if (record.id !== id) throw new MediaError('INVALID_ARGUMENT', `it says it is ${record.id}`);
  if (record.bytes !== size) throw new MediaError('INVALID_ARGUMENT', `it is readable for ${record.bytes} of ${size} bytes only`);
  const archived = { archived_at: Math.round(modified), unmarked_at: null, expired_at: null };
  await db
    .insertInto('segments')
    .values({
      id, camera_id: camera, session_id: record.sessionId, epoch: record.epoch, start_ms: record.start, end_ms: record.start + record.duration, bytes: size, sha256, open: 0,
      tracks: JSON.stringify(record.tracks), gap_before: record.gapBefore, gap_cause: record.gapCause ?? null, prev_sha256: record.chain?.previousSha256 ?? null, local: 0, ...archived,
    })
    // The edge has it, or had: whether its file is there is the edge's to say.
    .onConflict((conflict) => conflict.column('id').doUpdateSet(archived).where('segments.sha256', '=', sha256))
    .execute();
};

const hashOf = async (objects: ObjectStore, key: string, size: number, signal: AbortSignal): Promise<string> => {
  const hash = createHash('sha256');
  for (let at = 0; at < size; at += MAX_GET_BYTES) hash.update(await objects.get(key, at, Math.min(at + MAX_GET_BYTES, size), signal));
  return hash.digest('hex');
};

/** Whatever is in the archive and no mark wants would be deleted after the grace: marks may have been lost with the index. */
const markUncovered = async ({ db, clock, camera }: RestoreOptions): Promise<number> => {
  const store = new ArchiveStore(db);
  const service = new MarkService(db, clock);
  const ranges = new Map<string, { from: number; to: number }[]>();
  for (let after: string | undefined = ''; after !== undefined;) {
    const rows = await store.archived(after, 500);
    const uncovered = rows.filter((row) => row.covered === 0 && row.unmarked_at === null).map(({ id }) => id);
    if (uncovered.length > 0) {
      for (const row of await db.selectFrom('segments').select(['camera_id', 'start_ms', 'end_ms']).where('id', 'in', uncovered).orderBy('camera_id').orderBy('start_ms').execute()) {
        if (camera === undefined || row.camera_id === camera) extend(ranges, row.camera_id, row.start_ms, row.end_ms);
      }
    }
    after = rows.length < 500 ? undefined : rows.at(-1)?.id;
  }
  let made = 0;
  for (const [name, own] of ranges) {
    for (const { from, to } of own) {
      await service.create(name, { ...MARK, from, to }, MADE_BY);
      made++;
    }
  }
  return made;
};

/** Segments come by their ids, which begin with their starts: in order but for a change in the number of digits. */
const extend = (ranges: Map<string, { from: number; to: number }[]>, camera: string, start: number, end: number): void => {
  const own = ranges.get(camera) ?? [];
  ranges.set(camera, own);
  const last = own.at(-1);
  const [from, to] = [Math.floor(start), Math.ceil(end)];
  if (last !== undefined && from >= last.from && from - last.to <= ONE_MARK_MS && to - last.from <= MAX_MARK_MS) last.to = Math.max(last.to, to);
  else own.push({ from, to });
};
