/** `record rebuild` [REC-10]: the index of recordings anew from their files, without a server. */
import type { Command } from 'commander';
import type { Kysely } from 'kysely';
import { paths } from '../config/load.ts';
import { expireSegment, upsertSegments } from '../control-api/edges/segment-rows.ts';
import { systemClock } from '../core/clock.ts';
import { toWireSegment } from '../media-control/wire-events.ts';
import { openDatabase } from '../platform/database/open.ts';
import type { Database } from '../platform/database/schema.ts';
import { createLogger } from '../platform/logging.ts';
import { lockData } from '../processes/data-lock.ts';
import type { SegmentRecord } from '../recorder/port.ts';
import { findRecordings } from '../recorder/rebuild.ts';
import { configOf, configured, guarded } from './io.ts';
import type { CliIo } from './io.ts';

/** Rows per transaction. */
const BATCH = 2_000;
const PAGE = 5_000;

interface RebuildReport {
  segments: number;
  /** Of these: still open, and read as a whole because nothing beside them vouched for them. */
  open: number;
  read: number;
  /** Rows of segments whose files are gone: no longer listed. */
  expired: number;
  problems: { readonly id: string; readonly problem: string }[];
  seconds: number;
}

/** Fills `db` with what is below `recordings`, and lists nothing else any more. Throws what the database throws. */
export const rebuildIndex = async (db: Kysely<Database>, recordings: string, onProgress: (segments: number) => void = () => undefined): Promise<RebuildReport> => {
  const began = systemClock.monotonic();
  const report: RebuildReport = { segments: 0, open: 0, read: 0, expired: 0, problems: [], seconds: 0 };
  const there = new Set<string>();
  let batch: SegmentRecord[] = [];
  const write = async (): Promise<void> => {
    const segments = batch.map(toWireSegment);
    batch = [];
    await db.transaction().execute((tx) => upsertSegments(tx, segments));
    onProgress(report.segments);
  };
  for await (const found of findRecordings(recordings, createLogger({ level: 'error', component: 'cli' }))) {
    if ('problem' in found) {
      report.problems.push(found);
      there.add(found.id); // it is there, however bad: verify and the next start see to it
      continue;
    }
    there.add(found.record.id);
    report.segments++;
    if (found.record.open) report.open++;
    if (found.read) report.read++;
    if (batch.push(found.record) >= BATCH) await write();
  }
  await write();
  report.expired = await expireAllBut(db, there);
  report.seconds = (systemClock.monotonic() - began) / 1000;
  return report;
};

const expireAllBut = async (db: Kysely<Database>, there: ReadonlySet<string>): Promise<number> => {
  const now = systemClock.now();
  let expired = 0;
  for (let after = '';;) {
    const rows = await db.selectFrom('segments').select('id').where('expired_at', 'is', null).where('local', '=', 1).where('id', '>', after).orderBy('id').limit(PAGE).execute();
    const gone = rows.filter(({ id }) => !there.has(id));
    await db.transaction().execute(async (tx) => { for (const { id } of gone) await expireSegment(tx, id, now); });
    expired += gone.length;
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return expired;
    after = last.id;
  }
};

export const rebuildCommand = (io: CliIo): Command =>
  configured('rebuild', "make the index of recordings anew from their files; the server's control process must be stopped")
    .option('--into <database>', 'an SQLite file or a postgres:// URL instead of the configured database; then the server may run')
    .option('--json', 'print the report as JSON')
    .action((options: { readonly into?: string; readonly json?: true }, command: Command) =>
      guarded(io, async () => {
        const config = configOf(command, io);
        const { database, recordings } = paths(config);
        using _lock = options.into === undefined ? lockData(config, 'control') : undefined;
        const db = await openDatabase(options.into ?? database);
        try {
          const report = await rebuildIndex(db, recordings, (segments) => { io.progress(`${String(segments)} recordings`); });
          io.progress('');
          if (options.json) io.out(JSON.stringify(report));
          else {
            for (const { id, problem } of report.problems) io.out(`${id}: left out: ${problem}`);
            const { segments, read, open, expired, seconds } = report;
            io.out(`${String(segments)} recordings in the index (${String(read)} read as a whole, ${String(open)} still open), ${String(expired)} no longer listed, in ${seconds.toFixed(1)} s`);
          }
          if (report.problems.length > 0) io.fail();
        } finally {
          await db.destroy();
        }
      }),
    );
