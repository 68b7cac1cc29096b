import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { credentialOf } from '../../platform/bearer-credential.ts';
import type { MediaRequest } from './port.ts';

/** A request's target in origin form, split. Tokens may be in the query: only the path is ever logged or answered. */
export interface Target {
  readonly path: string;
  readonly search: string;
}

/** Takes origin form (`/a?b`), absolute form (`http://h/a`, RFC 9112 §3.2.2) and `*`. Null for anything else. */
export const targetOf = (url: string): Target | null => {
  if (url === '*') return { path: '*', search: '' };
  const origin = url.startsWith('/') ? url : /^https?:\/\/[^/]+(\/.*)$/i.exec(url)?.[1];
  if (origin === undefined) return null;
  const mark = origin.indexOf('?');
  return mark < 0 ? { path: origin, search: '' } : { path: origin.slice(0, mark), search: origin.slice(mark + 1) };
};

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/; // W3C Trace Context §3.2
const REQUEST_ID = /^[\w.-]{1,64}$/;

/** The id of a request in log and problem: its trace, its `X-Request-Id`, else a new one. */
export const traceIdOf = (request: IncomingMessage): string => {
  const trace = request.headers.traceparent;
  const traced = typeof trace === 'string' ? TRACEPARENT.exec(trace)?.[1] : undefined;
  if (traced) return traced;
  const id = request.headers['x-request-id'];
  return typeof id === 'string' && REQUEST_ID.test(id) ? id : randomUUID();
};

/** IPv4 as it is written, also where the socket takes both families; what is no address is not told. */
export const clientAddressOf = ({ headers, socket }: Pick<IncomingMessage, 'headers'> & { readonly socket: { readonly remoteAddress?: string | undefined } }): string | null => {
  const forwarded = headers['x-forwarded-for'];
  const told = (typeof forwarded === 'string' ? forwarded.split(',', 1)[0]?.trim() : undefined) ?? socket.remoteAddress ?? '';
  const address = told.replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(address) === 0 ? null : address;
};

/** One request as a handler sees it. What not every handler needs is made on first use: an LL-HLS request must stay cheap. */
export class Exchange implements MediaRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly params: Readonly<Record<string, string>>;
  readonly #search: string;
  #query: URLSearchParams | undefined;
  #controller: AbortController | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, params: Readonly<Record<string, string>>, search: string) {
    this.request = request;
    this.response = response;
    this.params = params;
    this.#search = search;
  }

  get query(): URLSearchParams {
    return (this.#query ??= new URLSearchParams(this.#search));
  }

  get credential(): string | null {
    return credentialOf(this.request.headers, this.query);
  }

  get clientAddress(): string | null {
    return clientAddressOf(this.request);
  }

  get signal(): AbortSignal {
    if (this.#controller) return this.#controller.signal;
    const controller = (this.#controller = new AbortController());
    const onClose = (): void => { if (!this.response.writableFinished) controller.abort(new Error('the client hung up')); };
    if (this.response.closed || this.response.destroyed) onClose();
    else this.response.once('close', onClose);
    return controller.signal;
  }
}
