/** The REST API of a running server, as commands use it. */
import type { Config } from '../config/schema.ts';
import { MediaError, messageOf } from '../core/errors.ts';
import { listenerUrl } from '../core/listener-url.ts';
import type { CliIo } from './io.ts';

export interface RestOptions {
  readonly url?: string;
  readonly token?: string;
  readonly username?: string;
}

export class RestClient {
  readonly #base: string;
  readonly #token: string;

  private constructor(base: string, token: string) {
    this.#base = base;
    this.#token = token;
  }

  /** With `--token` or IMAGEFLOWCTL_TOKEN, else by log-in (`--username`, IMAGEFLOWCTL_PASSWORD or asked for). Throws when the server refuses or is not there. */
  static async connect(options: RestOptions, config: Config, io: CliIo): Promise<RestClient> {
    const base = (options.url ?? io.env['IMAGEFLOWCTL_URL'] ?? listenerUrl('http', config.http.bind ?? config.bind, config.http.port)).replace(/\/$/, '');
    const token = options.token ?? io.env['IMAGEFLOWCTL_TOKEN'];
    if (token !== undefined) return new RestClient(base, token);
    const username = options.username ?? 'admin';
    const password = io.env['IMAGEFLOWCTL_PASSWORD'] ?? (await io.secret(`Password of ${username} at ${base}: `));
    const answer = await new RestClient(base, '').request<{ access_token: string }>('POST', '/v1/auth/login', { username, password });
    return new RestClient(base, answer.access_token);
  }

  /** Throws with the server's own words when it refuses. */
  async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    const text = await (await this.#fetch(method, path, body)).text();
    return (text === '' ? undefined : safeJson(text)) as T;
  }

  /** The bytes of a file. Throws as `request`, and UNAVAILABLE when they end too early. */
  async *download(path: string): AsyncGenerator<Uint8Array> {
    const { body } = await this.#fetch('GET', path);
    try {
      if (body) yield* body as ReadableStream<Uint8Array> & AsyncIterable<Uint8Array>;
    } catch (cause) {
      throw new MediaError('UNAVAILABLE', `the server broke off: ${messageOf(cause)}`, { cause });
    }
  }

  async #fetch(method: string, path: string, body?: unknown): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`${this.#base}${path}`, {
        method,
        headers: { ...(this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
      throw new MediaError('UNAVAILABLE', `no server at ${this.#base}: ${cause}`, { cause: error });
    }
    if (response.ok) return response;
    const parsed = safeJson(await response.text());
    const detail = typeof parsed === 'object' && parsed !== null && 'detail' in parsed ? String(parsed.detail) : response.statusText;
    throw new MediaError('FAILED_PRECONDITION', `the server answered ${String(response.status)}: ${detail}`);
  }

  /** All pages of a list. */
  async *list<T>(path: string): AsyncGenerator<T> {
    let cursor: string | null = null;
    do {
      const next: { items: T[]; next_cursor: string | null } = await this.request('GET', `${path}?limit=500${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`);
      yield* next.items;
      cursor = next.next_cursor;
    } while (cursor !== null);
  }
}

const safeJson = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};
