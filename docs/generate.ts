/**
 * Writes `metrics.md`, `openapi.json` and the schemas of events from the code: `node docs/generate.ts`. With `--check` nothing is written, and the exit code tells
 * whether they are up to date.
 */
import { z } from 'zod';
import { TOPICS } from '../control-api/events/service.ts';
import { startApi } from '../control-api/testing/harness.ts';
import { createMetrics } from '../platform/metrics.ts';
import { writeGenerated } from '../scripts/generated-files.ts';

interface Described { readonly name: string; readonly help: string; readonly type: string; readonly labelNames?: readonly string[] }

const metricsPage = (): string => {
  const own = (createMetrics('docs').registry.getMetricsAsArray() as unknown as readonly Described[]).filter(({ name }) => name.startsWith('imageflow_'));
  const rows = own.map(({ name, help, type, labelNames = [] }) => `| \`${name}\` | ${type} | ${labelNames.map((label) => `\`${label}\``).join(', ')} | ${help} |`);
  return [
    '# Metrics', '',
    '`GET /metrics` on the front door answers for control and edge together; every row also carries the label `process`. Beside these come `process_*` and `nodejs_*` of each process.', '',
    '| name | kind | labels | what it counts |', '| --- | --- | --- | --- |', ...rows, '',
  ].join('\n');
};

const openApi = async (): Promise<string> => {
  await using api = await startApi({ version: '1' });
  return `${JSON.stringify((await api.call('GET', '/v1/openapi.json')).body, null, 1)}\n`;
};

/** One JSON Schema for each topic (OPS-1). */
const eventSchemas = (): [string, string][] => Object.entries(TOPICS).map(([topic, { schema }]) => {
  const { $schema, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12' });
  return [`schemas/${topic}.json`, `${JSON.stringify({ $schema, title: topic, ...rest }, null, 1)}\n`];
});

const files: Readonly<Record<string, string>> = { 'metrics.md': metricsPage(), 'openapi.json': await openApi(), ...Object.fromEntries(eventSchemas()) };
writeGenerated(import.meta.dirname, files, 'node docs/generate.ts');
