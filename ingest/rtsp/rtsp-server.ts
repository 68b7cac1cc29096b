import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { RtspConfig } from '../../config/rtsp.ts';
import type { Clock } from '../../core/clock.ts';
import type { Authorizer, CameraResolver } from '../../media-control/port.ts';
import type { Logger } from '../../platform/logging.ts';
import type { StreamRegistry } from '../port.ts';
import { RtspAccess } from './access.ts';
import { RtspConnection } from './connection.ts';
import type * as z from 'zod';

const TICK_MS = 1_000;

export interface RtspServerOptions {
  readonly config: z.output<typeof RtspConfig>;
  /** `rtsp.bind`, else the address of all listeners. */
  readonly bind: string;
  readonly streams: StreamRegistry;
  readonly authorizer: Authorizer;
  readonly cameras: CameraResolver;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The RTSP listener (ING-4, publish side). Disposing closes the listener and every connection. */
export class RtspServer implements AsyncDisposable {
  readonly #options: RtspServerOptions;
  readonly #server: Server;
  readonly #connections = new Set<RtspConnection>();
  readonly #access: RtspAccess;
  readonly #resources = new DisposableStack();

  private constructor(options: RtspServerOptions) {
    this.#options = options;
    const { authorizer, clock, config } = options;
    this.#access = new RtspAccess({ schemes: config.auth, authorizer, clock, secret: randomBytes(32) });
    this.#server = createServer({ highWaterMark: 256 << 10 }, (socket) => { this.#accept(socket); });
    this.#server.maxConnections = config.max_connections;
    this.#resources.use(clock.every(TICK_MS, () => {
      const now = clock.monotonic();
      for (const connection of this.#connections) connection.tick(now);
    }));
    this.#resources.use(authorizer.onRevoked((principalId) => {
      for (const connection of this.#connections) if (connection.belongsTo(principalId)) connection.close('credential revoked');
    }));
  }

  /** Listens; throws the system's error when it cannot. */
  static async start(options: RtspServerOptions): Promise<RtspServer> {
    const server = new RtspServer(options);
    try {
      server.#server.listen(options.config.port, options.config.bind ?? options.bind);
      await once(server.#server, 'listening');
      // No descriptor left for a connection, for one: an 'error' that nobody hears would end the process.
      server.#server.on('error', (error) => { options.logger.error({ error: error.message }, 'rtsp server failed'); });
    } catch (error) {
      server.#resources.dispose();
      throw error;
    }
    return server;
  }

  /** The port listened on, when the configuration says any. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#connections.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#resources.disposed) return;
    this.#resources.dispose();
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const connection of this.#connections) connection.close('server is stopping');
    await closed;
  }

  #accept(socket: Socket): void {
    const { streams, cameras, clock, logger } = this.#options;
    const connection = new RtspConnection({ socket, access: this.#access, streams, cameras, clock, logger });
    this.#connections.add(connection);
    socket.on('close', () => { this.#connections.delete(connection); });
  }
}
