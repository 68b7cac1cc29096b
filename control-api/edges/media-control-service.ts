import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { MediaError, isUnavailable, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import { toGrpcStatus } from '../../platform/grpc/errors.ts';
import { serve } from '../../platform/grpc/service.ts';
import type { ServiceRegistration } from '../../platform/grpc/service.ts';
import type { Logger } from '../../platform/logging.ts';
import { AttachResponseSchema, EdgeLinkService, ResolveCameraResponseSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { AttachRequest, AttachResponse, DesiredState as WireState, DetectionResult, Hello, RuleFinding } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { DesiredStateSource } from '../desired-state/service.ts';
import { EventStore } from './event-store.ts';
import { InventoryIntake } from './inventory.ts';
import { toWireCamera, toWireState } from './wire-state.ts';
import type { WorkerDirectory } from './worker-directory.ts';

export interface EdgeServiceOptions {
  readonly db: Kysely<Database>;
  readonly desired: DesiredStateSource;
  /** Told to every edge, for its extractors. */
  readonly workers: Pick<WorkerDirectory, 'addresses' | 'onChange'>;
  /** Hears of detections once they are in the database. */
  readonly onDetections?: (results: readonly DetectionResult[]) => void;
  /** Hears of what rules said once it is in the database. */
  readonly onRules?: (findings: readonly RuleFinding[]) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

const TAKEN_WITHIN_MS: Milliseconds = 1000;

type AttachCall = ServerDuplexStream<AttachRequest, AttachResponse>;

/** The server side of MediaControl (D-9): edges attach, get the desired state at once and at each change, and deliver their events. */
export class EdgeService implements Disposable {
  /** Give it to `GrpcServer.start`. */
  readonly registration: ServiceRegistration;
  readonly #options: EdgeServiceOptions;
  readonly #events: EventStore;
  readonly #attached = new Map<string, AttachedEdge>();
  readonly #subscriptions: readonly Disposable[];

  constructor(options: EdgeServiceOptions) {
    this.#options = options;
    this.#events = new EventStore(options);
    const sendAll = (): Promise<unknown> => Promise.all([...this.#attached.values()].map((edge) => edge.sendState()));
    this.#subscriptions = [options.desired.onChange(sendAll), options.workers.onChange(() => { void sendAll(); })];
    this.registration = serve(EdgeLinkService, {
      attach: (call) => { void this.#attach(call); },
      resolveCamera: async ({ camera, credential }) => {
        const found = await options.desired.resolveCamera(credential ?? null, camera);
        return create(ResolveCameraResponseSchema, found ? { camera: toWireCamera(found) } : {});
      },
    });
  }

  /** How many edges are attached now. */
  get attachedEdges(): number { return this.#attached.size; }

  /** Ends every stream, so that the server can stop; edges attach again. */
  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
    for (const edge of this.#attached.values()) edge.end();
    this.#attached.clear();
  }

  async #attach(call: AttachCall): Promise<void> {
    const edge = new AttachedEdge(call, this.#options, this.#events, (hello) => {
      // The same edge again: its old connection is dead and does not know it yet.
      this.#attached.get(hello.journalId)?.end();
      this.#attached.set(hello.journalId, edge);
    });
    try {
      await edge.run();
      edge.end();
    } catch (error) {
      // A stream that breaks off is an edge that stopped; everything else is worth a line.
      // A database that does not answer tells that itself, once; the edge comes again every two seconds.
      if (!call.cancelled && !isUnavailable(error)) this.#options.logger.error({ edge: edge.id, error: messageOf(error) }, 'an edge was refused or its events could not be written');
      edge.fail(error);
    } finally {
      if (edge.journalId !== undefined && this.#attached.get(edge.journalId) === edge) this.#attached.delete(edge.journalId);
    }
  }
}

/** One edge's stream. Its messages are taken one after another; what is not yet taken waits in gRPC's flow control. */
class AttachedEdge {
  readonly #call: AttachCall;
  readonly #options: EdgeServiceOptions;
  readonly #events: EventStore;
  readonly #onHello: (hello: Hello) => void;
  #hello: Hello | undefined;
  #intake: InventoryIntake | undefined;
  #sentVersion: string | undefined;
  /** Wait for it to act on the newest. */
  readonly #waiting = new Set<() => void>();
  #ended = false;

  constructor(call: AttachCall, options: EdgeServiceOptions, events: EventStore, onHello: (hello: Hello) => void) {
    this.#call = call;
    this.#options = options;
    this.#events = events;
    this.#onHello = onHello;
  }

  get id(): string | undefined { return this.#hello?.edgeId; }
  get journalId(): string | undefined { return this.#hello?.journalId; }

  /** Until the edge ends the stream. Throws what could not be done, and when the stream breaks off. */
  async run(): Promise<void> {
    // Not destroyed when a message is refused: the reason must still go out.
    for await (const request of this.#call.iterator({ destroyOnReturn: false }) as AsyncIterable<AttachRequest>) {
      const { message } = request;
      switch (message.case) {
        case 'hello':
          await this.#greet(message.value);
          break;
        case 'batch': {
          const { journalId } = this.#known();
          const lastSeq = await this.#events.store(journalId, message.value.events);
          this.#write({ case: 'acknowledgement', value: { lastSeq: BigInt(lastSeq) } });
          break;
        }
        case 'taken':
          if (message.value.version === this.#sentVersion) this.#release();
          break;
        case 'inventory':
          this.#known();
          if (await this.#intake?.take(message.value)) await this.#finishInventory();
          break;
        case undefined:
          break;
      }
    }
  }

  /**
   * Sends the desired state if the edge has another. Not before its inventory has come: it may hold the only copy of the cameras.
   * Resolves when the edge acts on it, or after a second: one that hangs, or is of an earlier version and does not say so, holds nobody up for longer.
   */
  sendState(): Promise<void> {
    if (!this.#hello || this.#intake) return Promise.resolve();
    const state: WireState = toWireState(this.#options.desired.current(), this.#options.workers.addresses());
    if (state.version === this.#sentVersion) return Promise.resolve();
    this.#sentVersion = state.version;
    this.#write({ case: 'state', value: state });
    return this.#newestTaken();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#release();
    this.#call.end();
  }

  fail(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#release();
    this.#call.emit('error', toGrpcStatus(error));
  }

  async #greet(hello: Hello): Promise<void> {
    if (this.#hello) throw new MediaError('INVALID_ARGUMENT', 'hello comes once');
    if (hello.journalId === '' || hello.edgeId === '') throw new MediaError('INVALID_ARGUMENT', 'hello names the edge and its journal');
    const position = await this.#events.greet(hello);
    // Events the journal has deleted since, and this database lacks: only the inventory can make up for them.
    const inventoryWanted = position === undefined || BigInt(position.lastSeq) < hello.deletedThrough;
    if (inventoryWanted) this.#intake = new InventoryIntake({ db: this.#options.db, clock: this.#options.clock, hello });
    this.#hello = hello;
    this.#sentVersion = hello.desiredVersion;
    this.#onHello(hello);
    this.#options.logger.info({ edge: hello.edgeId, journal: hello.journalId, inventoryWanted }, 'edge attached');
    this.#write({ case: 'welcome', value: { lastSeq: BigInt(position?.lastSeq ?? 0), inventoryWanted } });
    void this.sendState();
  }

  async #finishInventory(): Promise<void> {
    this.#intake = undefined;
    await this.#options.desired.refresh();
    void this.sendState();
  }

  async #newestTaken(): Promise<void> {
    if (this.#ended) return;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const done = (): void => { resolve(undefined); };
    this.#waiting.add(done);
    using _deadline = this.#options.clock.after(TAKEN_WITHIN_MS, done);
    await promise;
    this.#waiting.delete(done);
  }

  #release(): void {
    for (const done of this.#waiting) done();
  }

  #known(): Hello {
    if (!this.#hello) throw new MediaError('INVALID_ARGUMENT', 'hello comes first');
    return this.#hello;
  }

  #write(message: NonNullable<MessageInitShape<typeof AttachResponseSchema>['message']>): void {
    if (!this.#ended) this.#call.write(create(AttachResponseSchema, { message }));
  }
}
