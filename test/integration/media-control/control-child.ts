/** The control side alone: `<database> <socket>`. Acknowledgements leave late, so that a kill often hits between commit and acknowledgement. */
import { EdgeService } from '../../../control-api/edges/media-control-service.ts';
import { systemClock } from '../../../core/clock.ts';
import { openDatabase } from '../../../platform/database/open.ts';
import { GrpcServer } from '../../../platform/grpc/server.ts';
import { silentLogger } from '../../../platform/logging.ts';
import { exitWithParent } from '../../../platform/parent-process.ts';
import type { AttachResponse } from '../../../proto/gen/imageflow/v1/media_control_pb.ts';
import { SettableDesiredState } from './desired.ts';

const [database = '', socket = ''] = process.argv.slice(2);
const parent = exitWithParent();
const db = await openDatabase(database);
const service = new EdgeService({ db, desired: new SettableDesiredState(), workerAddresses: [], clock: systemClock, logger: silentLogger() });
const { attach, ...others } = service.registration.handlers;
const late = (call: { write: (message: AttachResponse) => boolean }): void => {
  const write = call.write.bind(call);
  call.write = (message) => {
    if (message.message.case !== 'acknowledgement') return write(message);
    setTimeout(() => write(message), 15);
    return true;
  };
  (attach as (call: unknown) => void)(call);
};
await GrpcServer.start({ listen: socket, services: [{ service: service.registration.service, handlers: { ...others, attach: late } }] });
parent?.send({ type: 'ready' });
