import { rmSync } from 'node:fs';
import { timingSafeEqual, createHash } from 'node:crypto';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Metadata, UntypedHandleCall, sendUnaryData } from '@grpc/grpc-js';
import type { DescMethod, Message } from '@bufbuild/protobuf';
import type { Clock } from '../../core/clock.ts';
import { systemClock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { channelOptions, isUnixAddress } from './channel-options.ts';
import type { EndpointOptions } from './channel-options.ts';
import { toGrpcStatus } from './errors.ts';
import { methodDefinition } from './service.ts';
import type { ServiceRegistration } from './service.ts';

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
  readonly clock?: Clock;
}

interface AnyCall {
  readonly request: Message;
  readonly metadata: Metadata;
  emit(event: 'error', error: unknown): boolean;
  on(event: 'error', listener: () => void): unknown;
}
type UnaryLike = (request: unknown, call: AnyCall) => Promise<Message>;
type StreamLike = (call: AnyCall) => Promise<Message>;

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** A listening gRPC server; disposing stops it. */
export class GrpcServer implements AsyncDisposable {
  /** What clients dial: `unix:/path` or `host:port`. */
  readonly address: string;
  readonly #server: Server;
  readonly #graceMs: number;
  readonly #clock: Clock;

  private constructor(server: Server, address: string, graceMs: number, clock: Clock) {
    this.#server = server;
    this.address = address;
    this.#graceMs = graceMs;
    this.#clock = clock;
  }

  /** Listens. Throws when the address cannot be bound. */
  static async start(options: GrpcServerOptions): Promise<GrpcServer> {
    const server = new Server(channelOptions(options));
    const expected = options.token === undefined ? null : digest(`Bearer ${options.token}`);
    const authorize = (metadata: Metadata): void => {
      if (expected && !timingSafeEqual(expected, digest(String(metadata.get('authorization')[0] ?? '')))) {
        throw new MediaError('UNAUTHENTICATED', 'this listener asks for its token');
      }
    };
    for (const { service, handlers } of options.services) {
      for (const method of service.methods) {
        const handler = handlers[method.localName];
        if (typeof handler !== 'function') throw new Error(`no handler for ${service.typeName}/${method.name}`);
        const path = `${service.typeName}/${method.name}`;
        const refuse = (error: unknown): ReturnType<typeof toGrpcStatus> => {
          if (!(error instanceof MediaError)) options.onError?.(error, path);
          return toGrpcStatus(error);
        };
        const name = `${service.typeName}.${method.name}`;
        server.addService({ [name]: methodDefinition(service, method) }, { [name]: adapt(method, handler as UnaryLike & StreamLike, authorize, refuse) });
      }
    }
    if (isUnixAddress(options.listen)) rmSync(options.listen.slice('unix:'.length), { force: true });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(options.listen, ServerCredentials.createInsecure(), (error, bound) => {
        if (error) reject(new Error(`cannot listen on ${options.listen}: ${error.message}`));
        else resolve(bound);
      });
    });
    const address = isUnixAddress(options.listen) ? options.listen : `${options.listen.slice(0, options.listen.lastIndexOf(':'))}:${String(port)}`;
    return new GrpcServer(server, address, options.graceMs ?? 1000, options.clock ?? systemClock);
  }

  /** Takes no more calls, waits for open ones as long as the grace allows, then cuts them. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(this.#graceMs, () => { this.#server.forceShutdown(); resolve(); });
      this.#server.tryShutdown(() => { timer[Symbol.dispose](); resolve(); });
    });
    if (isUnixAddress(this.address)) rmSync(this.address.slice('unix:'.length), { force: true });
  }
}

/** Turns a typed handler into the shape grpc-js calls, with errors mapped. */
const adapt = (
  method: DescMethod,
  handler: UnaryLike & StreamLike,
  authorize: (metadata: Metadata) => void,
  refuse: (error: unknown) => ReturnType<typeof toGrpcStatus>,
): UntypedHandleCall => {
  const answerOnce = (work: (call: AnyCall) => Promise<Message>) => (call: AnyCall, done: sendUnaryData<Message>): void => {
    void (async () => {
      try {
        authorize(call.metadata);
        done(null, await work(call));
      } catch (error) {
        done(refuse(error));
      }
    })();
  };
  const answerStream = (work: (call: AnyCall) => unknown) => (call: AnyCall): void => {
    // A caller that goes away is no error of ours; handlers see 'cancelled'.
    call.on('error', () => undefined);
    try {
      authorize(call.metadata);
      work(call);
    } catch (error) {
      call.emit('error', refuse(error));
    }
  };
  switch (method.methodKind) {
    case 'unary':
      return answerOnce((call) => handler(call.request, call)) as UntypedHandleCall;
    case 'client_streaming':
      return answerOnce((call) => (handler as StreamLike)(call)) as UntypedHandleCall;
    case 'server_streaming':
      return answerStream((call) => handler(call.request, call)) as UntypedHandleCall;
    case 'bidi_streaming':
      return answerStream((call) => (handler as StreamLike)(call)) as UntypedHandleCall;
  }
};
