import { hash, randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Webhook } from '../../config/webhooks.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import { wait } from '../../platform/object-store/pace.ts';
import { Sender, alarmIdOf, shownAs } from './sender.ts';
import type { SenderOptions } from './sender.ts';
import { WebhookStore } from './store.ts';

/** Events that this process hears of come at once; looked for are those of which it does not, and whether another process has died. */
const IDLE_MS: Milliseconds = 15_000;
const FAILED_MS: Milliseconds = 5_000;

export interface WebhooksOptions extends SenderOptions {
  readonly db: Kysely<Database>;
  /** `events.webhooks`. */
  readonly webhooks: readonly Webhook[];
}

/**
 * Sends events to addresses that the operator names: each in the order of its topic, again and again until it is taken, and from where it was after a
 * restart. At least once; `webhook-id` tells a repetition. One receiver that is down holds up itself alone. Of several control processes one sends.
 */
export class Webhooks implements AsyncDisposable {
  readonly #options: WebhooksOptions;
  readonly #store: WebhookStore;
  readonly #owner = randomUUID();
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: WebhooksOptions) {
    this.#options = options;
    this.#store = new WebhookStore(options.db);
  }

  start(): void {
    const keyed = this.#options.webhooks.map((webhook) => ({ webhook, key: hash('sha256', webhook.url, 'hex') }));
    this.#running = Promise.all([this.#forget(keyed.map(({ key }) => key)), ...keyed.map(({ webhook, key }) => this.#run(webhook, key))]);
  }

  /** Stops at once: what is being sent is sent again later. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('control stops'));
    await this.#running;
  }

  get #stopped(): boolean { return this.#stop.signal.aborted; }

  /** What was configured before, and its alarm. */
  async #forget(keys: readonly string[]): Promise<void> {
    try {
      for (const key of await this.#store.keepOnly(keys)) await this.#options.alarms.settle(alarmIdOf(key));
    } catch (error) {
      this.#options.logger.error({ error: messageOf(error) }, 'webhooks of before were not forgotten');
    }
  }

  async #run(webhook: Webhook, key: string): Promise<void> {
    const { clock, events, logger } = this.#options;
    const { signal } = this.#stop;
    const sender = new Sender(webhook, key, this.#owner, this.#store, this.#options, signal);
    let rest = new AbortController();
    const listening = webhook.topics.map((topic) => events.listen(topic, () => { rest.abort(); }));
    while (!signal.aborted) {
      rest = new AbortController();
      let pauseMs = IDLE_MS;
      try {
        await sender.tellAll();
      } catch (error) {
        pauseMs = FAILED_MS;
        if (!this.#stopped) logger.error({ webhook: shownAs(webhook.url), error: messageOf(error) }, 'webhook not told');
      }
      // News shorten the pause, but not that after a failure.
      await wait(clock, pauseMs, pauseMs === FAILED_MS ? signal : AbortSignal.any([signal, rest.signal])).catch(() => undefined);
    }
    for (const each of listening) each[Symbol.dispose]();
    await this.#store.release(key, this.#owner).catch(() => undefined); // the claim ends by itself
  }
}
