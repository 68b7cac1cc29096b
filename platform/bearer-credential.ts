/** Where a client may show its token (contract 0.4). */
import type { IncomingHttpHeaders } from 'node:http';

const BEARER = /^bearer +(\S+) *$/i; // the scheme is case-insensitive: RFC 9110 §11.1
const SUB_PROTOCOL = 'bearer.';

/**
 * The bearer credential of a request: `Authorization: Bearer`, else `?token=`, else (only for upgrades, a browser's WebSocket
 * can set nothing else) the sub-protocol `bearer.<token>`. Null when none was shown or it is empty. Another scheme counts as none.
 */
export const credentialOf = (headers: IncomingHttpHeaders, query: URLSearchParams, upgrade = false): string | null => {
  const bearer = headers.authorization === undefined ? null : BEARER.exec(headers.authorization)?.[1];
  if (bearer) return bearer;
  const token = query.get('token');
  if (token) return token;
  if (!upgrade) return null;
  return bearerProtocol(headers)?.slice(SUB_PROTOCOL.length) ?? null;
};

/** The sub-protocol that carries the token, as the client wrote it: a server that accepts a sub-protocol must name one offered. */
export const bearerProtocol = (headers: IncomingHttpHeaders): string | null => {
  const offered = headers['sec-websocket-protocol'];
  if (offered === undefined) return null;
  for (const part of offered.split(',')) {
    const name = part.trim();
    if (name.startsWith(SUB_PROTOCOL) && name.length > SUB_PROTOCOL.length) return name;
  }
  return null;
};

/**
 * The sub-protocol to accept of those a WebSocket client offers: a browser that offers some refuses an answer without one; better not to echo a
 * token where a plain name was offered, too.
 */
export const acceptedProtocol = (offered: ReadonlySet<string>): string | false => [...offered].find((name) => !name.startsWith(SUB_PROTOCOL)) ?? [...offered][0] ?? false;
