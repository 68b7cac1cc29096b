/** What a proxy passes on (RFC 9110 §7.6). */
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';

/** `proxy-*`, and what node:http writes itself. */
const HOP_BY_HOP = new Set([
  'connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect', 'http2-settings',
]);
const FORWARDED = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'forwarded', 'x-request-id'];

const perHop = (headers: IncomingHttpHeaders): ReadonlySet<string> => {
  const named = headers.connection?.split(',').map((name) => name.trim().toLowerCase()) ?? [];
  return named.length === 0 ? HOP_BY_HOP : new Set([...HOP_BY_HOP, ...named]);
};

export interface ForwardContext {
  readonly requestId: string;
  /** A proxy of the operator stands in front, whose X-Forwarded-* can be believed. */
  readonly behindProxy: boolean;
}

/** Headers of the request to the edge. */
export const requestHeaders = (request: IncomingMessage, context: ForwardContext): OutgoingHttpHeaders => {
  const dropped = perHop(request.headers);
  const headers: OutgoingHttpHeaders = {};
  for (const [name, values] of Object.entries(request.headersDistinct)) {
    if (values === undefined || dropped.has(name) || FORWARDED.includes(name)) continue;
    headers[name] = values.length === 1 ? values[0] : values;
  }
  const believed = context.behindProxy ? request.headers : {};
  const address = request.socket.remoteAddress ?? 'unknown';
  headers['x-forwarded-for'] = believed['x-forwarded-for'] === undefined ? address : `${String(believed['x-forwarded-for'])}, ${address}`;
  headers['x-forwarded-proto'] = believed['x-forwarded-proto'] ?? ('encrypted' in request.socket ? 'https' : 'http');
  headers['x-forwarded-host'] = believed['x-forwarded-host'] ?? request.headers.host;
  headers['x-request-id'] = context.requestId;
  return headers;
};

/** Headers of the edge's answer. A `Location` of the edge's own address becomes a path, which works at this door too. */
export const responseHeaders = (response: IncomingMessage, base: string): OutgoingHttpHeaders => {
  const dropped = perHop(response.headers);
  const headers: OutgoingHttpHeaders = {};
  for (const [name, values] of Object.entries(response.headersDistinct)) {
    if (values === undefined || dropped.has(name)) continue;
    headers[name] = values.length === 1 ? values[0] : values;
  }
  const { location } = response.headers;
  if (location?.startsWith(`${base}/`) === true) headers['location'] = location.slice(base.length);
  return headers;
};
