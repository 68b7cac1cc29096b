import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { once } from 'node:events';

export interface TcpAcceptorOptions {
  /** `host:port`, an IPv6 address in brackets; port 0 = any free one. */
  readonly listen: string;
  /** More are closed at once. */
  readonly maxConnections: number;
  readonly onConnection: (socket: Socket) => void;
}

/** A listening TCP socket with a limit, which outlives a connection that cannot be accepted. Disposing closes it and its connections. */
export class TcpAcceptor implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: ReadonlySet<Socket>;

  private constructor(server: Server, sockets: ReadonlySet<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Rejects with the error of the system (`EADDRINUSE`, …) when the address cannot be bound. */
  static async start(options: TcpAcceptorOptions): Promise<TcpAcceptor> {
    const colon = options.listen.lastIndexOf(':');
    const host = options.listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true }, (socket) => {
      sockets.add(socket);
      socket.once('close', () => { sockets.delete(socket); });
      // A peer that resets is no error of ours; 'close' follows.
      socket.on('error', () => undefined);
      options.onConnection(socket);
    });
    server.maxConnections = options.maxConnections;
    server.listen(Number(options.listen.slice(colon + 1)), host);
    await once(server, 'listening');
    // No descriptor left for a connection, for one: an 'error' that nobody hears would end the process.
    server.on('error', () => undefined);
    return new TcpAcceptor(server, sockets);
  }

  /** Accepts no more; connections go on. Idempotent. */
  stop(): void {
    if (this.#server.listening) this.#server.close();
  }

  /** Resolves when there is no connection any more. */
  async emptied(): Promise<void> {
    await Promise.all([...this.#sockets].map((socket) => new Promise((resolve) => { socket.once('close', resolve); })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    const closed = this.emptied();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
