/**
 * gRPC with generated types: a service descriptor of `proto/gen` (protoc-gen-es) becomes what @grpc/grpc-js serves and calls.
 *
 *   // the server
 *   await using server = await GrpcServer.start({ listen: 'unix:/run/x/worker.sock', services: [
 *     serve(WorkerService, {
 *       getModels: (request) => Promise.resolve(create(GetModelsResponseSchema, { … })),   // unary; throw MediaError to refuse
 *       detect: (call) => { call.on('data', (frame) => { call.write(create(ResultSchema, { … })); }); call.on('end', () => { call.end(); }); },
 *     }),
 *     health.service,                                                                      // new Health(), see health.ts
 *   ] });
 *   server.address;                                             // `unix:/…` or `host:port`, with the real port when 0 was asked
 *
 *   // the client: connects when first used, and again by itself
 *   using client = GrpcClient.dial(WorkerService, server.address);
 *   const models = await client.call.getModels(create(GetModelsRequestSchema), { deadlineMs: 1000 });   // rejects with MediaError
 *   const stream = client.call.detect();                        // a ClientDuplexStream of typed messages
 *   stream.on('data', …); stream.on('error', (error) => { fromGrpc(error); }); stream.write(create(FrameSchema, { … }));
 *   stream.cancel();
 *
 * A stream's `write` answers false when it should wait for 'drain'. Every stream needs an 'error' listener.
 * New or changed `.proto` file: `node proto/generate.ts`; `--check` fails when `proto/gen` is not what the files say.
 */
import type { ClientDuplexStream, ClientReadableStream, ClientWritableStream, Metadata, MethodDefinition } from '@grpc/grpc-js';
import type { ServerDuplexStream, ServerReadableStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import { fromBinary } from '@bufbuild/protobuf';
import type { DescMessage, DescMethod, Message, MessageShape } from '@bufbuild/protobuf';
import type { GenService, GenServiceMethods } from '@bufbuild/protobuf/codegenv2';
import type { UnreadCall } from './read-request.ts';
import { serializer } from './serialize.ts';

export interface CallOptions {
  /** Milliseconds from now until the call fails with DEADLINE_EXCEEDED. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  readonly metadata?: Metadata;
}

type Input<M> = M extends { input: infer I extends DescMessage } ? MessageShape<I> : never;
type Output<M> = M extends { output: infer O extends DescMessage } ? MessageShape<O> : never;

type Handler<M> = M extends { methodKind: 'unary' }
  ? (request: Input<M>, call: ServerUnaryCall<Input<M>, Output<M>>) => Promise<Output<M>>
  : M extends { methodKind: 'server_streaming' }
    ? (request: Input<M>, call: ServerWritableStream<Input<M>, Output<M>>) => void
    : M extends { methodKind: 'client_streaming' }
      ? (call: ServerReadableStream<Input<M>, Output<M>>) => Promise<Output<M>>
      : (call: ServerDuplexStream<Input<M>, Output<M>>) => void;

type Call<M> = M extends { methodKind: 'unary' }
  ? (request: Input<M>, options?: CallOptions) => Promise<Output<M>>
  : M extends { methodKind: 'server_streaming' }
    ? (request: Input<M>, options?: CallOptions) => ClientReadableStream<Output<M>>
    : M extends { methodKind: 'client_streaming' }
      ? (onResponse: (error: Error | null, response: Output<M> | undefined) => void, options?: CallOptions) => ClientWritableStream<Input<M>>
      : (options?: CallOptions) => ClientDuplexStream<Input<M>, Output<M>>;

/** One function per method of the service, by its name in lower camel case. */
export type Handlers<S> = S extends GenService<infer Methods> ? { readonly [K in keyof Methods]: Handler<Methods[K]> } : never;
/** The same on the calling side. */
export type Calls<S> = S extends GenService<infer Methods> ? { readonly [K in keyof Methods]: Call<Methods[K]> } : never;

/** Any generated service. */
export type AnyService = GenService<GenServiceMethods>;

/** A service and what answers it; made by `serve`, given to `GrpcServer.start`. */
export interface ServiceRegistration {
  readonly service: AnyService;
  readonly handlers: Readonly<Record<string, unknown>>;
  readonly unread?: Readonly<Record<string, UnreadHandler>>;
  /** Of a request of the other methods, where the listener takes more; a larger one is INTERNAL. */
  readonly maxRequestBytes?: number;
  /** Its messages may be as large, whatever the server's limit; callers must be known before their messages are read. */
  readonly maxMessageBytes?: number;
}

/** A handler of a method with one request and one answer that looks at a call before it reads the request (`readRequest`), whose bytes it parses itself. */
export type UnreadHandler = (call: UnreadCall) => Promise<Message>;

export const serve = <S extends AnyService>(service: S, handlers: Handlers<S>, options: Pick<ServiceRegistration, 'maxMessageBytes'> = {}): ServiceRegistration => ({
  service,
  handlers: handlers,
  ...options,
});

/** The same where some methods' handlers read their requests themselves. */
export const serveUnread = <S extends AnyService, Name extends string>(service: S, handlers: Omit<Handlers<S>, Name>, unread: Readonly<Record<Name, UnreadHandler>>): ServiceRegistration => ({
  service, handlers, unread,
});

/** What grpc-js needs to know of one method. `bytes` fields of messages read are views into the received buffer. */
export const methodDefinition = (service: AnyService, method: DescMethod, maxRequestBytes = Number.POSITIVE_INFINITY): MethodDefinition<Message, Message> => ({
  path: `/${service.typeName}/${method.name}`,
  requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
  responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
  requestSerialize: serializer(method.input),
  // Unknown fields would be kept, an object for each: of a large message more than there is memory.
  requestDeserialize: (bytes) => {
    if (bytes.length > maxRequestBytes) throw new Error(`a request of ${bytes.length} bytes`);
    return fromBinary(method.input, bytes, { readUnknownFields: false });
  },
  responseSerialize: serializer(method.output),
  responseDeserialize: (bytes) => fromBinary(method.output, bytes),
});

/** The same where a handler reads the request itself: on the wire a stream of one request is the same as one request. */
export const unreadDefinition = (service: AnyService, method: DescMethod): MethodDefinition<Buffer, Message> => ({
  ...methodDefinition(service, method), requestStream: true, requestSerialize: (bytes) => bytes, requestDeserialize: (bytes) => bytes,
});
