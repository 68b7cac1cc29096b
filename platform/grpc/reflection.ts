import { create, toBinary } from '@bufbuild/protobuf';
import type { DescFile } from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { status } from '@grpc/grpc-js';
import { ErrorResponseSchema, FileDescriptorResponseSchema, ListServiceResponseSchema, ServerReflection, ServerReflectionResponseSchema, ServiceResponseSchema } from '../../proto/gen/grpc/reflection/v1/reflection_pb.ts';
import type { ServerReflectionRequest, ServerReflectionResponse } from '../../proto/gen/grpc/reflection/v1/reflection_pb.ts';
import { serve } from './service.ts';
import type { ServiceRegistration } from './service.ts';

type Answer = ServerReflectionResponse['messageResponse'];

/** The standard server reflection (grpc.reflection.v1): generic clients learn from it what the server speaks. It tells of `services` and itself. */
export const reflection = (services: readonly ServiceRegistration[]): ServiceRegistration => {
  const known = [...services.map(({ service }) => service), ServerReflection];
  const files = new Map<string, DescFile>();
  const collect = (file: DescFile): void => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file);
    file.dependencies.forEach(collect);
  };
  known.forEach((service) => { collect(service.file); });
  const fileOfSymbol = new Map<string, DescFile>();
  for (const file of files.values()) {
    for (const type of nestedTypes(file)) {
      fileOfSymbol.set(type.typeName, file);
      if (type.kind === 'service') for (const method of type.methods) fileOfSymbol.set(`${type.typeName}.${method.name}`, file);
    }
  }

  const answerTo = ({ messageRequest: request }: ServerReflectionRequest): Answer => {
    switch (request.case) {
      case 'listServices':
        return { case: 'listServicesResponse', value: create(ListServiceResponseSchema, { service: known.map(({ typeName }) => create(ServiceResponseSchema, { name: typeName })) }) };
      case 'fileByFilename':
        return fileAnswer(files.get(request.value), request.value);
      case 'fileContainingSymbol':
        return fileAnswer(fileOfSymbol.get(request.value), request.value);
      default:
        return refusal(status.UNIMPLEMENTED, 'no extensions here');
    }
  };

  return serve(ServerReflection, {
    serverReflectionInfo: (call) => {
      call.on('data', (request: ServerReflectionRequest) => {
        const written = call.write(create(ServerReflectionResponseSchema, { validHost: request.host, originalRequest: request, messageResponse: answerTo(request) }));
        if (written) return;
        call.pause();
        call.once('drain', () => { call.resume(); });
      });
      call.on('end', () => { call.end(); });
    },
  });
};

/** The file and all it imports. */
const fileAnswer = (file: DescFile | undefined, name: string): Answer => {
  if (file === undefined) return refusal(status.NOT_FOUND, `there is no ${name.slice(0, 200)} here`);
  const needed = new Set<DescFile>();
  const collect = (each: DescFile): void => {
    if (needed.has(each)) return;
    needed.add(each);
    each.dependencies.forEach(collect);
  };
  collect(file);
  return { case: 'fileDescriptorResponse', value: create(FileDescriptorResponseSchema, { fileDescriptorProto: [...needed].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto)) }) };
};

const refusal = (errorCode: status, errorMessage: string): Answer => ({ case: 'errorResponse', value: create(ErrorResponseSchema, { errorCode, errorMessage }) });
