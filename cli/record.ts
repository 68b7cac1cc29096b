import { Command } from 'commander';
import { paths } from '../config/load.ts';
import { SigningKey } from '../platform/signing-key.ts';
import { configOf, configured, guarded, terminalIo } from './io.ts';
import type { CliIo } from './io.ts';
import { rebuildCommand } from './record-rebuild.ts';
import { restoreCommand } from './record-restore.ts';
import { verifyCommand } from './record-verify.ts';

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
