/**
 * The `names` of a YOLO export: a Python dict literal of integers and strings, `{0: 'person', 1: "driver's seat"}`.
 * Only that much of Python is understood; anything else is null.
 */
const MAX_LABELS = 10_000;

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '\\': '\\', "'": "'", '"': '"' };

/** Labels by class id, holes filled with `class N`; null when `text` is no such dict or has more than 10,000 classes. */
export const parseNames = (text: string): readonly string[] | null => {
  let at = 0;
  const skipSpace = (): void => { while (/\s/.test(text.charAt(at))) at++; };
  const take = (char: string): boolean => {
    skipSpace();
    if (text.charAt(at) !== char) return false;
    at++;
    return true;
  };
  const integer = (): number | null => {
    skipSpace();
    const from = at;
    while (at - from < 6 && text.charAt(at) >= '0' && text.charAt(at) <= '9') at++;
    return at === from ? null : Number(text.slice(from, at));
  };
  const string = (): string | null => {
    skipSpace();
    const quote = text.charAt(at);
    if (quote !== "'" && quote !== '"') return null;
    let out = '';
    for (at++; at < text.length; at++) {
      const char = text.charAt(at);
      if (char === quote) { at++; return out; }
      if (char === '\\') {
        at++;
        out += ESCAPES[text.charAt(at)] ?? `\\${text.charAt(at)}`;
      } else out += char;
    }
    return null;
  };

  if (!take('{')) return null;
  const byId = new Map<number, string>();
  while (!take('}')) {
    if (byId.size > 0 && !take(',')) return null;
    if (byId.size > 0 && take('}')) break; // a trailing comma
    const id = integer();
    if (id === null || id >= MAX_LABELS || !take(':')) return null;
    const label = string();
    if (label === null) return null;
    byId.set(id, label);
  }
  skipSpace();
  if (at !== text.length || byId.size === 0) return null;
  return Array.from({ length: Math.max(...byId.keys()) + 1 }, (_, id) => byId.get(id) ?? `class ${id}`);
};
