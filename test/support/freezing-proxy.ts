import { createConnection, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { once } from 'node:events';

/** A TCP port in front of a Unix socket that can stop passing anything on, as a network that lost its cable does: nobody is told. */
export class FreezingProxy implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  #frozen = false;

  private constructor(server: Server, port: number, sockets: Set<Socket>) {
    this.#server = server;
    this.port = port;
    this.#sockets = sockets;
  }

  static async start(unixSocket: string): Promise<FreezingProxy> {
    const sockets = new Set<Socket>();
    const server = createServer((client) => {
      const upstream = createConnection(unixSocket);
      for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
        sockets.add(from);
        from.on('data', (data) => { to.write(data); });
        from.on('error', () => { from.destroy(); });
        from.on('close', () => { sockets.delete(from); to.destroy(); });
      }
      if (proxy.#frozen) { client.pause(); upstream.pause(); }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new FreezingProxy(server, (server.address() as AddressInfo).port, sockets);
    return proxy;
  }

  /** New connections are taken and not answered either. */
  freeze(): void {
    this.#frozen = true;
    for (const socket of this.#sockets) socket.pause();
  }

  thaw(): void {
    this.#frozen = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
