import { create, toBinary } from '@bufbuild/protobuf';
import { DurationSchema, anyPack } from '@bufbuild/protobuf/wkt';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { status } from '@grpc/grpc-js';
import type { MediaError } from '../../core/errors.ts';
import { BadRequestSchema, RetryInfoSchema } from '../../proto/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../proto/gen/google/rpc/status_pb.ts';
import { ErrorDetailsSchema } from '../../proto/gen/imageflow/v1/error_details_pb.ts';

/** What a refusal that names members of the request has beside its message. */
interface FieldRefusal {
  readonly fields: readonly { readonly field: string; readonly message: string }[];
}

const namesFields = (error: MediaError): error is MediaError & FieldRefusal => 'fields' in error && Array.isArray(error.fields);

/** The `google.rpc.Status` of a refusal, as bytes: our ErrorDetails, and BadRequest and RetryInfo where they say something (SD-18). */
export const statusDetails = (error: MediaError, code: status): Buffer => {
  const metadata = Object.fromEntries(Object.entries(error.context).map(([name, value]) => [name, String(value)]));
  const details: Any[] = [anyPack(ErrorDetailsSchema, create(ErrorDetailsSchema, { code: error.reason ?? error.code, message: error.message, metadata }))];
  if (namesFields(error)) {
    const fieldViolations = error.fields.map(({ field, message }) => ({ field, description: message }));
    details.push(anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations })));
  }
  if (error.retryAfterSeconds !== undefined) {
    const seconds = Math.max(1, Math.ceil(error.retryAfterSeconds));
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: create(DurationSchema, { seconds: BigInt(seconds) }) })));
  }
  return Buffer.from(toBinary(StatusSchema, create(StatusSchema, { code, message: error.message, details })));
};
