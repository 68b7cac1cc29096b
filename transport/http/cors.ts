/** Cross-origin rules of the media port (Fetch standard, CORS protocol; RFC 9725 §4.2 asks for it). */
import type { IncomingMessage, ServerResponse } from 'node:http';

const EXPOSED = 'Location, ETag, Link, Retry-After, WWW-Authenticate, Accept-Post, Content-Length, Content-Range, X-Picture-Time, X-Picture-Epoch, X-Picture-Rtp-Timestamp, X-Picture-Sequence, X-Picture-Boxes, X-Picture-Boxes-Age';
const ALLOWED_HEADERS = 'Authorization, Content-Type, If-Match, If-None-Match, Range, Traceparent, X-Request-Id';
const PREFLIGHT_SECONDS = '7200';

/** Decides by `cors.origins`; `*` allows any. Credentials travel in headers the page sets itself, never in cookies. */
export class CorsPolicy {
  readonly #any: boolean;
  readonly #origins: ReadonlySet<string>;

  constructor(origins: readonly string[]) {
    this.#any = origins.includes('*');
    this.#origins = new Set(origins);
  }

  /** Sets what every answer carries, errors too: a page cannot read an answer without it. */
  apply(request: IncomingMessage, response: ServerResponse): void {
    const origin = request.headers.origin;
    if (!this.#any) response.setHeader('vary', 'Origin');
    if (origin === undefined || !this.allows(origin)) return;
    response.setHeader('access-control-allow-origin', this.#any ? '*' : origin);
    response.setHeader('access-control-expose-headers', EXPOSED);
  }

  allows(origin: string): boolean {
    return this.#any || this.#origins.has(origin);
  }

  /** Answers OPTIONS for a path that has `methods`: as a preflight when it is one, else with what RFC 9725 §4.2 asks for. */
  answerOptions(request: IncomingMessage, response: ServerResponse, methods: readonly string[]): void {
    const list = methods.join(', ');
    response.setHeader('allow', list);
    if (methods.includes('POST')) response.setHeader('accept-post', 'application/sdp');
    if (request.headers['access-control-request-method'] !== undefined && request.headers.origin !== undefined && this.allows(request.headers.origin)) {
      response.setHeader('access-control-allow-methods', list);
      response.setHeader('access-control-allow-headers', ALLOWED_HEADERS);
      response.setHeader('access-control-max-age', PREFLIGHT_SECONDS);
    }
    response.writeHead(200, { 'content-length': '0' });
    response.end();
  }
}
