/** Addresses of our own listeners, as they stand in URLs. */

const ANY: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** A host name or address as a URL and a Host header write it: an IPv6 address in brackets (RFC 3986 §3.2.2). */
export const urlHost = (host: string): string => (host.includes(':') && !host.startsWith('[') ? `[${host}]` : host);

/** `scheme://host:port` of a listener bound to `bind`; one bound to every address is reached at `any`. */
export const listenerUrl = (scheme: 'http' | 'rtsp' | 'grpc', bind: string, port: number, any: 'localhost' | '127.0.0.1' = 'localhost'): string =>
  `${scheme}://${ANY.has(bind) ? any : urlHost(bind)}:${String(port)}`;

/** The host of a URL as sockets take it: an IPv6 address without its brackets. */
export const socketHost = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/, '$1');
