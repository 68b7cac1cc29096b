import type { Command } from 'commander';
import type { Kysely } from 'kysely';
import { paths } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { archiveKey } from '../control-api/archive/keys.ts';
import { systemClock } from '../core/clock.ts';
import { openDatabase } from '../platform/database/open.ts';
import type { Database } from '../platform/database/schema.ts';
import { openArchiveStore } from '../platform/object-store/open.ts';
import { SigningKey } from '../platform/signing-key.ts';
import { verifyArchive } from '../recorder/verify-archive.ts';
import type { ArchiveReport } from '../recorder/verify-archive.ts';
import { verifyRecordings } from '../recorder/verify.ts';
import type { VerifyProgress, VerifyReport } from '../recorder/verify.ts';
import { configOf, configured, guarded } from './io.ts';
import type { CliIo } from './io.ts';

interface Options {
  readonly archive?: true;
  readonly camera?: string;
  readonly json?: true;
}

interface Verification {
  readonly config: Config;
  readonly db: Kysely<Database>;
  readonly camera: string | undefined;
  readonly onProgress: (progress: VerifyProgress) => void;
}

/** Ids asked for in one statement. */
const IDS = 500;

/** `record verify` [REC-10]: every recorded file, or every archived object, against index and signed manifest. May run beside a recording server. */
export const verifyCommand = (io: CliIo): Command =>
  configured('verify', 'check every recording: there, whole, unchanged, signed by this installation; names what is not')
    .option('--archive', 'the objects in the archive instead of the files on this machine')
    .option('--camera <id>', 'only this camera')
    .option('--json', 'print the report as JSON')
    .action((options: Options, command: Command) =>
      guarded(io, async () => {
        const config = configOf(command, io);
        const db = await openDatabase(paths(config).database);
        try {
          const began = systemClock.monotonic();
          const onProgress = ({ done, total, bytes }: VerifyProgress): void => {
            io.progress(`${String(done)}/${String(total)} recordings, ${(bytes / 1e6).toFixed(0)} MB, ${(bytes / 1e3 / Math.max(1, systemClock.monotonic() - began)).toFixed(0)} MB/s`);
          };
          const verification = { config, db, camera: options.camera, onProgress };
          const report = options.archive ? await archived(verification) : await local(verification);
          io.progress('');
          if (options.json) io.out(JSON.stringify(report));
          else for (const line of linesOf(report)) io.out(line);
          if (!isGood(report)) io.fail();
        } finally {
          await db.destroy();
        }
      }),
    );

const local = async ({ config, db, camera, onProgress }: Verification): Promise<VerifyReport> => {
  const { recordings, signingKey } = paths(config);
  const index = async () =>
    (await db.selectFrom('segments').select(['id', 'camera_id', 'bytes', 'sha256', 'open', 'expired_at', 'local']).execute()).map((row) => ({
      id: row.id, camera: row.camera_id, bytes: row.bytes, sha256: row.sha256, open: row.open === 1, gone: row.expired_at !== null || row.local === 0,
    }));
  return verifyRecordings(recordings, await index(), { key: (await SigningKey.read(signingKey))?.public, camera, again: index, onProgress });
};

const archived = async ({ config, db, camera, onProgress }: Verification): Promise<ArchiveReport> => {
  const { recordings, signingKey, dataDir } = paths(config);
  const index = async (ids?: readonly string[]) => {
    let query = db.selectFrom('segments').select(['id', 'camera_id as camera', 'bytes', 'sha256']).where('archived_at', 'is not', null).orderBy('id');
    if (camera !== undefined) query = query.where('camera_id', '=', camera);
    if (ids !== undefined) query = query.where('id', 'in', [...ids]);
    return (await query.execute()).map((row) => ({ ...row, open: false }));
  };
  const again = async (ids: readonly string[]) => {
    const pages = Array.from({ length: Math.ceil(ids.length / IDS) }, (_, i) => ids.slice(i * IDS, (i + 1) * IDS));
    return (await Promise.all(pages.map((page) => index(page)))).flat();
  };
  using objects = await openArchiveStore(config.archive, dataDir, systemClock);
  return await verifyArchive(await index(), { objects, keyOf: archiveKey, directory: recordings, key: (await SigningKey.read(signingKey))?.public, again, concurrency: config.archive.concurrency, onProgress });
};

const isGood = (report: VerifyReport | ArchiveReport): boolean => report.problems.length === 0 && (!('unread' in report) || report.unread.length === 0);

const linesOf = (report: VerifyReport | ArchiveReport): string[] => {
  const lines = report.problems.map(({ id, problem }) => `${id}: ${problem}`);
  if ('unread' in report) {
    for (const { id, error } of report.unread) lines.push(`${id}: cannot be judged: ${error}`);
    if (report.unsigned > 0) lines.push(`${String(report.unsigned)} of the good ones carry no signature of this installation: they are what the index says, and it alone or their neighbours say so`);
  }
  const what = 'unread' in report ? 'archived segments' : 'segments';
  return [...lines, `${String(report.checked)} ${what} checked, ${(report.bytes / 1e6).toFixed(1)} MB good, ${String(report.problems.length)} problems`];
};
