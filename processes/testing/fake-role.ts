/** A stand-in for `main.ts` in the tests of the supervisor: `--role <role> --behave <how> --file <path>`. */
import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { sleep } from '../../core/clock.ts';
import { exitWithParent } from '../../platform/parent-process.ts';

const { values } = parseArgs({ options: { role: { type: 'string', default: '' }, behave: { type: 'string', default: '' }, file: { type: 'string', default: '' } } });
const note = (what: string): void => { if (values.file !== '') appendFileSync(values.file, `${values.role} ${what} ${process.pid}\n`); };

if (values.role === 'supervisor') {
  // Only here: the roles are started many times, and start faster without.
  const { Config } = await import('../../config/schema.ts');
  const { silentLogger } = await import('../../platform/logging.ts');
  const { superviseProcesses } = await import('../supervisor.ts');
  process.exitCode = await superviseProcesses(Config.parse({ data_dir: `${values.file}.data` }), {
    script: import.meta.filename, args: ['--behave', values.behave, '--file', values.file], logger: silentLogger(),
    onReady: (ready) => { process.stdout.write(`${JSON.stringify({ message: 'ready', ...ready })}\n`); },
  });
} else {
  const parent = exitWithParent();
  note('started');
  process.on('SIGTERM', () => {
    note('stopped');
    process.exit(0);
  });
  if (values.behave === `${values.role}-fatal`) process.exit(78);
  if (values.behave === `${values.role}-dies`) process.exit(1);
  parent?.send({ type: 'ready', urls: { [values.role]: `http://${values.role}` } });
  await sleep(2 ** 30);
}
