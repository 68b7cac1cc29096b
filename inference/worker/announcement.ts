import { create } from '@bufbuild/protobuf';
import type { ClientReadableStream } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { fromGrpc } from '../../platform/grpc/errors.ts';
import type { Logger } from '../../platform/logging.ts';
import { AnnounceRequestSchema, WorkerDirectoryService } from '../../proto/gen/imageflow/v1/worker_directory_pb.ts';
import type { AnnounceResponse } from '../../proto/gen/imageflow/v1/worker_directory_pb.ts';

const RETRY_MS: Milliseconds = 2000;

export interface AnnouncementOptions {
  /** `host:port` or `unix:/path` of control. */
  readonly control: string;
  readonly token?: string;
  /** `host:port` at which edges reach this worker. */
  readonly address: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Makes a worker known to control until it is disposed of, again after each interruption. */
export class Announcement implements Disposable {
  readonly #options: AnnouncementOptions;
  readonly #client: GrpcClient<typeof WorkerDirectoryService>;
  #stream: ClientReadableStream<AnnounceResponse> | undefined;
  #retry: Disposable | undefined;
  /** Told once per outage. */
  #told = '';

  constructor(options: AnnouncementOptions) {
    const { control, token, clock } = options;
    this.#options = options;
    this.#client = GrpcClient.dial(WorkerDirectoryService, control, { clock, ...(token === undefined ? {} : { token }) });
    this.#call();
  }

  [Symbol.dispose](): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#retry?.[Symbol.dispose]();
    stream?.cancel();
    this.#client[Symbol.dispose]();
  }

  #call(): void {
    const { address, control, logger } = this.#options;
    const stream = this.#client.call.announce(create(AnnounceRequestSchema, { address }));
    this.#stream = stream;
    const over = (why: string): void => { if (this.#stream === stream) this.#over(why); };
    stream.on('data', () => {
      this.#told = '';
      logger.info({ address, control }, 'announced');
    });
    stream.on('error', (error) => { over(fromGrpc(error).message); });
    stream.on('end', () => { over('control ended the stream'); });
  }

  #over(why: string): void {
    const { address, control, clock, logger } = this.#options;
    this.#stream = undefined;
    if (this.#told !== why) logger.warn({ address, control, reason: why }, 'not announced; trying again');
    this.#told = why;
    this.#retry = clock.after(RETRY_MS, () => { this.#call(); });
  }
}
