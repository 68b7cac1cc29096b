import { create } from '@bufbuild/protobuf';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { MediaError } from '../../core/errors.ts';
import { Health as HealthService, HealthCheckResponseSchema, HealthCheckResponse_ServingStatus as Status } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import type { HealthCheckRequest, HealthCheckResponse } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { serve } from './service.ts';
import type { ServiceRegistration } from './service.ts';

export { HealthService };
export { Status as ServingStatus };

/** The standard health service (grpc.health.v1). `''` stands for the whole server. */
export class Health {
  /** Give it to `GrpcServer.start`. */
  readonly service: ServiceRegistration;
  readonly #statuses = new Map<string, Status>([['', Status.NOT_SERVING]]);
  readonly #watchers = new Set<{ readonly service: string; readonly call: ServerWritableStream<HealthCheckRequest, HealthCheckResponse> }>();

  constructor() {
    this.service = serve(HealthService, {
      check: (request) => {
        const status = this.#statuses.get(request.service);
        if (status === undefined) return Promise.reject(new MediaError('NOT_FOUND', `no service ${request.service} here`));
        return Promise.resolve(create(HealthCheckResponseSchema, { status }));
      },
      watch: (request, call) => {
        const watcher = { service: request.service, call };
        this.#watchers.add(watcher);
        call.on('close', () => this.#watchers.delete(watcher));
        call.on('cancelled', () => { this.#watchers.delete(watcher); call.end(); });
        call.write(create(HealthCheckResponseSchema, { status: this.#statuses.get(request.service) ?? Status.SERVICE_UNKNOWN }));
      },
    });
  }

  /** Tells everyone who asks or watches. */
  set(service: string, serving: boolean): void {
    const status = serving ? Status.SERVING : Status.NOT_SERVING;
    if (this.#statuses.get(service) === status) return;
    this.#statuses.set(service, status);
    for (const watcher of this.#watchers) if (watcher.service === service) watcher.call.write(create(HealthCheckResponseSchema, { status }));
  }

  /** Ends the watching calls, so that the server can stop. */
  [Symbol.dispose](): void {
    for (const { call } of this.#watchers) call.end();
    this.#watchers.clear();
  }
}
