/** `.meta(secret)`: a value that is never shown again (JSON Schema's word for it). `check --print` masks what has it. */
export const secret = { writeOnly: true } as const;
