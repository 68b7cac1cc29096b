import { configJsonSchema } from './keys.ts';
import type { KeySchema } from './keys.ts';
import type { Config } from './schema.ts';

/** What stands in the place of a secret that is set. */
const SET = '(set)';
const USER_INFO = /(?<=^[a-z][a-z0-9+.-]*:(?:\/\/)?)[^/?#@\s]+(?=@)/i;
const TOKEN_PARAMETER = /(?<=[?&](?:token|access_token|key|password|secret|credential)=)[^&#\s]+/gi;

/**
 * The configuration as it may be shown: keys marked as secret in the schema (`secret` of `marks.ts`) say only whether they are set, and URLs
 * lose their user information and tokens.
 */
export const withoutSecrets = (config: Config): unknown => masked(config, configJsonSchema());

const masked = (value: unknown, schema: KeySchema): unknown => {
  if (value === undefined || value === null) return value;
  if (schema.writeOnly === true) return SET;
  if (typeof value === 'string') return value.replace(USER_INFO, SET).replace(TOKEN_PARAMETER, SET);
  if (Array.isArray(value)) return value.map((each) => masked(each, schema.items ?? {}));
  if (typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, masked(child, schema.properties?.[name] ?? {})]));
  return value;
};
