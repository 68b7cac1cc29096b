import { create } from '@bufbuild/protobuf';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { MediaError } from '../../core/errors.ts';
import { isHostPort } from '../../core/host-port.ts';
import { MAX_WORKERS } from '../../inference/port.ts';
import { toGrpcStatus } from '../../platform/grpc/errors.ts';
import { serve } from '../../platform/grpc/service.ts';
import type { ServiceRegistration } from '../../platform/grpc/service.ts';
import type { Logger } from '../../platform/logging.ts';
import { AnnounceResponseSchema, WorkerDirectoryService } from '../../proto/gen/imageflow/v1/worker_directory_pb.ts';
import type { AnnounceRequest, AnnounceResponse } from '../../proto/gen/imageflow/v1/worker_directory_pb.ts';

type AnnounceCall = ServerWritableStream<AnnounceRequest, AnnounceResponse>;

/** The AI workers that edges are to call: those of the configuration, and those that have made themselves known and are still there. */
export class WorkerDirectory implements Disposable {
  /** Give it to `GrpcServer.start`. */
  readonly registration: ServiceRegistration;
  readonly #fixed: readonly string[];
  readonly #logger: Logger;
  /** A worker that comes again before its old stream is known to be dead is here twice. */
  readonly #announced = new Map<AnnounceCall, string>();
  readonly #listeners = new Set<() => void>();

  /** `fixed`: this machine's own and those of `inference.workers`, the preferred first. */
  constructor(options: { readonly fixed: readonly string[]; readonly logger: Logger }) {
    this.#fixed = options.fixed;
    this.#logger = options.logger;
    this.registration = serve(WorkerDirectoryService, { announce: ({ address }, call) => { this.#announce(address, call); } });
  }

  /** Each once; those that came by themselves in alphabetical order, so that the list is the same whoever came first. */
  addresses(): readonly string[] {
    return [...new Set([...this.#fixed, ...[...this.#announced.values()].toSorted()])];
  }

  /** Called when the list is another. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** Ends every stream, so that the server can stop; workers come again. */
  [Symbol.dispose](): void {
    this.#listeners.clear();
    for (const call of this.#announced.keys()) call.end();
    this.#announced.clear();
  }

  #announce(address: string, call: AnnounceCall): void {
    const refuse = (error: MediaError): void => { call.emit('error', toGrpcStatus(error)); };
    if (!isHostPort(address)) { refuse(new MediaError('INVALID_ARGUMENT', 'a worker announces the host:port at which edges reach it')); return; }
    const listed = this.addresses();
    if (!listed.includes(address) && listed.length >= MAX_WORKERS) { refuse(new MediaError('RESOURCE_EXHAUSTED', `there are ${MAX_WORKERS} workers`)); return; }
    const leave = (): void => { this.#change(() => this.#announced.delete(call), address, 'worker left'); };
    call.on('cancelled', leave).on('close', leave).on('error', leave);
    this.#change(() => this.#announced.set(call, address), address, 'worker announced');
    call.write(create(AnnounceResponseSchema));
  }

  #change(change: () => void, worker: string, what: string): void {
    const before = this.addresses();
    change();
    if (this.addresses().length === before.length) return;
    this.#logger.info({ worker }, what);
    for (const listener of this.#listeners) listener();
  }
}
