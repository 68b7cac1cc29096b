import type { Milliseconds } from '../core/units.ts';
import { messageOf } from '../core/errors.ts';
import type { GrpcClient } from '../platform/grpc/client.ts';
import type { EdgeLinkService } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import { Attachment } from './attachment.ts';
import type { AttachmentOptions } from './attachment.ts';

export interface ControlLinkOptions extends AttachmentOptions {
  /** Shared with the camera resolver; the owner disposes it after this link. */
  readonly client: GrpcClient<typeof EdgeLinkService>;
  /** 0..1, for the jitter of the backoff. */
  readonly random?: () => number;
}

const FIRST_RETRY_MS: Milliseconds = 100;
const LONGEST_RETRY_MS: Milliseconds = 2000;
const DRAIN_WITHIN_MS: Milliseconds = 1000;

/**
 * Keeps this edge attached to control (D-9): dials, says hello, takes the desired state, delivers the journal; again and again, with
 * exponential backoff, while either side comes and goes. Start it when the inventory can be answered (the recorder has repaired itself).
 */
export class ControlLink implements AsyncDisposable {
  readonly #options: ControlLinkOptions;
  readonly #abort = new AbortController();
  readonly #random: () => number;
  #attached = false;
  #failures = 0;
  #running: Promise<void> | undefined;

  constructor(options: ControlLinkOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  /** Control has answered, and the stream stands. */
  get attached(): boolean { return this.#attached; }

  start(): void {
    this.#running ??= this.#run();
  }

  /**
   * Waits a moment for control to acknowledge the last events (dispose whatever writes events first), then ends. What is not
   * acknowledged by then is sent again next time.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#running && !this.#abort.signal.aborted) await this.#drain();
    this.#abort.abort();
    await this.#running;
  }

  async #drain(): Promise<void> {
    const { journal, clock } = this.#options;
    journal.flush();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const check = (): void => { if (!this.#attached || journal.delivered) resolve(undefined); };
    using _deadline = clock.after(DRAIN_WITHIN_MS, () => { resolve(undefined); });
    using _checking = clock.every(10, check);
    check();
    await promise;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const attachment = new Attachment(this.#options.client.call.attach({ signal }), this.#options, () => { this.#welcomed(); });
      const failure = await attachment.run().then(() => 'control ended the stream', messageOf);
      this.#report(failure);
      this.#attached = false;
      await this.#pause();
    }
  }

  #welcomed(): void {
    this.#attached = true;
    this.#failures = 0;
    this.#options.logger.info('attached to control');
  }

  /** Once per outage. */
  #report(failure: string): void {
    if (this.#abort.signal.aborted || (!this.#attached && this.#failures > 0)) return;
    this.#options.logger.warn({ failure }, 'not attached to control; events wait in the journal');
  }

  async #pause(): Promise<void> {
    const { signal } = this.#abort;
    if (signal.aborted) return;
    const delay = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures) * (0.75 + this.#random() / 2);
    this.#failures += 1;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const done = (): void => { resolve(undefined); };
    using _timer = this.#options.clock.after(delay, done);
    signal.addEventListener('abort', done, { once: true });
    await promise;
    signal.removeEventListener('abort', done);
  }
}
