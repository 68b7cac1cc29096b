import { Command } from 'commander';
import { printReady, runServer } from './server.ts';

/** `imageflow-edge start`: the whole server on this machine. */
export const startCommand = (): Command =>
  new Command('start')
    .description('run the server: supervisor, edge, control and worker')
    .option('--config <file>', 'YAML configuration; else IMAGEFLOW_CONFIG')
    .action(async (options: { config?: string }) => {
      process.exitCode = await runServer(options.config, printReady);
    });
