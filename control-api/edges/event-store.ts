import { create } from '@bufbuild/protobuf';
import type { Kysely, Transaction } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import { dialectOf } from '../../platform/database/dialect.ts';
import { isRefusedValue } from '../../platform/database/failures.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { Logger } from '../../platform/logging.ts';
import { EventSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { Alarm, DetectionResult, Event, Gap, Hello, RuleFinding, Session } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { Outbox } from '../events/service.ts';
import type { NewEvent } from '../events/service.ts';
import { insertDetections } from './detection-rows.ts';
import { codeEvent } from './code-event.ts';
import { heightEvent } from './height-event.ts';
import { rateEvent } from './rate-event.ts';
import { endOpenRules, noteRule } from './open-rules.ts';
import { ruleEvent } from './rule-event.ts';
import { expireSegment, upsertSegments } from './segment-rows.ts';
import { addSightings } from './sighting-rows.ts';

/** What the database knows of an edge's journal. */
export interface JournalPosition {
  readonly lastSeq: number;
}

/**
 * Writes an edge's events, and how far it has come with its journal, in one transaction (D-10): whatever dies in between, each event is
 * written exactly once.
 */
export class EventStore {
  readonly #db: Kysely<Database>;
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onDetections: (results: readonly DetectionResult[]) => void;
  readonly #onRules: (findings: readonly RuleFinding[]) => void;

  /** `onDetections` and `onRules` hear of what was committed. */
  constructor(options: {
    readonly db: Kysely<Database>; readonly clock: Clock; readonly logger: Logger;
    readonly onDetections?: (results: readonly DetectionResult[]) => void; readonly onRules?: (findings: readonly RuleFinding[]) => void;
  }) {
    this.#db = options.db;
    this.#outbox = new Outbox(options.db);
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onDetections = options.onDetections ?? (() => undefined);
    this.#onRules = options.onRules ?? (() => undefined);
  }

  /** Undefined: this database knows nothing of the journal. Notes that the edge is there. */
  async greet(hello: Hello): Promise<JournalPosition | undefined> {
    const seen = { edge_id: hello.edgeId, media_base_url: hello.mediaBaseUrl, seen_at: this.#clock.now() };
    await this.#db.updateTable('edges').set(seen).where('journal_id', '=', hello.journalId).execute();
    const row = await this.#db.selectFrom('edges').select('last_seq').where('journal_id', '=', hello.journalId).executeTakeFirst();
    return row === undefined ? undefined : { lastSeq: row.last_seq };
  }

  /**
   * Writes those events that are not yet in the database; resolves with the last one's number once all are committed.
   * Throws FAILED_PRECONDITION for a journal that `greet` did not know and whose inventory has not come.
   */
  async store(journalId: string, events: readonly Event[]): Promise<number> {
    try {
      return await this.#storeTogether(journalId, events);
    } catch (error) {
      if (!isRefusedValue(error)) throw error;
      // One event the tables cannot hold must not keep all that follow out for ever.
      let lastSeq = 0;
      for (const event of events) lastSeq = await this.#storeAlone(journalId, event);
      return lastSeq;
    }
  }

  async #storeAlone(journalId: string, event: Event): Promise<number> {
    try {
      return await this.#storeTogether(journalId, [event]);
    } catch (error) {
      if (!isRefusedValue(error)) throw error;
      this.#logger.error({ journal: journalId, seq: Number(event.seq), type: event.event.case, error: messageOf(error) }, 'an event of an edge does not fit the database and was left out');
      const alarm = create(EventSchema, { seq: event.seq, event: { case: 'alarm', value: {
        id: `refused-${journalId}-${event.seq}`, code: 'event_refused', message: `An event (${String(event.event.case)}) does not fit the database: ${messageOf(error)}`, raised: true, at: this.#clock.now(),
      } } });
      return await this.#storeTogether(journalId, [alarm]);
    }
  }

  async #storeTogether(journalId: string, events: readonly Event[]): Promise<number> {
    let written: readonly Event[] = [];
    const lastSeq = await this.#db.transaction().execute(async (tx) => {
      // An edge that came to another control process may have its last batch still under way in this one.
      const edge = await tx.selectFrom('edges').select('last_seq').where('journal_id', '=', journalId).$if(dialectOf(tx).shared, (query) => query.forUpdate()).executeTakeFirst();
      if (!edge) throw new MediaError('FAILED_PRECONDITION', 'the inventory comes before the first events');
      const fresh = events.filter((event) => Number(event.seq) > edge.last_seq);
      const lastSeq = Number(fresh.at(-1)?.seq ?? edge.last_seq);
      if (fresh.length === 0) return lastSeq;
      const told = await this.#write(tx, journalId, fresh);
      await tx.updateTable('edges').set({ last_seq: lastSeq, seen_at: this.#clock.now() }).where('journal_id', '=', journalId).execute();
      await this.#outbox.append(tx, told);
      written = fresh;
      return lastSeq;
    });
    for (const { event } of written) {
      if (event.case === 'detections') this.#onDetections(event.value.results);
      else if (event.case === 'ruleFinding') this.#onRules([event.value]);
    }
    return lastSeq;
  }

  /** What of it is to be told to others. */
  async #write(tx: Transaction<Database>, journalId: string, events: readonly Event[]): Promise<readonly NewEvent[]> {
    const results: DetectionResult[] = [];
    const told: NewEvent[] = [];
    for (const { seq, event } of events) {
      switch (event.case) {
        case 'session':
          await writeSession(tx, event.value);
          break;
        case 'segment':
          await upsertSegments(tx, [event.value]);
          break;
        case 'segmentExpired':
          await expireSegment(tx, event.value.id, this.#clock.now());
          break;
        case 'detections':
          results.push(...event.value.results);
          break;
        case 'alarm':
          await writeAlarm(tx, event.value);
          break;
        case 'edgeStarted':
          await endWhatItsPredecessorLeft(tx, event.value.at);
          told.push(...await endOpenRules(tx, event.value.at));
          break;
        case 'rateChanged':
          told.push(rateEvent(event.value));
          break;
        case 'heightChanged':
          told.push(heightEvent(event.value));
          break;
        case 'ruleFinding':
          await noteRule(tx, event.value);
          told.push(ruleEvent(event.value));
          break;
        case 'codeSeen':
          told.push(...codeEvent(event.value));
          break;
        case 'gap':
          await writeAlarm(tx, gapAlarm(journalId, Number(seq), event.value, this.#clock.now()));
          break;
        case undefined:
          // A newer edge tells something this database has no place for.
          break;
      }
    }
    await insertDetections(tx, results);
    await addSightings(tx, results);
    return told;
  }
}

const writeSession = async (tx: Transaction<Database>, session: Session): Promise<void> => {
  const row = {
    id: session.id,
    camera_id: session.camera,
    phase: session.phase as 'connecting' | 'live' | 'interrupted' | 'ended',
    protocol: session.protocol,
    started_at: session.startedAt,
    ended_at: session.endedAt ?? null,
    reason: session.reason ?? null,
    epoch: session.epoch ?? null,
  };
  const { id: _id, ...changes } = row;
  await tx.insertInto('sessions').values(row).onConflict((conflict) => conflict.column('id').doUpdateSet(changes)).execute();
};

const writeAlarm = async (tx: Transaction<Database>, alarm: Pick<Alarm, 'id' | 'code' | 'message' | 'raised' | 'at' | 'camera'>): Promise<void> => {
  const { id, code, message, at } = alarm;
  const changes = { camera_id: alarm.camera ?? null, code, message, raised: alarm.raised ? 1 : 0, at: Math.round(at) } as const;
  await tx.insertInto('alarms').values({ id, ...changes }).onConflict((conflict) => conflict.column('id').doUpdateSet(changes)).execute();
};

/** Alarms that tell of something that happened, and those of the archive and of webhooks, which are not the edge's; the others tell of a state, which a new process finds out anew. */
const LASTING_ALARMS = ['recording_damaged', 'recording_missing', 'recording_unproven', 'journal_full', 'journal_damaged', 'event_refused', 'archive_unavailable', 'archive_damaged', 'webhook_unavailable'];

/** An edge that was killed ended neither its sessions nor its alarms. */
const endWhatItsPredecessorLeft = async (tx: Transaction<Database>, at: number): Promise<void> => {
  await tx.updateTable('sessions').set({ phase: 'ended', ended_at: at, reason: 'the edge was restarted' }).where('phase', '!=', 'ended').where('started_at', '<=', at).execute();
  await tx.updateTable('alarms').set({ raised: 0, at: Math.round(at) }).where('raised', '=', 1).where('code', 'not in', LASTING_ALARMS).where('at', '<=', Math.ceil(at)).execute();
};

const gapAlarm = (journalId: string, seq: number, gap: Gap, at: number): Pick<Alarm, 'id' | 'code' | 'message' | 'raised' | 'at' | 'camera'> => ({
  id: `gap-${journalId}-${seq}`,
  code: 'journal_full',
  message: `The edge's journal was full: ${gap.results} ${gap.type} were given up.`,
  raised: true,
  at,
});
