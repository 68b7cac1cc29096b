import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import type * as z from 'zod';
import { MediaError, messageOf } from '../core/errors.ts';
import { nearest, readEnvironment } from './environment.ts';
import type { VariableSetting } from './environment.ts';
import { allowedValues, configJsonSchema } from './keys.ts';
import type { KeySchema } from './keys.ts';
import { Config } from './schema.ts';

export interface LoadOptions {
  /** The YAML file (`--config`); else `IMAGEFLOW_CONFIG`; else the defaults alone. */
  readonly path?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * The configuration: defaults, then the YAML file, then `IMAGEFLOW_*` variables (contract 0.2).
 * Throws INVALID_ARGUMENT that names each wrong key, where it was set and what is allowed there.
 */
export const loadConfig = (options: LoadOptions): Config => {
  const path = options.path ?? (options.env['IMAGEFLOW_CONFIG'] === '' ? undefined : options.env['IMAGEFLOW_CONFIG']);
  const schema = configJsonSchema();
  const file = path === undefined ? {} : readYaml(path, schema);
  const variables = readEnvironment(options.env);
  const merged = variables.reduce<unknown>((value, { key, value: own }) => withValue(value, key.path, own), file);
  const result = Config.safeParse(merged);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => describeIssue(issue, schema, variables, path));
  throw new MediaError('INVALID_ARGUMENT', `the configuration is wrong:\n  ${lines.join('\n  ')}`);
};

/** Where things are, absolute. */
export interface ConfigPaths {
  readonly dataDir: string;
  /** SQLite's file, or the URL of PostgreSQL: what `openDatabase` takes. A secret. */
  readonly database: string;
  readonly recordings: string;
  /** Files made of recordings, with boxes drawn in (a folder). */
  readonly exports: string;
  /** Uploads while they come. */
  readonly uploads: string;
  /** The edge's journal of events (a folder). */
  readonly journal: string;
  readonly desiredState: string;
  readonly models: string;
  readonly clips: string;
  /** The installation's private key: recordings and exports are signed with it. */
  readonly signingKey: string;
  /** Single pictures that wait for the archive. */
  readonly frames: string;
}

/** Relative settings are relative to the working directory. */
export const paths = (config: Config): ConfigPaths => {
  const dataDir = resolve(config.data_dir);
  return {
    dataDir,
    database: config.database.url ?? join(dataDir, 'imageflow.db'),
    recordings: join(dataDir, 'recordings'),
    exports: join(dataDir, 'exports'),
    uploads: join(dataDir, 'uploads'),
    journal: join(dataDir, 'journal'),
    desiredState: join(dataDir, 'desired-state.bin'),
    models: config.inference.models_dir === undefined ? join(dataDir, 'models') : resolve(config.inference.models_dir),
    clips: resolve(config.sources.file_dir),
    signingKey: join(dataDir, 'keys', 'signing.pem'),
    frames: join(dataDir, 'frames'),
  };
};

const readYaml = (path: string, schema: KeySchema): unknown => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new MediaError('INVALID_ARGUMENT', `the configuration file ${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  return withoutEmptySections(parseYaml(text, path), schema);
};

const parseYaml = (text: string, path: string): unknown => {
  try {
    const document = parseDocument(text);
    if (document.errors[0]) throw document.errors[0];
    return document.toJS({ maxAliasCount: 100 }) as unknown;
  } catch (error) {
    // The parser's own errors, and unresolved or too many aliases.
    throw new MediaError('INVALID_ARGUMENT', `${path} is not valid YAML: ${messageOf(error)}`, { cause: error });
  }
};

/** A section whose keys are all commented out reads as null; it means: the defaults. */
const withoutEmptySections = (value: unknown, schema: KeySchema): unknown => {
  if (schema.type !== 'object') return value;
  if (value === null || value === undefined) return {};
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, withoutEmptySections(child, schema.properties?.[name] ?? {})]));
};

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** A copy with the value at `path` replaced. A section that is something else stays wrong, for the schema to refuse. */
const withValue = (value: unknown, path: readonly string[], own: unknown): unknown => {
  const [name, ...rest] = path;
  if (name === undefined) return own;
  return isRecord(value) ? { ...value, [name]: withValue(value[name] ?? {}, rest, own) } : value;
};

const schemaAt = (schema: KeySchema, path: readonly PropertyKey[]): KeySchema =>
  path.reduce<KeySchema>((at, name) => (typeof name === 'number' ? at.items : at.properties?.[String(name)]) ?? {}, schema);

const describeIssue = (issue: z.core.$ZodIssue, schema: KeySchema, variables: readonly VariableSetting[], path: string | undefined): string => {
  const at = schemaAt(schema, issue.path);
  const key = issue.path.join('.');
  const variable = variables.find((setting) => setting.key.path.every((name, i) => issue.path[i] === name))?.key.variable;
  const origin = variable ?? path ?? 'the defaults';
  if (issue.code === 'unrecognized_keys') {
    const names = Object.keys(at.properties ?? {});
    const where = key === '' ? '' : `${key}.`;
    return issue.keys.map((unknown) => `${where}${unknown} (${origin}) is no setting${nearest(unknown, names) || `; there ${key === '' ? 'are' : `under ${key} are`}: ${names.join(', ')}`}`).join('\n  ');
  }
  return `${key === '' ? 'the whole' : key} (${origin}) must be ${allowedValues(at)}: ${issue.message}`;
};
