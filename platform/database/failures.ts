/** What a database's errors mean, told by their codes: SQLite's names, PostgreSQL's SQLSTATE (appendix A of its manual), Node's of sockets. */

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '');

const isSqlState = (code: string): boolean => /^[0-9A-Z]{5}$/.test(code);

/** The values are at fault, not the disk or the server: trying again would fail again. */
export const isRefusedValue = (error: unknown): boolean => {
  const code = codeOf(error);
  // 21 and 22: values that do not fit their columns; 23: constraints; 54: longer than an index takes.
  return /^SQLITE_(CONSTRAINT|MISMATCH|TOOBIG|RANGE)/.test(code) || (isSqlState(code) && /^(21|22|23|54)/.test(code));
};

/** A value that PostgreSQL has no place for where SQLite takes anything: text with a zero in it, a whole number beyond 2^63. */
export const isImpossibleValue = (error: unknown): boolean => {
  const code = codeOf(error);
  return isSqlState(code) && code.startsWith('22');
};

const SOCKET = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOENT', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'ECONNABORTED', 'EHOSTDOWN']);

/** What the package `pg` says without a code. */
const LOST = /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed)/;

/** The server is not there, is going or coming, or has no place for another connection: it may be there in a moment. */
export const isConnectionFailure = (error: unknown): boolean => {
  const code = codeOf(error);
  // 08: connections; 57P01–57P05: shut down, starting up; 53: out of connections, memory or disk.
  return SOCKET.has(code) || (isSqlState(code) && /^(08|57P|53)/.test(code)) || (error instanceof Error && LOST.test(error.message));
};

/** PostgreSQL ended a statement that took too long, or two transactions that waited for each other. */
export const isTimeout = (error: unknown): boolean => ['57014', '55P03', '40P01', '40001', '25P03'].includes(codeOf(error));
