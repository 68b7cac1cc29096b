import { hash } from 'node:crypto';
import type { Webhook } from '../../config/webhooks.ts';
import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Topic } from '../../core/topics.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import { wait } from '../../platform/object-store/pace.ts';
import type { AlarmService } from '../alarms/service.ts';
import type { EventService } from '../events/service.ts';
import { deliver } from './delivery.ts';
import type { WebhookStore } from './store.ts';

/** Events read at a time. */
const BATCH = 100;
const FIRST_PAUSE_MS: Milliseconds = 500;
const LONGEST_PAUSE_MS: Milliseconds = 60_000;
/** A receiver that takes nothing for so long is the operator's business. */
const ALARM_AFTER_MS: Milliseconds = 60_000;
/** An event that is refused is sent so often. */
const MAX_REFUSALS = 3;
/** The process that tells a webhook says so again before less than half of this is left; when it dies another one takes over after it. An attempt takes ten seconds at most. */
const CLAIM_MS: Milliseconds = 25_000;
const LONGEST_CLAIM_MS: Milliseconds = CLAIM_MS + LONGEST_PAUSE_MS + 1_000;

/** Of the webhook with this key. */
export const alarmIdOf = (key: string): string => `webhook-${key.slice(0, 16)}`;

export interface SenderOptions {
  readonly events: Pick<EventService, 'read' | 'newest' | 'listen'>;
  readonly alarms: Pick<AlarmService, 'raise' | 'settle'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'webhookDeliveries'>;
}

/** What a webhook is called in metrics, alarms and logs: many addresses are secrets themselves, in their path or query. */
export const shownAs = (url: string): string => `${new URL(url).host}#${hash('sha256', url, 'hex').slice(0, 8)}`;

/** One webhook's events, one after the other. */
export class Sender {
  readonly #webhook: Webhook;
  readonly #key: string;
  readonly #owner: string;
  readonly #store: WebhookStore;
  readonly #options: SenderOptions;
  readonly #stop: AbortSignal;
  readonly #name: string;
  /** Since when it takes nothing, on the monotonic clock; null: it does, as far as is known. */
  #failingSince: Milliseconds | null = null;
  #alarmed: boolean | null = null;
  /** Unix ms. */
  #heldUntil: Milliseconds = -Infinity;
  /** Where it begins is written for every topic. */
  #begun = false;

  constructor(webhook: Webhook, key: string, owner: string, store: WebhookStore, options: SenderOptions, stop: AbortSignal) {
    this.#webhook = webhook;
    this.#key = key;
    this.#owner = owner;
    this.#store = store;
    this.#options = options;
    this.#stop = stop;
    this.#name = shownAs(webhook.url);
  }

  /** Everything that has not been told, unless another process tells it. */
  async tellAll(): Promise<void> {
    if (!(await this.#hold())) return;
    // Of all topics first: a webhook that is new begins now with each of them, however long the first one takes.
    if (!this.#begun) for (const topic of this.#webhook.topics) await this.#store.position(this.#key, topic, await this.#options.events.newest(topic));
    this.#begun = true;
    for (const topic of this.#webhook.topics) if (!(await this.#tellTopic(topic))) return;
  }

  /** False: another process has taken over. */
  async #tellTopic(topic: Topic): Promise<boolean> {
    const { events } = this.#options;
    let after = await this.#store.position(this.#key, topic, 0);
    for (;;) {
      this.#stop.throwIfAborted();
      const { events: batch, deletedThrough } = await events.read(topic, after, BATCH);
      if (deletedThrough > after) {
        this.#count('missed', topic);
        after = deletedThrough;
        await this.#store.setPosition(this.#key, topic, after);
      }
      for (const { id, camera, body } of batch) {
        if (this.#wants(camera, body) && !(await this.#tell(topic, id, body))) return false;
        await this.#store.setPosition(this.#key, topic, id);
        after = id;
      }
      if (batch.length < BATCH) return true;
    }
  }

  /** Whether this process is the one that tells, for at least as long as an attempt takes. */
  async #hold(extraMs: Milliseconds = 0): Promise<boolean> {
    const now = this.#options.clock.now();
    if (this.#heldUntil - now > CLAIM_MS / 2 + extraMs && this.#heldUntil - now <= LONGEST_CLAIM_MS) return true;
    const until = now + CLAIM_MS + extraMs;
    const held = await this.#store.claim(this.#key, this.#owner, now, until, now + LONGEST_CLAIM_MS);
    this.#heldUntil = held ? until : -Infinity;
    if (!held) {
      this.#alarmed = null; // what the other one finds is its own
      this.#failingSince = null;
    }
    return held;
  }

  #wants(camera: string | null, body: string): boolean {
    const { cameras, event_types: types } = this.#webhook;
    if (cameras !== undefined && (camera === null || !cameras.includes(camera))) return false;
    return types === undefined || types.includes(String((JSON.parse(body) as { event_type?: unknown }).event_type));
  }

  /** False: another process has taken over. Throws when it is to stop. */
  async #tell(topic: Topic, id: number, event: string): Promise<boolean> {
    const { clock, events, logger } = this.#options;
    const body = `{"topic":${JSON.stringify(topic)},"cursor":${JSON.stringify(String(id))},"event":${event}}`;
    const messageId = (JSON.parse(event) as { event_id?: unknown }).event_id;
    let pause = FIRST_PAUSE_MS;
    for (let refusals = 0; ;) {
      if (!(await this.#hold())) return false;
      const outcome = await deliver(this.#webhook, typeof messageId === 'string' ? messageId : `${topic}-${String(id)}`, body, clock, this.#stop);
      if (outcome.result !== 'delivered') this.#stop.throwIfAborted();
      this.#count(outcome.result, topic);
      if (outcome.result === 'delivered') {
        await this.#works();
        return true;
      }
      logger.warn({ webhook: this.#name, topic, event: id, why: outcome.why }, outcome.result === 'refused' ? 'webhook refuses an event' : 'webhook takes nothing');
      if (outcome.result === 'failed') await this.#fails(outcome.why);
      else if (++refusals === MAX_REFUSALS) {
        this.#count('given_up', topic);
        this.#failingSince = null;
        return true;
      }
      if (!(await this.#hold(pause))) return false;
      await wait(clock, pause, this.#stop);
      pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
      if ((await events.read(topic, id - 1, 1)).events[0]?.id !== id) {
        this.#count('missed', topic); // its time is over
        return true;
      }
    }
  }

  #count(result: string, topic: Topic): void {
    this.#options.metrics.webhookDeliveries.inc({ webhook: this.#name, topic, result });
  }

  async #works(): Promise<void> {
    this.#failingSince = null;
    if (this.#alarmed === false) return;
    await this.#options.alarms.settle(this.#alarmId);
    this.#alarmed = false;
  }

  async #fails(why: string): Promise<void> {
    const { clock, alarms } = this.#options;
    this.#failingSince ??= clock.monotonic();
    if (this.#alarmed === true || clock.monotonic() - this.#failingSince < ALARM_AFTER_MS) return;
    await alarms.raise({ id: this.#alarmId, code: 'webhook_unavailable', camera: null, message: `The webhook ${this.#name} takes no events: ${why}. They wait, and are sent when it does, as long as \`events.retention_hours\` keeps them.` });
    this.#alarmed = true;
  }

  get #alarmId(): string { return alarmIdOf(this.#key); }
}
