import type { Command } from 'commander';
import { paths } from '../config/load.ts';
import { restoreFromArchive } from '../control-api/archive/restore.ts';
import { systemClock } from '../core/clock.ts';
import { openDatabase } from '../platform/database/open.ts';
import { openArchiveStore } from '../platform/object-store/open.ts';
import { recordOf } from '../recorder/repair.ts';
import { readSegmentIndex } from '../recorder/segment-index.ts';
import { configOf, configured, guarded } from './io.ts';
import type { CliIo } from './io.ts';

/** `record restore` (REC-8): what is in the archive and not in the index comes back into it. May run beside a server. */
export const restoreCommand = (io: CliIo): Command =>
  configured('restore', 'put recordings of the archive back into an index that lacks them')
    .option('--camera <id>', 'only this camera')
    .option('--json', 'print the report as JSON')
    .action((options: { readonly camera?: string; readonly json?: true }, command: Command) =>
      guarded(io, async () => {
        const config = configOf(command, io);
        const { database, dataDir } = paths(config);
        await using stack = new AsyncDisposableStack();
        const db = stack.adopt(await openDatabase(database), (open) => open.destroy());
        const objects = stack.use(await openArchiveStore(config.archive, dataDir, systemClock));
        const report = await restoreFromArchive({
          db, objects, clock: systemClock, camera: options.camera,
          describe: async (files, segment, sha256) => recordOf(await readSegmentIndex(files, segment), sha256),
          onProgress: (listed, key) => { io.progress(`${String(listed)} ${key}`); },
        });
        io.progress('');
        if (options.json) io.out(JSON.stringify(report));
        else {
          for (const { key, problem } of report.problems) io.out(`${key}: ${problem}`);
          io.out(`${String(report.listed)} objects in ${objects.place}, ${String(report.restored)} restored (${(report.bytes / 1e6).toFixed(1)} MB), ${String(report.marks)} marks made, ${String(report.problems.length)} problems`);
        }
        if (report.problems.length > 0) io.fail();
      }),
    );
