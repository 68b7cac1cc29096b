import { create, toBinary } from '@bufbuild/protobuf';
import type { DescFile } from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { ServerReflection, ServerReflectionResponseSchema } from '../../proto/gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as AlphaReflection, ServerReflectionResponseSchema as AlphaResponseSchema } from '../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { serve } from './service.ts';
import type { AnyService, ServiceRegistration } from './service.ts';

/** The request's `message_request`, as far as it is looked at; the same in v1 and v1alpha, as is the answer. */
interface Question {
  readonly case: string | undefined;
  readonly value?: unknown;
}
/** The response's `message_response`. */
type Answer =
  | { readonly case: 'listServicesResponse'; readonly value: { readonly service: { readonly name: string }[] } }
  | { readonly case: 'fileDescriptorResponse'; readonly value: { readonly fileDescriptorProto: Uint8Array[] } }
  | { readonly case: 'errorResponse'; readonly value: { readonly errorCode: status; readonly errorMessage: string } };

/**
 * The standard server reflection (grpc.reflection.v1, and v1alpha, which older clients ask for): generic clients learn from it what the
 * server speaks. It tells of `services` and itself.
 */
export const reflection = (services: readonly ServiceRegistration[]): readonly ServiceRegistration[] => {
  const answerTo = reflectionOf([...services.map(({ service }) => service), ServerReflection, AlphaReflection]);
  return [
    serve(ServerReflection, {
      serverReflectionInfo: (call) => {
        answerAll(call, (request) => create(ServerReflectionResponseSchema, { validHost: request.host, originalRequest: request, messageResponse: answerTo(request.messageRequest) }));
      },
    }),
    serve(AlphaReflection, {
      serverReflectionInfo: (call) => {
        answerAll(call, (request) => create(AlphaResponseSchema, { validHost: request.host, originalRequest: request, messageResponse: answerTo(request.messageRequest) }));
      },
    }),
  ];
};

/** One answer for each question, no faster than the client reads them. */
const answerAll = <Request, Response>(call: ServerDuplexStream<Request, Response>, answer: (request: Request) => Response): void => {
  call.on('data', (request: Request) => {
    if (call.write(answer(request))) return;
    call.pause();
    call.once('drain', () => { call.resume(); });
  });
  call.on('end', () => { call.end(); });
};

const reflectionOf = (services: readonly AnyService[]): ((question: Question) => Answer) => {
  const files = new Map<string, DescFile>();
  for (const service of services) for (const file of withImports(service.file)) files.set(file.proto.name, file);
  const fileOfSymbol = new Map<string, DescFile>();
  for (const file of files.values()) {
    for (const type of nestedTypes(file)) {
      fileOfSymbol.set(type.typeName, file);
      if (type.kind === 'service') for (const method of type.methods) fileOfSymbol.set(`${type.typeName}.${method.name}`, file);
    }
  }
  return ({ case: kind, value }) => {
    const name = String(value);
    switch (kind) {
      case 'listServices':
        return { case: 'listServicesResponse', value: { service: services.map(({ typeName }) => ({ name: typeName })) } };
      case 'fileByFilename':
        return fileAnswer(files.get(name), name);
      case 'fileContainingSymbol':
        return fileAnswer(fileOfSymbol.get(name), name);
      default:
        return refusal(status.UNIMPLEMENTED, 'no extensions here');
    }
  };
};

/** The file and all it imports, each once. */
const withImports = (file: DescFile, found = new Set<DescFile>()): ReadonlySet<DescFile> => {
  if (!found.has(file)) {
    found.add(file);
    for (const imported of file.dependencies) withImports(imported, found);
  }
  return found;
};

const fileAnswer = (file: DescFile | undefined, name: string): Answer =>
  file === undefined
    ? refusal(status.NOT_FOUND, `there is no ${name.slice(0, 200)} here`)
    : { case: 'fileDescriptorResponse', value: { fileDescriptorProto: [...withImports(file)].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto)) } };

const refusal = (errorCode: status, errorMessage: string): Answer => ({ case: 'errorResponse', value: { errorCode, errorMessage } });
