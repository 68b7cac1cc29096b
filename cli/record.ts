import { Command } from 'commander';
import { paths } from '../config/load.ts';
import { toRecord } from '../control-api/recordings/service.ts';
import { openDatabase } from '../platform/database/open.ts';
import { verifyRecordings } from '../recorder/verify.ts';
import { configOf, configured, guarded, terminalIo } from './io.ts';
import type { CliIo } from './io.ts';

/** `record verify` (REC-10): every closed segment of the index against its file. May run beside a recording server. */
export const recordCommand = (io: CliIo = terminalIo): Command => {
  const verify = configured('verify', 'check every recorded file: readable, and its SHA-256 that of the index')
    .option('--camera <id>', 'only this camera')
    .option('--json', 'print the report as JSON')
    .action((options: { readonly camera?: string; readonly json?: true }, command: Command) =>
      guarded(io, async () => {
        const { database, recordings } = paths(configOf(command, io));
        const db = await openDatabase(database);
        try {
          const all = () => db.selectFrom('segments').selectAll().orderBy('camera_id').orderBy('start_ms').execute();
          const index = (await all()).filter((row) => row.expired_at === null).map(toRecord);
          // Records of other cameras only say which files are known.
          const wanted = options.camera === undefined ? index : index.map((record) => (record.camera === options.camera ? record : { ...record, open: true }));
          const report = await verifyRecordings(recordings, wanted, ({ done, total, id }) => { io.progress(`${String(done + 1)}/${String(total)} ${id}`); });
          io.progress('');
          // The server goes on meanwhile: new files came, old ones went.
          const now = new Map((await all()).map((row) => [row.id, row]));
          const problems = report.problems.filter(({ id, problem }) => {
            if (options.camera !== undefined && !id.startsWith(`${options.camera}/`)) return false;
            const row = now.get(id);
            return problem === 'not in the index' ? row === undefined : row?.expired_at === null;
          });
          if (options.json) io.out(JSON.stringify({ ...report, problems }));
          else {
            for (const { id, problem } of problems) io.out(`${id}: ${problem}`);
            io.out(`${String(report.checked)} segments checked, ${(report.bytes / 1e6).toFixed(1)} MB good, ${String(problems.length)} problems`);
          }
          if (problems.length > 0) io.fail();
        } finally {
          await db.destroy();
        }
      }),
    );
  return new Command('record').description('recordings on this machine').addCommand(verify);
};
