/** Cross-origin rules of the API (Fetch standard, CORS protocol). Tokens travel in headers a page sets itself, never in cookies, so `*` is safe. */
import type { IncomingMessage, ServerResponse } from 'node:http';

const EXPOSED = 'Location, ETag, Link, Retry-After, WWW-Authenticate, Content-Range, Accept-Ranges, X-Request-Id, X-Correlation-Id';
const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE';
const HEADERS = 'Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range, X-Request-Id, X-Correlation-Id, X-Client-Id, Traceparent';

export type Cors = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Sets the headers each answer carries; true when the request was a preflight, which they answer. `origins`: `cors.origins`. */
export const createCors = (origins: readonly string[]): Cors => {
  const any = origins.includes('*');
  const allowed = new Set(origins);
  return (request, response) => {
    const { origin } = request.headers;
    if (!any) response.setHeader('vary', 'Origin');
    const preflight = request.method === 'OPTIONS' && origin !== undefined && request.headers['access-control-request-method'] !== undefined;
    if (origin === undefined || !(any || allowed.has(origin))) return preflight;
    response.setHeader('access-control-allow-origin', any ? '*' : origin);
    response.setHeader('access-control-expose-headers', EXPOSED);
    if (!preflight) return false;
    response.setHeader('access-control-allow-methods', METHODS);
    response.setHeader('access-control-allow-headers', HEADERS);
    response.setHeader('access-control-max-age', '7200');
    return true;
  };
};
