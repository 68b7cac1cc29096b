import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Topic } from '../../core/topics.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Outbox } from './outbox.ts';

/** Other control processes and the command line write to the same outbox. */
const LOOK_MS: Milliseconds = 500;

interface Listeners {
  newest: number;
  readonly all: Set<() => void>;
}

/** Tells within this process that a topic has new events, whoever wrote them; looks only while somebody listens. */
export class EventFeed implements Disposable {
  readonly #outbox: Outbox;
  readonly #logger: Logger;
  readonly #topics = new Map<Topic, Listeners>();
  readonly #timer: Disposable;
  #looking: Promise<void> | null = null;
  #again = false;
  #failure = '';

  constructor(options: { readonly outbox: Outbox; readonly clock: Clock; readonly logger: Logger }) {
    this.#outbox = options.outbox;
    this.#logger = options.logger;
    this.#timer = options.clock.every(LOOK_MS, () => { this.look(); });
  }

  /** `onNews` is called after there may be new events, never before this returns. */
  listen(topic: Topic, onNews: () => void): Disposable {
    const listeners = this.#topics.get(topic) ?? { newest: 0, all: new Set() };
    this.#topics.set(topic, listeners);
    listeners.all.add(onNews);
    return {
      [Symbol.dispose]: () => {
        listeners.all.delete(onNews);
        if (listeners.all.size === 0 && this.#topics.get(topic) === listeners) this.#topics.delete(topic);
      },
    };
  }

  /** Looks at once: something was written. */
  look(): void {
    if (this.#topics.size === 0) return;
    if (this.#looking !== null) {
      this.#again = true;
      return;
    }
    this.#looking = this.#look().finally(() => {
      this.#looking = null;
      if (!this.#again) return;
      this.#again = false;
      this.look();
    });
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#topics.clear();
  }

  async #look(): Promise<void> {
    try {
      for (const [topic, listeners] of this.#topics) {
        const newest = await this.#outbox.newest(topic);
        if (newest === listeners.newest) continue;
        listeners.newest = newest;
        for (const onNews of listeners.all) onNews();
      }
      this.#failure = '';
    } catch (error) {
      if (this.#failure !== messageOf(error)) this.#logger.error({ error: messageOf(error) }, 'events not read');
      this.#failure = messageOf(error);
    }
  }
}
