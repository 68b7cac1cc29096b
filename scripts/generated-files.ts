import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Writes generated files (name → text) into `folder`. With `--check` on the command line nothing is written: what differs is named on stderr
 * with `command`, which would mend it, and the exit code is 1.
 */
export const writeGenerated = (folder: string, files: Readonly<Record<string, string>>, command: string): void => {
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    if (!process.argv.includes('--check')) {
      writeFileSync(path, text);
      continue;
    }
    let found = '';
    try {
      found = readFileSync(path, 'utf8');
    } catch {
      // Missing is not up to date, either.
    }
    if (found === text) continue;
    process.stderr.write(`${path} is not up to date (run: ${command})\n`);
    process.exitCode = 1;
  }
};
