import { hash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { extname, join, normalize, sep } from 'node:path';
import { LRUCache } from 'lru-cache';
import { matches } from '../etag.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.mjs': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml', '.png': 'image/png', '.ico': 'image/x-icon', '.jpg': 'image/jpeg', '.webp': 'image/webp', '.woff2': 'font/woff2', '.wasm': 'application/wasm',
  '.json': 'application/json', '.map': 'application/json', '.webmanifest': 'application/manifest+json', '.txt': 'text/plain; charset=utf-8',
};
/** Media and sockets come from the edge's port as well: another origin, whose address the page is told by the API. */
const POLICY =
  "default-src 'self'; connect-src 'self' http: https: ws: wss:; media-src 'self' blob: http: https:; img-src 'self' data: blob: http: https:; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; frame-ancestors 'self'";
/** Vite puts a hash of the content into the name: such a file never changes. */
const HASHED = /^\/assets\/[^/]+-[\w-]{8,}\.\w+$/;
const MAX_FILE = 16 * 1024 * 1024;

interface Page {
  readonly mtimeMs: number;
  readonly bytes: Buffer;
  readonly etag: string;
}

/** The built web pages: hashed assets for ever, everything else checked again; unknown paths get `index.html` (a single-page application). */
export class StaticPages {
  readonly #directory: string;
  readonly #cache = new LRUCache<string, Page>({ maxSize: 64 * 1024 * 1024, sizeCalculation: (page) => page.bytes.byteLength + 1 });

  constructor(directory: string) { this.#directory = directory; }

  /** Null: no such page, not even an index. `path`: the URL's path. */
  async answer(path: string, headers: { readonly accept: string | undefined; readonly ifNoneMatch: string | undefined }): Promise<Response | null> {
    const name = path === '/' ? '/index.html' : path;
    const page = await this.#read(name);
    if (page !== null) return this.#respond(name, page, headers.ifNoneMatch);
    // A missing script must not be answered with a page.
    if (extname(name) !== '' || headers.accept?.includes('text/html') === false) return null;
    const index = await this.#read('/index.html');
    return index === null ? null : this.#respond('/index.html', index, headers.ifNoneMatch);
  }

  async #read(path: string): Promise<Page | null> {
    let relative: string;
    try {
      relative = normalize(decodeURIComponent(path));
    } catch {
      return null;
    }
    if (relative.includes('\0') || relative.split(sep).some((part) => part === '..' || part.startsWith('.'))) return null;
    const file = join(this.#directory, relative);
    try {
      const { mtimeMs, size } = await stat(file);
      const known = this.#cache.get(file);
      if (known?.mtimeMs === mtimeMs && known.bytes.byteLength === size) return known;
      if (size > MAX_FILE) return null;
      const bytes = await readFile(file);
      const page = { mtimeMs, bytes, etag: `"${hash('sha256', bytes, 'base64url').slice(0, 22)}"` };
      this.#cache.set(file, page);
      return page;
    } catch {
      // Missing, a folder, not readable: for a client all the same.
      return null;
    }
  }

  #respond(name: string, page: Page, ifNoneMatch: string | undefined): Response {
    const headers: Record<string, string> = { etag: page.etag, 'cache-control': HASHED.test(name) ? 'public, max-age=31536000, immutable' : 'no-cache' };
    if (matches(ifNoneMatch, page.etag)) return new Response(null, { status: 304, headers });
    const type = TYPES[extname(name)] ?? 'application/octet-stream';
    headers['content-type'] = type;
    headers['content-length'] = String(page.bytes.byteLength);
    if (type.startsWith('text/html')) Object.assign(headers, { 'content-security-policy': POLICY, 'x-frame-options': 'SAMEORIGIN', 'referrer-policy': 'no-referrer' });
    return new Response(new Uint8Array(page.bytes), { headers });
  }
}
