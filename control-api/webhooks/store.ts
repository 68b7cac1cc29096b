import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Topic } from '../../core/topics.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';

/** How far each webhook has been told, and which control process tells it. Keys name webhooks. */
export class WebhookStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  /** Makes this process the one that tells the webhook, for so long; false while another one does. A claim that ends after `latest` was made by a clock that went wrong. */
  async claim(webhook: string, owner: string, now: Milliseconds, until: Milliseconds, latest: Milliseconds): Promise<boolean> {
    await this.#db.insertInto('webhooks').values({ webhook, owner, owned_until: 0 }).onConflict((conflict) => conflict.column('webhook').doNothing()).execute();
    const { numUpdatedRows } = await this.#db.updateTable('webhooks').set({ owner, owned_until: until }).where('webhook', '=', webhook).where((e) => e.or([e('owner', '=', owner), e('owned_until', '<', now), e('owned_until', '>', latest)])).executeTakeFirst();
    return numUpdatedRows > 0n;
  }

  /** Another process need not wait until the claim is over. */
  async release(webhook: string, owner: string): Promise<void> {
    await this.#db.updateTable('webhooks').set({ owned_until: 0 }).where('webhook', '=', webhook).where('owner', '=', owner).execute();
  }

  /** The last event of a topic that was told or passed over; a webhook that is new begins with `newest`. */
  async position(webhook: string, topic: Topic, newest: number): Promise<number> {
    await this.#db.insertInto('webhook_positions').values({ webhook, topic, last_id: newest }).onConflict((conflict) => conflict.columns(['webhook', 'topic']).doNothing()).execute();
    const { last_id: last } = await this.#db.selectFrom('webhook_positions').select('last_id').where('webhook', '=', webhook).where('topic', '=', topic).executeTakeFirstOrThrow();
    return last;
  }

  async setPosition(webhook: string, topic: Topic, last: number): Promise<void> {
    await this.#db.updateTable('webhook_positions').set({ last_id: sql<number>`case when last_id < ${last} then ${last} else last_id end` }).where('webhook', '=', webhook).where('topic', '=', topic).execute();
  }

  /** Forgets all but these, one that is named again later is new; those forgotten. */
  async keepOnly(webhooks: readonly string[]): Promise<readonly string[]> {
    const gone = (await this.#db.selectFrom('webhooks').select('webhook').execute()).map(({ webhook }) => webhook).filter((webhook) => !webhooks.includes(webhook));
    for (const webhook of gone) {
      await this.#db.deleteFrom('webhook_positions').where('webhook', '=', webhook).execute();
      await this.#db.deleteFrom('webhooks').where('webhook', '=', webhook).execute();
    }
    return gone;
  }
}
