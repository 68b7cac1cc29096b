import { create, fromBinary } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../core/clock.ts';
import { MediaError, messageOf } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import { fromGrpc } from '../platform/grpc/errors.ts';
import type { Logger } from '../platform/logging.ts';
import { AttachRequestSchema, EventSchema } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import type { AttachRequest, AttachResponse, Event, Segment, Welcome } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import type { SegmentRecord } from '../recorder/port.ts';
import type { DesiredStateStore } from './desired-state-store.ts';
import type { FileEventJournal } from './journal/event-journal.ts';
import type { Frame } from './journal/frame.ts';
import type { JournalReader } from './journal/journal-reader.ts';
import { toWireSegment } from './wire-events.ts';

export interface AttachmentOptions {
  readonly edgeId: string;
  /** Where control's front door finds this edge's media HTTP, e.g. `http://127.0.0.1:8081`. */
  readonly mediaBaseUrl: () => string;
  readonly journal: FileEventJournal;
  readonly store: DesiredStateStore;
  /** Every segment that is on disk and not expired. Asked for when control has lost its database. */
  readonly inventory: () => Iterable<SegmentRecord>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const WELCOME_WITHIN_MS: Milliseconds = 5000;
const ACKNOWLEDGED_WITHIN_MS: Milliseconds = 30_000;
const BATCH_EVENTS = 500;
const BATCH_BYTES = 1024 * 1024;
const INVENTORY_PIECE = 500;

/**
 * One conversation with control, from hello until the stream ends. Events go in batches, one at a time: the next when control has
 * acknowledged the one before, so that at most a batch is repeated, and control sets the pace.
 */
export class Attachment {
  readonly #options: AttachmentOptions;
  readonly #call: ClientDuplexStream<AttachRequest, AttachResponse>;
  readonly #onWelcome: () => void;
  readonly #over = Promise.withResolvers<undefined>();
  #reader: JournalReader | undefined;
  #inFlight = false;
  #deadline: Disposable | undefined;

  /** `onWelcome` is called when control has answered. */
  constructor(call: ClientDuplexStream<AttachRequest, AttachResponse>, options: AttachmentOptions, onWelcome: () => void) {
    this.#call = call;
    this.#options = options;
    this.#onWelcome = onWelcome;
  }

  /** Resolves when control ends the stream, rejects with `MediaError` when it fails. */
  async run(): Promise<void> {
    const { journal } = this.#options;
    this.#call.on('data', (message: AttachResponse) => { this.#receive(message); });
    this.#call.on('error', (error) => { this.#over.reject(fromGrpc(error)); });
    this.#call.on('end', () => { this.#over.resolve(undefined); });
    using _writing = journal.onWritten(() => { this.#pump(); });
    try {
      this.#expect(WELCOME_WITHIN_MS, 'no welcome');
      this.#write({
        case: 'hello',
        value: {
          edgeId: this.#options.edgeId,
          journalId: journal.journalId,
          mediaBaseUrl: this.#options.mediaBaseUrl(),
          desiredVersion: this.#options.store.version,
          deletedThrough: BigInt(journal.deletedThrough),
          newestSeq: BigInt(journal.newestSeq),
        },
      });
      await this.#over.promise;
    } finally {
      this.#deadline?.[Symbol.dispose]();
      this.#reader = undefined;
      this.#call.cancel();
    }
  }

  #receive({ message }: AttachResponse): void {
    switch (message.case) {
      case 'welcome':
        this.#welcome(message.value);
        break;
      case 'state':
        this.#options.store.apply(message.value);
        this.#write({ case: 'taken', value: { version: message.value.version } });
        break;
      case 'acknowledgement':
        this.#deadline?.[Symbol.dispose]();
        this.#inFlight = false;
        this.#options.journal.acknowledge(Number(message.value.lastSeq));
        this.#pump();
        break;
      case undefined:
        // A newer control process says something this one does not know.
        break;
    }
  }

  #welcome({ lastSeq, inventoryWanted }: Welcome): void {
    const { journal, logger } = this.#options;
    this.#deadline?.[Symbol.dispose]();
    const last = Number(lastSeq);
    if (last > journal.newestSeq) {
      journal.startAnew();
      this.#over.reject(new MediaError('FAILED_PRECONDITION', 'the journal is older than the database'));
      return;
    }
    this.#onWelcome();
    journal.restartFrom(last);
    const begin = (): void => {
      this.#reader = journal.reader(last);
      this.#pump();
    };
    if (!inventoryWanted) { begin(); return; }
    logger.info('control does not know the recordings of this edge: sending all');
    this.#sendInventory().then(begin, (error: unknown) => { this.#over.reject(error); });
  }

  /** Sends the next batch if none is on its way. */
  #pump(): void {
    while (this.#reader && !this.#inFlight) {
      const frames = this.#reader.next(BATCH_EVENTS, BATCH_BYTES);
      if (frames.length === 0) return;
      const events = frames.map((frame) => this.#decode(frame)).filter((event) => event !== undefined);
      if (events.length === 0) continue;
      this.#inFlight = true;
      this.#expect(ACKNOWLEDGED_WITHIN_MS, 'no acknowledgement');
      this.#write({ case: 'batch', value: { events } });
    }
  }

  #decode({ seq, payload }: Frame): Event | undefined {
    try {
      const event = fromBinary(EventSchema, payload);
      event.seq = BigInt(seq);
      return event;
    } catch (error) {
      this.#options.logger.error({ seq, error: messageOf(error) }, 'journal: an event of another version was passed over');
      return undefined;
    }
  }

  async #sendInventory(): Promise<void> {
    const { store } = this.#options;
    let segments: Segment[] = [];
    for (const segment of this.#options.inventory()) {
      segments.push(toWireSegment(segment));
      if (segments.length < INVENTORY_PIECE) continue;
      await this.#writeAll({ case: 'inventory', value: { segments } });
      segments = [];
    }
    const { cameras = [], keys = [] } = store.state ?? {};
    await this.#writeAll({ case: 'inventory', value: { segments, cameras, keys, complete: true } });
  }

  /** Resolves when the message has left; rejects when the stream ends first. */
  async #writeAll(message: NonNullable<MessageInitShape<typeof AttachRequestSchema>['message']>): Promise<void> {
    const written = new Promise<void>((resolve) => { this.#call.write(create(AttachRequestSchema, { message }), () => { resolve(); }); });
    const over = this.#over.promise.then(() => { throw new MediaError('UNAVAILABLE', 'control ended the stream'); });
    await Promise.race([written, over]);
  }

  #write(message: NonNullable<MessageInitShape<typeof AttachRequestSchema>['message']>): void {
    this.#call.write(create(AttachRequestSchema, { message }));
  }

  #expect(withinMs: Milliseconds, what: string): void {
    this.#deadline?.[Symbol.dispose]();
    this.#deadline = this.#options.clock.after(withinMs, () => { this.#over.reject(new MediaError('DEADLINE_EXCEEDED', `${what} within ${withinMs} ms`)); });
  }
}
