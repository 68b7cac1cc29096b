/** Turns what zod found wrong into `validation_errors[]` (SD-14). */
import type * as z from 'zod';
import { ValidationError } from './problem.ts';
import type { FieldError } from './problem.ts';

const SECRET = /password|token|secret|key|credential|authorization/i;
const MAX_VALUE = 200;
const MAX_FIELDS = 50;
const MAX_DEPTH = 4;
const MAX_MEMBERS = 20;

const valueAt = (input: unknown, path: readonly PropertyKey[]): unknown => {
  let value = input;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return null;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
};

/** Of arrays and objects only the beginning: a body may be nested deeper than a stack. */
const outline = (value: unknown, depth = MAX_DEPTH): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return '…';
  if (Array.isArray(value)) return value.slice(0, MAX_MEMBERS).map((member) => outline(member, depth - 1));
  return Object.fromEntries(Object.entries(value).slice(0, MAX_MEMBERS).map(([name, member]) => [name, SECRET.test(name) ? null : outline(member, depth - 1)]));
};

/** What may be shown again of a refused value: short, and never a secret. */
const shown = (field: string, value: unknown): unknown => {
  if (value === undefined || value === null || SECRET.test(field)) return null;
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  const text = typeof value === 'string' ? value : JSON.stringify(outline(value));
  return text.length <= MAX_VALUE ? text : `${text.slice(0, MAX_VALUE)}…`;
};

/** The error to throw for a failed parse of `input`. */
export const toValidationError = (error: z.core.$ZodError, input: unknown): ValidationError => {
  const fields: FieldError[] = [];
  for (const issue of error.issues.slice(0, MAX_FIELDS)) {
    const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
    for (const path of paths) {
      const field = path.map(String).join('.');
      fields.push({ field, message: issue.code === 'unrecognized_keys' ? 'there is no such member' : issue.message, value: shown(field, valueAt(input, path)) });
    }
  }
  const [first] = fields;
  return new ValidationError(fields, first === undefined ? undefined : `${first.field === '' ? 'the body' : first.field}: ${first.message}`);
};
