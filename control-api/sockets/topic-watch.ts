import { setImmediate as othersTurn } from 'node:timers/promises';
import type { Topic } from '../../core/topics.ts';
import type { EventService } from '../events/service.ts';
import type { ServerMessage } from './messages.ts';

export interface TopicWatchOptions {
  readonly events: EventService;
  readonly topic: Topic;
  /** Null: all. */
  readonly camera: string | null;
  /** The id behind which the first event comes. */
  readonly after: number;
  /** Resolves when the message has left this process. Rejects when the client is gone. */
  readonly send: (message: ServerMessage) => Promise<void>;
  /** The events could not be read. */
  readonly onFailure: (error: unknown) => void;
}

const BATCH = 100;

/**
 * Sends a client the events of a topic, in order and each once. It reads them itself, no faster than the client takes them: a slow one comes
 * late, and only what is deleted meanwhile is told as missed.
 */
export class TopicWatch implements Disposable {
  readonly #options: TopicWatchOptions;
  readonly #listening: Disposable;
  #position: number;
  #sending = false;
  /** How often there was reason to look. */
  #looks = 0;
  #ended = false;

  constructor(options: TopicWatchOptions) {
    this.#options = options;
    this.#position = options.after;
    this.#listening = options.events.listen(options.topic, () => { this.#look(); });
    this.#look();
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#listening[Symbol.dispose]();
  }

  #look(): void {
    this.#looks++;
    if (!this.#sending) void this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    this.#sending = true;
    try {
      for (let looked = -1; looked !== this.#looks; ) {
        looked = this.#looks;
        let more = true;
        while (more) {
          more = await this.#sendSome();
          await othersTurn(); // SQLite answers at once: a reader of nothing but others' events would have the process to itself
        }
      }
    } catch (error) {
      if (!this.#ended) this.#options.onFailure(error);
    } finally {
      this.#sending = false;
    }
  }

  /** Asked again after every wait: it may have ended meanwhile. */
  #live(): boolean {
    return !this.#ended;
  }

  /** Whether there may be more. */
  async #sendSome(): Promise<boolean> {
    if (!this.#live()) return false;
    const { events, topic, camera, send } = this.#options;
    const { events: batch, deletedThrough } = await events.read(topic, this.#position, BATCH);
    if (deletedThrough > this.#position) await send({ type: 'missed', topic, camera });
    for (const event of batch) {
      if (!this.#live()) return false;
      this.#position = event.id;
      if (camera === null || event.camera === camera) await send({ type: 'event', topic, cursor: String(event.id), event: JSON.parse(event.body) });
    }
    this.#position = Math.max(this.#position, deletedThrough); // told once
    return batch.length === BATCH;
  }
}
