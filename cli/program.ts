/** The command line: every command is a file of this folder, every process one of `processes/`. Imported by `main.ts` alone: it runs. */
import { Command, Option } from 'commander';
import { loadConfig } from '../config/load.ts';
import { MediaError, messageOf } from '../core/errors.ts';
import { FATAL_EXIT_CODE, exitCodeOf } from '../processes/exit-code.ts';

const ROLES = ['edge', 'control', 'worker'] as const;

/** In the order of the help. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import('./start.ts')).startCommand(),
  demo: async () => (await import('./demo.ts')).demoCommand(),
  check: async () => (await import('./check.ts')).checkCommand(),
  user: async () => (await import('./user.ts')).userCommand(),
  camera: async () => (await import('./camera.ts')).cameraCommand(),
  record: async () => (await import('./record.ts')).recordCommand(),
  export: async () => (await import('./export.ts')).exportCommand(),
  doctor: async () => (await import('./doctor.ts')).doctorCommand(),
};

/** The commands a command line may mean: those it names, else all, for help and for errors. A server's processes do not carry what its tools need. */
const commandsFor = (line: readonly string[]): Promise<Command[]> => {
  const named = Object.keys(COMMANDS).filter((name) => line.includes(name));
  const wanted = named.length > 0 || line.some((word) => word.startsWith('--role')) ? named : Object.keys(COMMANDS);
  return Promise.all(wanted.map((name) => COMMANDS[name]?.()).filter((command) => command !== undefined));
};

/** One role in this very process; its modules are loaded only now, so that no process carries another's libraries. */
const runRole = async (role: (typeof ROLES)[number], configPath: string | undefined): Promise<void> => {
  const config = loadConfig({ path: configPath, env: process.env });
  switch (role) {
    case 'edge':
      return (await import('../processes/edge.ts')).runEdge(config);
    case 'control':
      return (await import('../processes/control.ts')).runControl(config);
    case 'worker':
      return (await import('../processes/worker.ts')).runWorker(config);
  }
};

const program = new Command('imageflow-edge')
  .description('Edge media server for factories: received once, recorded, detected, watched live.')
  .addOption(new Option('--role <role>', 'run one process alone').choices(ROLES))
  .option('--config <file>', 'YAML configuration; else IMAGEFLOW_CONFIG')
  .enablePositionalOptions()
  .action(async (options: { role?: (typeof ROLES)[number]; config?: string }) => {
    if (options.role === undefined) program.outputHelp({ error: true });
    else await runRole(options.role, options.config);
  });
for (const command of await commandsFor(process.argv.slice(2))) program.addCommand(command);

try {
  await program.parseAsync();
  if (program.opts<{ role?: string }>().role !== undefined) process.exit(0); // whatever a native library still holds open
} catch (error) {
  if (program.opts<{ role?: string }>().role !== undefined) {
    const code = exitCodeOf(error);
    console.error(error instanceof MediaError || code === FATAL_EXIT_CODE ? messageOf(error) : error);
    process.exit(code); // whatever a native library still holds open
  }
  console.error(error instanceof MediaError ? error.message : error);
  process.exitCode = error instanceof MediaError && error.code === 'INVALID_ARGUMENT' ? 2 : 1;
}
