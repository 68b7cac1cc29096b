/**
 * The control side alone: `<database> <socket>`. Acknowledgements leave late, so that a kill often hits between commit and acknowledgement; where
 * chance is not enough, signals see to it:
 *
 * SIGUSR2: the next batch is committed, and instead of acknowledging it this process says `{type: 'committed', lastSeq}` and kills itself.
 * SIGHUP: the next batch is held as if the database were slow (`{type: 'held'}`) until an edge has attached anew and been told the position before it.
 *
 * Events that come a second time are told: `{type: 'redelivered', count}`.
 */
import { EdgeService } from '../../../control-api/edges/media-control-service.ts';
import { WorkerDirectory } from '../../../control-api/edges/worker-directory.ts';
import { systemClock } from '../../../core/clock.ts';
import { openDatabase } from '../../../platform/database/open.ts';
import { GrpcServer } from '../../../platform/grpc/server.ts';
import { silentLogger } from '../../../platform/logging.ts';
import { exitWithParent } from '../../../platform/parent-process.ts';
import type { AttachRequest, AttachResponse } from '../../../proto/gen/imageflow/v1/media_control_pb.ts';
import { SettableDesiredState } from './desired.ts';

interface Call {
  write(message: AttachResponse): boolean;
  iterator(options: unknown): AsyncIterable<AttachRequest>;
}

const ACKNOWLEDGE_AFTER_MS = 15;
const [database = '', socket = ''] = process.argv.slice(2);
const parent = exitWithParent();
const db = await openDatabase(database);
const service = new EdgeService({ db, desired: new SettableDesiredState(), workers: new WorkerDirectory({ fixed: [], logger: silentLogger() }), clock: systemClock, logger: silentLogger() });
const { attach, ...others } = service.registration.handlers;

let dieAtCommit = false;
let holdNext = false;
/** Resolved when an edge has been welcomed anew while a batch is held. */
let held: PromiseWithResolvers<void> | null = null;
/** The highest number given to the service. */
let delivered = 0;

process.on('SIGUSR2', () => { dieAtCommit = true; });
process.on('SIGHUP', () => { holdNext = true; });

async function* requests(from: AsyncIterable<AttachRequest>): AsyncGenerator<AttachRequest> {
  for await (const request of from) {
    if (request.message.case === 'batch') {
      if (holdNext) {
        holdNext = false;
        held = Promise.withResolvers();
        parent?.send({ type: 'held' });
        await held.promise;
      }
      const seqs = request.message.value.events.map(({ seq }) => Number(seq));
      const again = seqs.filter((seq) => seq <= delivered);
      if (again.length > 0) parent?.send({ type: 'redelivered', count: again.length });
      delivered = Math.max(delivered, ...seqs);
    }
    yield request;
  }
}

const attachWatched = (call: Call): void => {
  const [write, iterator] = [call.write.bind(call), call.iterator.bind(call)];
  call.iterator = (options) => requests(iterator(options));
  call.write = (message) => {
    if (message.message.case !== 'acknowledgement') {
      const answer = write(message);
      if (message.message.case === 'welcome') { held?.resolve(); held = null; }
      return answer;
    }
    if (dieAtCommit) {
      parent?.send({ type: 'committed', lastSeq: Number(message.message.value.lastSeq) });
      setImmediate(() => { process.kill(process.pid, 'SIGKILL'); }); // when that has left
    } else {
      setTimeout(() => write(message), ACKNOWLEDGE_AFTER_MS);
    }
    return true;
  };
  (attach as (call: unknown) => void)(call);
};
await GrpcServer.start({ listen: socket, services: [{ service: service.registration.service, handlers: { ...others, attach: attachWatched } }] });
parent?.send({ type: 'ready' });
