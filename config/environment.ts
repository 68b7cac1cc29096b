import { parse } from 'yaml';
import { MediaError } from '../core/errors.ts';
import { configKeys } from './keys.ts';
import type { ConfigKey, KeySchema } from './keys.ts';

/** A setting given by a variable. */
export interface VariableSetting {
  readonly key: ConfigKey;
  readonly value: unknown;
}

/** Variables of ours that are no keys. */
const OTHERS: ReadonlySet<string> = new Set(['IMAGEFLOW_CONFIG']);

/** Kubernetes tells every pod of a service called `imageflow` of its address by such variables; they are no typing errors. */
const SERVICE_LINK = /_SERVICE_(HOST|PORT)(_\w+)?$|_PORT(_\d+_(TCP|UDP)(_\w+)?)?$/;
const isServiceLink = (name: string, value: string): boolean => SERVICE_LINK.test(name) && (name.includes('_SERVICE_') || /^(tcp|udp):\/\//.test(value) || /_(TCP|UDP)_/.test(name));

/**
 * Reads the `IMAGEFLOW_*` variables. An empty one counts as not set. Values stay text when they are not of the key's type, so that the
 * schema refuses them by name. Throws INVALID_ARGUMENT for a variable that names no key.
 */
export const readEnvironment = (env: NodeJS.ProcessEnv): readonly VariableSetting[] => {
  const keys = new Map(configKeys().map((key) => [key.variable, key]));
  const settings: VariableSetting[] = [];
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('IMAGEFLOW_') || OTHERS.has(name) || text === undefined || text === '') continue;
    const key = keys.get(name);
    if (key) settings.push({ key, value: coerce(text, key.schema) });
    else if (!isServiceLink(name, text)) throw new MediaError('INVALID_ARGUMENT', `${name} is no setting${nearest(name, [...keys.keys()])}`);
  }
  return settings;
};

const coerce = (text: string, schema: KeySchema): unknown => {
  if (schema.anyOf) {
    const nullable = schema.anyOf.some((option) => option.type === 'null');
    if (nullable && (text === 'none' || text === 'null')) return null;
    if (schema.anyOf.some((option) => option.const === text)) return text;
    return coerce(text, schema.anyOf.find((option) => option.type !== 'null' && option.const === undefined) ?? {});
  }
  switch (schema.type) {
    case 'integer':
    case 'number': {
      const number = Number(text);
      return text.trim() === '' || Number.isNaN(number) ? text : number;
    }
    case 'boolean':
      return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : text;
    case 'array':
      return coerceList(text, schema.items ?? {});
    default:
      return text;
  }
};

/** Comma-separated; a list of objects is written as JSON or YAML. */
const coerceList = (text: string, items: KeySchema): unknown => {
  if (items.type !== 'object') {
    return text.replace(/^\s*\[(.*)\]\s*$/, '$1').split(',').map((piece) => piece.trim()).filter((piece) => piece !== '').map((piece) => coerce(piece, items));
  }
  try {
    return parse(text) as unknown;
  } catch {
    return text;
  }
};

/** `, did you mean …?` when one of the names is close; else nothing. */
export const nearest = (name: string, names: readonly string[]): string => {
  const scored = names.map((candidate) => ({ candidate, distance: editDistance(name, candidate) })).sort((a, b) => a.distance - b.distance)[0];
  return scored && scored.distance <= Math.max(2, name.length / 5) ? `, did you mean ${scored.candidate}?` : '';
};

const editDistance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] ?? 0;
};
