import type { Command } from 'commander';
import { stringify } from 'yaml';
import { withoutSecrets } from '../config/secrets.ts';
import { configOf, configured, guarded, terminalIo } from './io.ts';
import type { CliIo } from './io.ts';

/** `check`: whether the configuration is right; every mistake with the key, where it was set, and what is allowed there. */
export const checkCommand = (io: CliIo = terminalIo): Command =>
  configured('check', 'check the configuration')
    .option('--print', 'print the configuration that results, defaults included, secrets left out')
    .action((options: { readonly print?: true }, command: Command) =>
      guarded(io, () => {
        const config = configOf(command, io);
        if (options.print) io.out(stringify(withoutSecrets(config)).trimEnd());
        else io.out('the configuration is right');
        return Promise.resolve();
      }),
    );
