/** `/v1/docs`: the OpenAPI document for people, as plain HTML without scripts, made from the same object. */

interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly unknown[];
  readonly parameters?: readonly { readonly name?: string; readonly in?: string; readonly required?: boolean; readonly description?: string; readonly schema?: unknown }[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, { readonly schema?: unknown }>> };
  readonly responses?: Readonly<Record<string, { readonly description?: string; readonly content?: Readonly<Record<string, { readonly schema?: unknown }>> }>>;
}
export interface ApiDocument {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly paths?: Readonly<Record<string, unknown>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, unknown>> };
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;

const text = (value: string): string => value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** A schema in a few words: a link to a component, or its JSON. */
const schemaHtml = (schema: unknown): string => {
  if (schema === undefined) return '';
  const reference = /^\{"\$ref":"#\/components\/schemas\/(\w+)"\}$/.exec(JSON.stringify(schema))?.[1];
  return reference === undefined ? `<code>${text(JSON.stringify(schema))}</code>` : `<a href="#schema-${reference}">${reference}</a>`;
};

const operationHtml = (method: string, path: string, operation: Operation): string => {
  const parameters = (operation.parameters ?? []).map(
    (p) => `<tr><td><code>${text(p.name ?? '')}</code></td><td>${text(p.in ?? '')}${p.required === true ? ', required' : ''}</td><td>${text(p.description ?? '')} ${schemaHtml(p.schema)}</td></tr>`,
  );
  const bodies = Object.entries(operation.requestBody?.content ?? {}).map(([type, { schema }]) => `<tr><td>body</td><td>${text(type)}</td><td>${schemaHtml(schema)}</td></tr>`);
  const responses = Object.entries(operation.responses ?? {}).map(([status, response]) => {
    const contents = Object.entries(response.content ?? {}).map(([type, { schema }]) => `${text(type)} ${schemaHtml(schema)}`);
    return `<tr><td>${text(status)}</td><td>${text(response.description ?? '')}</td><td>${contents.join('<br>')}</td></tr>`;
  });
  return `<details><summary><b>${method.toUpperCase()}</b> <code>${text(path)}</code> ${text(operation.summary ?? '')}${operation.security === undefined ? ' <i>open</i>' : ''}</summary><table>${[...parameters, ...bodies, ...responses].join('')}</table></details>`;
};

const STYLE = `:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}body{max-width:70rem;margin:2rem auto;padding:0 1rem}details{border:1px solid #8884;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}summary{cursor:pointer}summary b{display:inline-block;width:4.5rem}table{border-collapse:collapse;width:100%;margin:.5rem 0}td{border-top:1px solid #8883;padding:.25rem .6rem .25rem 0;vertical-align:top}code{overflow-wrap:anywhere}pre{overflow:auto}`;

/** The whole page. */
export const docsPage = (document: ApiDocument): string => {
  const groups = new Map<string, string[]>();
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of METHODS) {
      const operation = (item as Readonly<Record<string, Operation | undefined>>)[method];
      if (operation === undefined) continue;
      const tag = operation.tags?.[0] ?? 'other';
      groups.set(tag, [...(groups.get(tag) ?? []), operationHtml(method, path, operation)]);
    }
  }
  const schemas = Object.entries(document.components?.schemas ?? {}).map(
    ([name, schema]) => `<details id="schema-${text(name)}"><summary><code>${text(name)}</code></summary><pre>${text(JSON.stringify(schema, null, 2))}</pre></details>`,
  );
  const { title, version, description = '' } = document.info;
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${text(title)}</title><style>${STYLE}</style></head><body><h1>${text(title)} ${text(version)}</h1><p>${text(description)}</p><p>For programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>${[...groups].map(([tag, operations]) => `<h2>${text(tag)}</h2>${operations.join('')}`).join('')}<h2>Schemas</h2>${schemas.join('')}</body></html>`;
};
