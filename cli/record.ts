import { Command } from 'commander';
import { paths } from '../config/load.ts';
import { systemClock } from '../core/clock.ts';
import { openDatabase } from '../platform/database/open.ts';
import { SigningKey } from '../platform/signing-key.ts';
import { verifyRecordings } from '../recorder/verify.ts';
import { configOf, configured, guarded, terminalIo } from './io.ts';
import type { CliIo } from './io.ts';
import { rebuildCommand } from './record-rebuild.ts';
import { restoreCommand } from './record-restore.ts';

/** `record verify` [REC-10]: every recorded file against index and signed manifest. May run beside a recording server. */
const verifyCommand = (io: CliIo): Command =>
  configured('verify', 'check every recording: there, whole, unchanged, signed by this installation; names what is not')
    .option('--camera <id>', 'only this camera')
    .option('--json', 'print the report as JSON')
    .action((options: { readonly camera?: string; readonly json?: true }, command: Command) =>
      guarded(io, async () => {
        const { database, recordings, signingKey } = paths(configOf(command, io));
        const db = await openDatabase(database);
        try {
          const index = async () =>
            (await db.selectFrom('segments').select(['id', 'camera_id', 'bytes', 'sha256', 'open', 'expired_at', 'local']).execute()).map((row) => ({
              id: row.id, camera: row.camera_id, bytes: row.bytes, sha256: row.sha256, open: row.open === 1, gone: row.expired_at !== null || row.local === 0,
            }));
          const began = systemClock.monotonic();
          const report = await verifyRecordings(recordings, await index(), {
            key: (await SigningKey.read(signingKey))?.public, camera: options.camera, again: index,
            onProgress: ({ done, total, bytes }) => { io.progress(`${String(done)}/${String(total)} recordings, ${(bytes / 1e6).toFixed(0)} MB, ${(bytes / 1e3 / Math.max(1, systemClock.monotonic() - began)).toFixed(0)} MB/s`); },
          });
          io.progress('');
          if (options.json) io.out(JSON.stringify(report));
          else {
            for (const { id, problem } of report.problems) io.out(`${id}: ${problem}`);
            io.out(`${String(report.checked)} segments checked, ${(report.bytes / 1e6).toFixed(1)} MB good, ${String(report.problems.length)} problems`);
          }
          if (report.problems.length > 0) io.fail();
        } finally {
          await db.destroy();
        }
      }),
    );

/** `record key`: the public key that recordings and exports of this installation are signed with. */
const keyCommand = (io: CliIo): Command =>
  configured('key', 'print the public key that recordings and exports are signed with; it is made if there is none yet').action((_options: unknown, command: Command) =>
    guarded(io, async () => {
      const { public: key } = await SigningKey.open(paths(configOf(command, io)).signingKey);
      io.out(`key id ${key.kid}`);
      io.out(key.pem.trim());
    }),
  );

export const recordCommand = (io: CliIo = terminalIo): Command =>
  new Command('record').description('recordings on this machine').addCommand(verifyCommand(io)).addCommand(rebuildCommand(io)).addCommand(restoreCommand(io)).addCommand(keyCommand(io));
