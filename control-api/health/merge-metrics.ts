/** Prometheus text exposition of several processes as one: each family's HELP and TYPE once, its samples together (format 0.0.4). */

interface Family {
  help: string | null;
  type: string | null;
  readonly samples: string[];
}

const HEADER = /^# (HELP|TYPE) ([A-Za-z_:][\w:]*) ?(.*)$/;
const SAMPLE = /^([A-Za-z_:][\w:]*)[ {]/;
const SUFFIX = /_(?:bucket|sum|count|total|created)$/;

/** Merges texts; lines that are neither comment nor sample are left out. */
export const mergeMetrics = (texts: readonly string[]): string => {
  const families = new Map<string, Family>();
  const family = (name: string): Family => {
    let known = families.get(name);
    if (known === undefined) families.set(name, (known = { help: null, type: null, samples: [] }));
    return known;
  };
  for (const text of texts) {
    for (const line of text.split('\n')) {
      const header = HEADER.exec(line);
      if (header !== null) {
        const [, kind, name = '', rest = ''] = header;
        if (kind === 'HELP') family(name).help ??= rest;
        else family(name).type ??= rest;
        continue;
      }
      const name = SAMPLE.exec(line)?.[1];
      if (name === undefined) continue;
      // Samples of a histogram belong to the family without the suffix.
      const base = name.replace(SUFFIX, '');
      family(families.has(name) || !families.has(base) ? name : base).samples.push(line);
    }
  }
  const lines: string[] = [];
  for (const [name, { help, type, samples }] of families) {
    if (samples.length === 0) continue;
    if (help !== null) lines.push(`# HELP ${name} ${help}`);
    if (type !== null) lines.push(`# TYPE ${name} ${type}`);
    for (const sample of samples) lines.push(sample);
  }
  return `${lines.join('\n')}\n`;
};
