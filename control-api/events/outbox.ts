import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import type { Topic } from '../../core/topics.ts';
import type { Milliseconds } from '../../core/units.ts';
import { holdAlone } from '../../platform/database/dialect.ts';
import type { Database } from '../../platform/database/schema.ts';
import { timestamp } from '../schemas.ts';

/** An event without what the outbox adds. */
export interface NewEvent {
  readonly topic: Topic;
  /** Null: of no single camera. */
  readonly camera: string | null;
  readonly at: Milliseconds;
  /** By the topic's schema, without `event_id` and `timestamp`. */
  readonly body: Readonly<Record<string, unknown>>;
}

export interface StoredEvent {
  /** Where it stands in its topic: what is told later has a higher one. */
  readonly id: number;
  readonly camera: string | null;
  /** JSON. */
  readonly body: string;
}

export interface EventBatch {
  /** In order. */
  readonly events: readonly StoredEvent[];
  /** Up to this id events have been deleted: who had read no further may have missed some. */
  readonly deletedThrough: number;
}

/** The outbox: an event is there exactly if the change it tells of is (OPS-1). */
export class Outbox {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  /**
   * Writes events in a transaction of the caller's, as its last step: until it ends, nobody else writes any. So ids become visible in their
   * order, and who reads on from the last one it saw misses none.
   */
  async append(tx: Transaction<Database>, events: readonly NewEvent[]): Promise<void> {
    if (events.length === 0) return;
    await holdAlone(tx, 'events');
    await tx.insertInto('events').values(events.map(({ topic, camera, at, body }) => ({ topic, camera_id: camera, at_ms: at, body: JSON.stringify({ ...body, event_id: randomUUID(), timestamp: timestamp(at) }) }))).execute();
  }

  /** Those of a topic behind `after`, at most `limit`. */
  async read(topic: Topic, after: number, limit: number): Promise<EventBatch> {
    const rows = await this.#db.selectFrom('events').select(['id', 'camera_id', 'body']).where('topic', '=', topic).where('id', '>', after).orderBy('id').limit(limit).execute();
    // Asked afterwards: what is deleted in between is told as missed rather than not told.
    const deletedThrough = await this.#deletedThrough(topic);
    return { events: rows.map(({ id, camera_id: camera, body }) => ({ id, camera, body })), deletedThrough };
  }

  /** The id of the newest event of a topic there has been; 0: none yet. */
  async newest(topic: Topic): Promise<number> {
    const row = await this.#db.selectFrom('events').select('id').where('topic', '=', topic).orderBy('id', 'desc').limit(1).executeTakeFirst();
    return row?.id ?? (await this.#deletedThrough(topic));
  }

  /** Deletes at most `limit` of the oldest events of a topic: those from before `cutoff`, and those behind the newest `keep`. How many. */
  deleteOldest(topic: Topic, cutoff: Milliseconds, keep: number, limit: number): Promise<number> {
    return this.#db.transaction().execute(async (tx) => {
      await holdAlone(tx, 'events'); // of two sweeps the second begins where the first ended
      const ofTopic = tx.selectFrom('events').where('topic', '=', topic);
      const [oldest, excess] = [
        await ofTopic.select(['id', 'at_ms']).orderBy('id').limit(limit).execute(),
        await ofTopic.select('id').orderBy('id', 'desc').offset(keep).limit(1).executeTakeFirst(),
      ];
      // In order of their ids: a clock that was set back leaves no hole.
      const kept = oldest.findIndex(({ id, at_ms: at }) => at >= cutoff && id > (excess?.id ?? 0));
      const gone = kept < 0 ? oldest : oldest.slice(0, kept);
      const last = gone.at(-1);
      if (last === undefined) return 0;
      await tx.deleteFrom('events').where('topic', '=', topic).where('id', '<=', last.id).execute();
      await tx.insertInto('event_topics').values({ topic, deleted_through: last.id }).onConflict((conflict) => conflict.column('topic').doUpdateSet({ deleted_through: last.id })).execute();
      return gone.length;
    });
  }

  async #deletedThrough(topic: Topic): Promise<number> {
    return (await this.#db.selectFrom('event_topics').select('deleted_through').where('topic', '=', topic).executeTakeFirst())?.deleted_through ?? 0;
  }
}
