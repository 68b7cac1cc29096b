import { stringify } from 'yaml';
import { allowedValues, configJsonSchema } from './keys.ts';
import type { KeySchema } from './keys.ts';
import { writeGenerated } from '../scripts/generated-files.ts';

/**
 * Writes `edge.schema.json` and `edge.example.yaml` from the zod schema: `node config/generate.ts`. With `--check` nothing is written,
 * and the exit code tells whether they are up to date.
 */
const example = (): string => {
  const lines = [
    '# Every setting of ImageFlow Edge with its default. Give the file by `--config` or IMAGEFLOW_CONFIG; keep only what you change.',
    '# Each key is also a variable: IMAGEFLOW_ and its path in capitals joined by `_` (http.port: IMAGEFLOW_HTTP_PORT); lists comma-separated.',
    '# yaml-language-server: $schema=./edge.schema.json',
  ];
  const write = (schema: KeySchema, indent: string): void => {
    for (const [name, child] of Object.entries(schema.properties ?? {})) {
      if (child.type === 'object') {
        lines.push('', `${indent}${name}:`);
        write(child, `${indent}  `);
        continue;
      }
      lines.push(`${indent}# ${child.description ?? ''} (${allowedValues(child)})`);
      lines.push(child.default === undefined ? `${indent}# ${name}:` : `${indent}${name}: ${stringify(child.default, { collectionStyle: 'flow', lineWidth: 0 }).trim()}`);
    }
  };
  write(configJsonSchema(), '');
  return `${lines.join('\n')}\n`;
};

const files: Readonly<Record<string, string>> = {
  'edge.schema.json': `${JSON.stringify(configJsonSchema(), null, 2)}\n`,
  'edge.example.yaml': example(),
};
writeGenerated(import.meta.dirname, files, 'node config/generate.ts');
