import { Client, Metadata, credentials } from '@grpc/grpc-js';
import type { CallOptions as GrpcCallOptions } from '@grpc/grpc-js';
import type { Message } from '@bufbuild/protobuf';
import { systemClock } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { clientChannelOptions } from './channel-options.ts';
import type { EndpointOptions } from './channel-options.ts';
import { fromGrpc } from './errors.ts';
import { methodDefinition } from './service.ts';
import type { AnyService, CallOptions, Calls } from './service.ts';

export interface GrpcClientOptions extends EndpointOptions {
  /** Shown as `authorization: Bearer …`. */
  readonly token?: string;
  readonly clock?: Clock;
}

/** A channel to one service at one address. Connects when first used and again by itself; disposing closes it and fails open calls. */
export class GrpcClient<S extends AnyService> implements Disposable {
  readonly address: string;
  /** One function per method; unary calls reject with `MediaError`. */
  readonly call: Calls<S>;
  readonly #client: Client;
  readonly #clock: Clock;

  private constructor(service: S, address: string, options: GrpcClientOptions) {
    this.address = address;
    this.#clock = options.clock ?? systemClock;
    this.#client = new Client(address, credentials.createInsecure(), clientChannelOptions(options));
    this.call = callsOf(service, this.#client, options, this.#clock) as unknown as Calls<S>;
  }

  /** `address`: `unix:/path` or `host:port`. Never waits and never throws for a server that is not there. */
  static dial<S extends AnyService>(service: S, address: string, options: GrpcClientOptions = {}): GrpcClient<S> {
    return new GrpcClient(service, address, options);
  }

  /** Resolves when connected; rejects with UNAVAILABLE after `timeoutMs`. */
  async ready(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#client.waitForReady(this.#clock.now() + timeoutMs, (error) => {
        if (error) reject(new MediaError('UNAVAILABLE', `no answer from ${this.address}`, { cause: error }));
        else resolve();
      });
    });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

const callsOf = (service: AnyService, client: Client, defaults: GrpcClientOptions, clock: Clock): Record<string, unknown> => {
  const metadataOf = (options: CallOptions): Metadata => {
    const metadata = options.metadata?.clone() ?? new Metadata();
    if (defaults.token !== undefined) metadata.set('authorization', `Bearer ${defaults.token}`);
    return metadata;
  };
  const grpcOptions = (options: CallOptions): GrpcCallOptions => (options.deadlineMs === undefined ? {} : { deadline: clock.now() + options.deadlineMs });
  /** Cancels the call when the signal says so, and forgets the signal when the call is over. */
  const bind = <C extends { cancel(): void; on(event: 'status', listener: () => void): unknown }>(call: C, signal: AbortSignal | undefined): C => {
    if (!signal) return call;
    const cancel = (): void => { call.cancel(); };
    if (signal.aborted) cancel();
    else {
      signal.addEventListener('abort', cancel, { once: true });
      call.on('status', () => { signal.removeEventListener('abort', cancel); });
    }
    return call;
  };

  const calls: Record<string, unknown> = {};
  for (const method of service.methods) {
    const { path, requestSerialize, responseDeserialize } = methodDefinition(service, method);
    switch (method.methodKind) {
      case 'unary':
        calls[method.localName] = (request: Message, options: CallOptions = {}) =>
          new Promise<Message>((resolve, reject) => {
            bind(client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadataOf(options), grpcOptions(options), (error, response) => {
              if (error) reject(fromGrpc(error));
              else if (response === undefined) reject(new MediaError('INTERNAL', `${path} gave no answer`));
              else resolve(response);
            }), options.signal);
          });
        break;
      case 'server_streaming':
        calls[method.localName] = (request: Message, options: CallOptions = {}) =>
          bind(client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, metadataOf(options), grpcOptions(options)), options.signal);
        break;
      case 'client_streaming':
        calls[method.localName] = (onResponse: (error: Error | null, response: Message | undefined) => void, options: CallOptions = {}) =>
          bind(client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, metadataOf(options), grpcOptions(options), onResponse), options.signal);
        break;
      case 'bidi_streaming':
        calls[method.localName] = (options: CallOptions = {}) =>
          bind(client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadataOf(options), grpcOptions(options)), options.signal);
        break;
    }
  }
  return calls;
};
