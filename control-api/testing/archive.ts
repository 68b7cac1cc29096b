/** An archive on a fresh database, with recordings in a temporary folder, for tests. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { DirectoryStore } from '../../platform/object-store/directory-store.ts';
import type { ObjectStore } from '../../platform/object-store/object-store.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { AlarmService } from '../alarms/service.ts';
import { AlarmStore } from '../alarms/store.ts';
import { Archiver } from '../archive/archiver.ts';
import type { ArchiverOptions } from '../archive/archiver.ts';
import { ArchiveOutage } from '../archive/outage.ts';
import { ArchiveStore } from '../archive/store.ts';

/** 2025-06-15T15:06:40Z */
export const T0 = 1_750_000_000_000;

export const startArchive = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'if-archive-'));
  const db = await freshDatabase();
  const metrics = createMetrics('control');
  const logger = silentLogger();
  const alarms = new AlarmService({ store: new AlarmStore(db), clock: systemClock, metrics, logger });
  const objects = new DirectoryStore(join(folder, 'archive'), systemClock);
  const store = new ArchiveStore(db);
  const pathOf = (id: string): string => join(folder, 'recordings', `${id}.mp4`);
  let marks = 0;
  return {
    folder, db, metrics, alarms, objects, store, pathOf,

    /** The `n`th segment of ten seconds of a camera, with a file of `bytes` bytes. */
    async segment(camera: string, n: number, more: { readonly bytes?: number; readonly open?: 0 | 1; readonly local?: 0 | 1; readonly file?: boolean } = {}): Promise<string> {
      const { bytes = 1_000, open = 0, local = 1, file = true } = more;
      const start = T0 + n * 10_000;
      const id = `${camera}/${String(start)}-session1-${String(n)}`;
      const content = Buffer.alloc(bytes, id);
      if (file) {
        mkdirSync(dirname(pathOf(id)), { recursive: true });
        writeFileSync(pathOf(id), content);
      }
      await db.insertInto('segments').values({
        id, camera_id: camera, session_id: 'session1', epoch: 1, start_ms: start, end_ms: start + 10_000, bytes, sha256: open === 1 ? null : createHash('sha256').update(content).digest('hex'), open, tracks: '[]', gap_before: null, local,
      }).execute();
      return id;
    },

    /** A mark from the `from`th to the `to`th ten seconds. */
    async mark(camera: string, from: number, to: number, archive: 0 | 1 = 1): Promise<string> {
      const id = `mark-${String(marks++)}`;
      await db.insertInto('marks').values({ id, seq: marks, camera_id: camera, from_ms: T0 + from * 10_000, to_ms: T0 + to * 10_000, kind: 'link', archive, created_at: T0 }).execute();
      return id;
    },

    /** Forgets all segments and marks. */
    async clear(): Promise<void> {
      await db.deleteFrom('marks').execute();
      await db.deleteFrom('segments').execute();
    },

    archived: async (): Promise<string[]> => (await db.selectFrom('segments').select('id').where('archived_at', 'is not', null).orderBy('id').execute()).map(({ id }) => id),
    raised: async (): Promise<string[]> => (await db.selectFrom('alarms').select('code').where('raised', '=', 1).execute()).map(({ code }) => code),

    archiver(options: Partial<ArchiverOptions> & { readonly objects?: ObjectStore; readonly alarmAfter?: number } = {}): Archiver {
      const place = options.objects ?? objects;
      return new Archiver({
        store, objects: place, pathOf, alarms, clock: systemClock, logger, metrics, concurrency: 3, maxBitsPerSecond: null, legalHold: false, idleMs: 10, backoffMs: 5, maxBackoffMs: 20,
        outage: new ArchiveOutage({ alarms, place: place.place, clock: systemClock, logger, alarmAfter: options.alarmAfter ?? 0 }), ...options,
      });
    },

    async [Symbol.asyncDispose]() {
      await db.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};
