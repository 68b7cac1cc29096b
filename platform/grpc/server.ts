import { rmSync } from 'node:fs';
import { timingSafeEqual, createHash } from 'node:crypto';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Metadata, UntypedHandleCall, sendUnaryData } from '@grpc/grpc-js';
import type { DescMethod, Message } from '@bufbuild/protobuf';
import type { Clock } from '../../core/clock.ts';
import { systemClock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import { channelOptions, isUnixAddress, publicServerOptions } from './channel-options.ts';
import type { EndpointOptions } from './channel-options.ts';
import { toGrpcStatus } from './errors.ts';
import { messageLimits } from './message-limits.ts';
import type { UnreadCall } from './read-request.ts';
import { methodDefinition, unreadDefinition } from './service.ts';
import type { ServiceRegistration } from './service.ts';
import { TcpAcceptor } from './tcp-acceptor.ts';

export interface GrpcServerOptions extends EndpointOptions {
  /** `unix:/path` (a stale socket file is removed) or `host:port`, port 0 = any free one. */
  readonly listen: string;
  readonly services: readonly ServiceRegistration[];
  /** Callers must show it as `authorization: Bearer …`. For listeners that others can reach. */
  readonly token?: string;
  /** Told of what handlers threw that is not a `MediaError`: our bugs, for the log. */
  readonly onError?: (error: unknown, method: string) => void;
  /** Calls still open when disposed get so long to end; default 1000 ms. */
  readonly graceMs?: number;
  /** For listeners that strangers reach: bounds what they can hold. By default nobody is bounded, as among our own processes. */
  readonly limits?: PublicLimits;
  readonly clock?: Clock;
}

export interface PublicLimits {
  /** TCP connections at a time; more are closed at once. */
  readonly maxConnections: number;
  /** Calls with one answer that handlers work on at a time; more are answered RESOURCE_EXHAUSTED. */
  readonly maxCalls: number;
  /** The same for streams, which may stay as long as the client likes. */
  readonly maxStreams: number;
}

interface AnyCall {
  readonly request: Message;
  readonly metadata: Metadata;
  emit(event: 'error', error: unknown): boolean;
  on(event: 'error' | 'close' | 'finish' | 'cancelled', listener: () => void): unknown;
}
type UnaryLike = (request: unknown, call: AnyCall) => Promise<Message>;
type StreamLike = (call: AnyCall) => Promise<Message>;

/** Of our own processes, which come with a handful. */
const MAX_OWN_CONNECTIONS = 1024;

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** A listening gRPC server; disposing stops it. */
export class GrpcServer implements AsyncDisposable {
  /** What clients dial: `unix:/path` or `host:port`. */
  readonly address: string;
  readonly #server: Server;
  readonly #acceptor: TcpAcceptor | null;
  readonly #graceMs: number;
  readonly #clock: Clock;

  private constructor(server: Server, acceptor: TcpAcceptor | null, address: string, graceMs: number, clock: Clock) {
    this.#server = server;
    this.#acceptor = acceptor;
    this.address = address;
    this.#graceMs = graceMs;
    this.#clock = clock;
  }

  /** The port listened on; 0 on a Unix socket. */
  get port(): number { return this.#acceptor?.port ?? 0; }

  /** Listens. Throws when the address cannot be bound; on TCP the error or its cause has the system's `code`. */
  static async start(options: GrpcServerOptions): Promise<GrpcServer> {
    const larger = new Map(options.services.flatMap(({ service, maxMessageBytes }) => (maxMessageBytes === undefined ? [] : service.methods.map(({ name }): [string, number] => [`/${service.typeName}/${name}`, maxMessageBytes]))));
    const server = new Server({ ...channelOptions(options), ...(options.limits === undefined ? {} : publicServerOptions), ...(larger.size === 0 ? {} : { interceptors: [messageLimits(larger)] }) });
    const calls = new CallSlots(options.limits?.maxCalls ?? Number.POSITIVE_INFINITY);
    const streams = new CallSlots(options.limits?.maxStreams ?? Number.POSITIVE_INFINITY);
    const expected = options.token === undefined ? null : digest(`Bearer ${options.token}`);
    const admit = (metadata: Metadata, slots: CallSlots): Disposable => {
      if (expected && !timingSafeEqual(expected, digest(String(metadata.get('authorization')[0] ?? '')))) {
        throw new MediaError('UNAUTHENTICATED', 'this listener asks for its token');
      }
      return slots.take();
    };
    for (const { service, handlers, unread, maxRequestBytes } of options.services) {
      for (const method of service.methods) {
        const path = `${service.typeName}/${method.name}`;
        const refuse = (error: unknown): ReturnType<typeof toGrpcStatus> => {
          if (!(error instanceof MediaError)) options.onError?.(error, path);
          return toGrpcStatus(error);
        };
        const name = `${service.typeName}.${method.name}`;
        const reader = unread?.[method.localName];
        if (reader) {
          server.addService({ [name]: unreadDefinition(service, method) }, { [name]: answerOnce((call) => reader(call as unknown as UnreadCall), (metadata) => admit(metadata, calls), refuse) as UntypedHandleCall });
          continue;
        }
        const handler = handlers[method.localName];
        if (typeof handler !== 'function') throw new Error(`no handler for ${path}`);
        server.addService({ [name]: methodDefinition(service, method, maxRequestBytes) }, { [name]: adapt(method, handler as UnaryLike & StreamLike, (metadata) => admit(metadata, method.methodKind === 'unary' ? calls : streams), refuse) });
      }
    }
    const { acceptor, address } = isUnixAddress(options.listen) ? await listenOnSocket(server, options.listen) : await listenOnTcp(server, options.listen, options.limits);
    return new GrpcServer(server, acceptor, address, options.graceMs ?? 1000, options.clock ?? systemClock);
  }

  /** Takes no more calls, waits for open ones as long as the grace allows, then cuts them. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#acceptor?.stop();
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(this.#graceMs, () => { this.#server.forceShutdown(); resolve(); });
      this.#server.tryShutdown(() => {
        // grpc-js is done sooner than its connections: Node closes them by itself then, each with its last call, and what that is told must still go out.
        void (this.#acceptor?.emptied() ?? Promise.resolve()).then(() => { timer[Symbol.dispose](); resolve(); });
      });
    });
    await this.#acceptor?.[Symbol.asyncDispose]();
    if (isUnixAddress(this.address)) rmSync(this.address.slice('unix:'.length), { force: true });
  }
}

interface Listening {
  readonly acceptor: TcpAcceptor | null;
  readonly address: string;
}

const listenOnSocket = async (server: Server, listen: string): Promise<Listening> => {
  rmSync(listen.slice('unix:'.length), { force: true });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(listen, ServerCredentials.createInsecure(), (error) => {
      if (error) reject(new Error(`cannot listen on ${listen}: ${error.message}`, { cause: error }));
      else resolve();
    });
  });
  return { acceptor: null, address: listen };
};

/** Accepted by us, not by grpc-js, which has no limit of connections and makes one text of what the system said. */
const listenOnTcp = async (server: Server, listen: string, limits: PublicLimits | undefined): Promise<Listening> => {
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const acceptor = await TcpAcceptor.start({
    listen, maxConnections: limits?.maxConnections ?? MAX_OWN_CONNECTIONS, onConnection: (socket) => { injector.injectConnection(socket); },
  }).catch((error: unknown) => {
    server.forceShutdown();
    throw new Error(`cannot listen on ${listen}: ${messageOf(error)}`, { cause: error });
  });
  return { acceptor, address: `${listen.slice(0, listen.lastIndexOf(':'))}:${String(acceptor.port)}` };
};

/** How many calls are worked on. */
class CallSlots {
  #free: number;
  constructor(free: number) { this.#free = free; }

  /** Disposing gives it back; more than once does nothing. Throws RESOURCE_EXHAUSTED. */
  take(): Disposable {
    if (this.#free <= 0) throw new MediaError('RESOURCE_EXHAUSTED', 'The server works on as many calls as it can.', { reason: 'TOO_MANY_CALLS', retryAfterSeconds: 1 });
    this.#free -= 1;
    let taken = true;
    return {
      [Symbol.dispose]: () => {
        if (taken) this.#free += 1;
        taken = false;
      },
    };
  }
}

type Admit = (metadata: Metadata) => Disposable;
type Refuse = (error: unknown) => ReturnType<typeof toGrpcStatus>;

/** What grpc-js calls of a handler with one answer, with errors mapped. */
const answerOnce = (work: (call: AnyCall) => Promise<Message>, admit: Admit, refuse: Refuse) => (call: AnyCall, done: sendUnaryData<Message>): void => {
  void (async () => {
    try {
      using _slot = admit(call.metadata);
      done(null, await work(call));
    } catch (error) {
      done(refuse(error));
    }
  })();
};

/** Turns a typed handler into the shape grpc-js calls, with errors mapped. */
const adapt = (method: DescMethod, handler: UnaryLike & StreamLike, admit: Admit, refuse: Refuse): UntypedHandleCall => {
  const answerStream = (work: (call: AnyCall) => unknown) => (call: AnyCall): void => {
    // A caller that goes away is no error of ours; handlers see 'cancelled'.
    call.on('error', () => undefined);
    try {
      const slot = admit(call.metadata);
      for (const end of ['close', 'finish', 'cancelled', 'error'] as const) call.on(end, () => { slot[Symbol.dispose](); });
      work(call);
    } catch (error) {
      call.emit('error', refuse(error));
    }
  };
  switch (method.methodKind) {
    case 'unary':
      return answerOnce((call) => handler(call.request, call), admit, refuse) as UntypedHandleCall;
    case 'client_streaming':
      return answerOnce((call) => (handler as StreamLike)(call), admit, refuse) as UntypedHandleCall;
    case 'server_streaming':
      return answerStream((call) => handler(call.request, call)) as UntypedHandleCall;
    case 'bidi_streaming':
      return answerStream((call) => (handler as StreamLike)(call)) as UntypedHandleCall;
  }
};
