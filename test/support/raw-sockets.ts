/** Bare sockets: what a client that keeps to no protocol sends, and what it is answered. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

const ANSWER_MS = 15_000;

export interface RtspReply {
  readonly status: number;
  /** The whole answer. */
  readonly text: string;
}

const connected = async (url: string): Promise<Socket> => {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined); // what matters is what came before
  await once(socket, 'connect');
  return socket;
};

/** Sends bytes to the server at `url` and resolves with all it answers until it closes, or until that is `enough`. Throws when neither happens. */
export const sendRaw = async (url: string, bytes: string | Buffer | readonly Buffer[], enough?: (text: string) => boolean): Promise<string> => {
  const socket = await connected(url);
  let text = '';
  const ended = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => { ended.reject(new Error(`neither an answer nor an end within ${String(ANSWER_MS)} ms; so far: ${text.slice(0, 300)}`)); }, ANSWER_MS);
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    if (enough?.(text) === true) ended.resolve(undefined);
  });
  socket.once('close', () => { ended.resolve(undefined); });
  try {
    for (const chunk of typeof bytes === 'string' || Buffer.isBuffer(bytes) ? [bytes] : bytes) {
      if (!socket.writable) break;
      if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), ended.promise]);
    }
    await ended.promise;
    return text;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
};

/** One RTSP request on a connection of its own. */
export const askRtsp = async (server: string, method: string, uri: string, headers: readonly string[] = [], body = ''): Promise<RtspReply> => {
  const length = body === '' ? [] : ['Content-Type: application/sdp', `Content-Length: ${String(Buffer.byteLength(body))}`];
  const text = await sendRaw(server, `${[`${method} ${uri} RTSP/1.0`, 'CSeq: 1', ...headers, ...length].join('\r\n')}\r\n\r\n${body}`, (answer) => answer.includes('\r\n\r\n'));
  return { status: Number(/^RTSP\/1\.0 (\d{3}) /.exec(text)?.[1] ?? 0), text };
};

/** Connections that send `bytes`, and then nothing for as long as they are held. */
export const holdHalfOpen = async (url: string, count: number, bytes = ''): Promise<Disposable> => {
  const sockets = await Promise.all(Array.from({ length: count }, () => connected(url)));
  if (bytes !== '') for (const socket of sockets) socket.write(bytes);
  return { [Symbol.dispose]: () => { for (const socket of sockets) socket.destroy(); } };
};
