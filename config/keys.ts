import * as z from 'zod';
import { Config } from './schema.ts';

/** The part of JSON Schema that `z.toJSONSchema` makes of our configuration. */
export interface KeySchema {
  readonly type?: 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean' | 'null';
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, KeySchema>>;
  readonly items?: KeySchema;
  readonly enum?: readonly unknown[];
  readonly const?: string | number | boolean;
  readonly anyOf?: readonly KeySchema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly minLength?: number;
  readonly minItems?: number;
  readonly format?: string;
  /** A secret. */
  readonly writeOnly?: boolean;
}

/** One setting: where it is, and what it may be. */
export interface ConfigKey {
  /** e.g. `['http', 'port']` */
  readonly path: readonly string[];
  /** `IMAGEFLOW_HTTP_PORT`: the path in capitals joined by `_` (contract 0.2). Unique, although keys contain `_` themselves. */
  readonly variable: string;
  readonly schema: KeySchema;
}

/** The whole configuration as JSON Schema, from the one zod schema. */
export const configJsonSchema = (): KeySchema => z.toJSONSchema(Config, { io: 'input' }) as KeySchema;

const collect = (schema: KeySchema, path: readonly string[]): ConfigKey[] =>
  schema.type === 'object' && schema.properties
    ? Object.entries(schema.properties).flatMap(([name, child]) => collect(child, [...path, name]))
    : [{ path, variable: `IMAGEFLOW_${path.join('_').toUpperCase()}`, schema }];

/** Every setting, in the order of the schema. */
export const configKeys = (): readonly ConfigKey[] => collect(configJsonSchema(), []);

/** What a key may be, in words: for error messages and the example file. */
export const allowedValues = (schema: KeySchema): string => {
  if (schema.anyOf) return schema.anyOf.map(allowedValues).join(' or ');
  if (schema.const !== undefined) return String(schema.const);
  if (schema.enum) return `one of ${schema.enum.map(String).join(', ')}`;
  switch (schema.type) {
    case 'integer':
    case 'number':
      return `${schema.type === 'integer' ? 'a whole number' : 'a number'}${range(schema)}`;
    case 'boolean':
      return 'true or false';
    case 'null':
      return 'none';
    case 'array':
      return `a list${schema.minItems === undefined ? '' : ` of at least ${schema.minItems}`}${schema.items?.type === 'object' ? '' : `, each ${allowedValues(schema.items ?? {})}`}`;
    case 'object':
      return `these keys: ${Object.keys(schema.properties ?? {}).join(', ')}`;
    case 'string':
      return schema.format === 'uri' ? 'a URL' : `a text${schema.minLength === undefined ? '' : ` of at least ${schema.minLength} characters`}`;
    default:
      return 'a value';
  }
};

const range = ({ minimum, maximum, exclusiveMinimum }: KeySchema): string => {
  const most = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (minimum !== undefined && most !== undefined) return ` from ${minimum} to ${most}`;
  if (minimum !== undefined) return `, at least ${minimum}`;
  if (exclusiveMinimum !== undefined) return ` above ${exclusiveMinimum}${most === undefined ? '' : ` up to ${most}`}`;
  return most === undefined ? '' : ` up to ${most}`;
};
