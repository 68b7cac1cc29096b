import type { Kysely, Transaction } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { TOPIC_NAMES } from '../../core/topics.ts';
import type { Topic } from '../../core/topics.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import { EventFeed } from './feed.ts';
import { Mentions } from './mentions.ts';
import type { Mention } from './mentions.ts';
import { Outbox } from './outbox.ts';
import type { EventBatch, NewEvent } from './outbox.ts';

export { EventCursor } from './cursor.ts';
export { Outbox } from './outbox.ts';
export type { EventBatch, NewEvent } from './outbox.ts';
export type { DetectionRateEvent, ShownHeightEvent } from './system-metrics-event.ts';
export { TOPICS } from './topics.ts';
export { VideoAnalysisEvent, videoOf } from './video-analysis-event.ts';
export type { AnalysisEvent, CodeEvent, PlaybackEvent, ProductInfo, RuleEvent, SearchEvent } from './video-analysis-event.ts';
export { VideoStreamArchiveEvent } from './video-stream-archive-event.ts';

/** How many of a topic stay, whatever their age. */
const MAX_KEPT = 1_000_000;

export interface EventServiceOptions {
  readonly db: Kysely<Database>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'eventsDropped'>;
  /** `events.retention_hours`. */
  readonly retentionHours: number;
}

/** What happened, for others: written once with the change itself, read in order from any point on for as long as it is kept (OPS-1, SD-56). */
export class EventService implements AsyncDisposable {
  readonly #outbox: Outbox;
  readonly #feed: EventFeed;
  readonly #mentions: Mentions;
  readonly #keepMs: Milliseconds;

  constructor({ db, clock, logger, metrics, retentionHours }: EventServiceOptions) {
    this.#outbox = new Outbox(db);
    this.#feed = new EventFeed({ outbox: this.#outbox, clock, logger });
    this.#mentions = new Mentions({ db, outbox: this.#outbox, clock, logger, metrics, written: () => { this.#feed.look(); } });
    this.#keepMs = retentionHours * 3_600_000;
  }

  /** Writes events as the last step of the transaction that changes what they tell of; then `committed()`. */
  append(tx: Transaction<Database>, ...events: readonly NewEvent[]): Promise<void> {
    return this.#outbox.append(tx, events);
  }

  /** Who listens in this process hears of it at once instead of within half a second. */
  committed(): void {
    this.#feed.look();
  }

  /** Tells of something that changes nothing, once in ten minutes. Never throws, never waits. */
  mention(mention: Mention): void {
    this.#mentions.add(mention);
  }

  /** Those of a topic behind the id `after`, at most `limit`. */
  read(topic: Topic, after: number, limit: number): Promise<EventBatch> {
    return this.#outbox.read(topic, after, limit);
  }

  /** The id of the newest event of a topic there has been; 0: none yet. */
  newest(topic: Topic): Promise<number> {
    return this.#outbox.newest(topic);
  }

  /** The id that a cursor means. Throws INVALID_ARGUMENT for one of a later event than there are: of another server, or of this one before its database was set back. */
  async positionOf(topic: Topic, cursor: string): Promise<number> {
    const position = Number(cursor);
    if (position > 0 && position > (await this.#outbox.newest(topic))) throw new MediaError('INVALID_ARGUMENT', 'There is no event of this cursor; begin again without one.', { reason: 'CURSOR_UNKNOWN' });
    return position;
  }

  /** `onNews` is called after there may be new events. */
  listen(topic: Topic, onNews: () => void): Disposable {
    return this.#feed.listen(topic, onNews);
  }

  /** Forgets at most `limit` of each topic that are too old or too many; how many of the topic of which most went. */
  async deletePast(now: Milliseconds, limit: number): Promise<number> {
    const deleted = [];
    for (const topic of TOPIC_NAMES) deleted.push(await this.#outbox.deleteOldest(topic, now - this.#keepMs, MAX_KEPT, limit));
    return Math.max(...deleted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#mentions[Symbol.asyncDispose]();
    this.#feed[Symbol.dispose]();
  }
}
