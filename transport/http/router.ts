/** One route that was found: what was registered, its pattern (for metrics) and the named segments, percent-decoded. */
export interface RouteMatch<T> {
  readonly value: T;
  readonly pattern: string;
  readonly params: Readonly<Record<string, string>>;
}

interface Registered<T> {
  readonly pattern: string;
  readonly names: readonly string[];
  readonly byMethod: Map<string, T>;
}

interface Node<T> {
  readonly fixed: Map<string, Node<T>>;
  param: Node<T> | null;
  here: Registered<T> | null;
  rest: Registered<T> | null;
}

const newNode = <T>(): Node<T> => ({ fixed: new Map(), param: null, here: null, rest: null });
const NOTHING: Readonly<Record<string, string>> = Object.freeze({});

/**
 * Path patterns to values. A segment `:name` takes one non-empty segment, a last `*name` takes the remainder (one segment at
 * least). A fixed segment wins over a named one, a named one over a remainder. Pure; a look-up costs one map access a segment.
 */
export class Router<T> {
  readonly #root: Node<T> = newNode();

  /** Throws `Error` (our bug) for a malformed pattern or one that is registered twice. */
  add(method: string, pattern: string, value: T): void {
    const names: string[] = [];
    let node = this.#root;
    const segments = split(pattern);
    if (!segments) throw new Error(`a route begins with a slash: ${pattern}`);
    for (const [index, segment] of segments.entries()) {
      if (segment.startsWith('*')) {
        if (index !== segments.length - 1) throw new Error(`only the last segment takes the remainder: ${pattern}`);
        names.push(segment.slice(1));
        register((node.rest ??= { pattern, names, byMethod: new Map() }), method, pattern, value);
        return;
      }
      if (segment.startsWith(':')) {
        names.push(segment.slice(1));
        node = node.param ??= newNode();
        continue;
      }
      let next = node.fixed.get(segment);
      if (!next) node.fixed.set(segment, (next = newNode()));
      node = next;
    }
    register((node.here ??= { pattern, names, byMethod: new Map() }), method, pattern, value);
  }

  /**
   * The route for a path (no query). `null`: no pattern fits. `allowed`: a pattern fits, the method does not.
   * HEAD falls back to GET. Malformed percent-encoding fits nothing.
   */
  find(method: string, path: string): RouteMatch<T> | { readonly allowed: readonly string[] } | null {
    const segments = split(path);
    if (!segments) return null;
    const taken: string[] = [];
    const found = walk(this.#root, segments, 0, taken);
    if (!found) return null;
    const value = found.byMethod.get(method) ?? (method === 'HEAD' ? found.byMethod.get('GET') : undefined);
    if (value === undefined) return { allowed: methodsOf(found) };
    const params = decode(found.names, taken);
    return params && { value, pattern: found.pattern, params };
  }
}

const register = <T>(at: Registered<T>, method: string, pattern: string, value: T): void => {
  if (at.pattern !== pattern) throw new Error(`the routes ${at.pattern} and ${pattern} are the same path`);
  if (at.byMethod.has(method)) throw new Error(`the route ${method} ${pattern} exists already`);
  at.byMethod.set(method, value);
};

const split = (path: string): string[] | null => (path.startsWith('/') ? path.slice(1).split('/') : null);

const methodsOf = <T>(route: Registered<T>): readonly string[] => {
  const methods = new Set(route.byMethod.keys());
  if (methods.has('GET')) methods.add('HEAD');
  methods.add('OPTIONS');
  return [...methods];
};

/** Depth first: fixed, named, remainder. A pattern's depth is small, so the recursion is. */
const walk = <T>(node: Node<T>, segments: readonly string[], index: number, taken: string[]): Registered<T> | null => {
  const segment = segments[index];
  if (segment === undefined) return node.here;
  const fixed = node.fixed.get(segment);
  if (fixed) {
    const found = walk(fixed, segments, index + 1, taken);
    if (found) return found;
  }
  if (node.param && segment !== '') {
    taken.push(segment);
    const found = walk(node.param, segments, index + 1, taken);
    if (found) return found;
    taken.pop();
  }
  if (node.rest && segment !== '') {
    taken.push(segments.slice(index).join('/'));
    return node.rest;
  }
  return null;
};

const decode = (names: readonly string[], taken: readonly string[]): Readonly<Record<string, string>> | null => {
  if (names.length === 0) return NOTHING;
  const params: Record<string, string> = {};
  for (const [index, name] of names.entries()) {
    const raw = taken[index] ?? '';
    if (!raw.includes('%')) { params[name] = raw; continue; }
    try {
      params[name] = decodeURIComponent(raw);
    } catch {
      return null; // not percent-encoding: no such resource
    }
  }
  return params;
};
