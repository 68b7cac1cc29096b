/** The edge side alone: `<folder> <socket> <name of this run> <write|drain>`. Reports each event once it is in the journal. */
import { join } from 'node:path';
import { sleep, systemClock } from '../../../core/clock.ts';
import { ControlLink } from '../../../media-control/control-link.ts';
import { DesiredStateStore } from '../../../media-control/desired-state-store.ts';
import { FileEventJournal } from '../../../media-control/journal/event-journal.ts';
import { resultOf, sessionEvent } from '../../../media-control/testing-events.ts';
import { GrpcClient } from '../../../platform/grpc/client.ts';
import { silentLogger } from '../../../platform/logging.ts';
import { exitWithParent } from '../../../platform/parent-process.ts';
import { EdgeLinkService } from '../../../proto/gen/imageflow/v1/media_control_pb.ts';

const [folder = '', socket = '', run = '', what = ''] = process.argv.slice(2);
const parent = exitWithParent();
const options = { clock: systemClock, logger: silentLogger() };
const journal = new FileEventJournal({ directory: join(folder, 'journal'), maxBytes: 1024 ** 3, keepHours: 24, ...options });
const store = new DesiredStateStore({ path: join(folder, 'desired-state.bin'), ...options });
const client = GrpcClient.dial(EdgeLinkService, socket);
const link = new ControlLink({ client, edgeId: 'edge', mediaBaseUrl: () => 'http://127.0.0.1:1', journal, store, inventory: () => [], ...options });
link.start();
parent?.send({ type: 'ready' });

if (what === 'write') {
  for (let n = 0; ; n++) {
    const name = `${run}-${n}`;
    const result = resultOf(n);
    journal.append({ type: 'detections', results: [{ ...result, detections: result.detections.map((d) => ({ ...d, className: name })) }] });
    if (n % 5 === 0) journal.append(sessionEvent(n, { id: name }));
    journal.flush();
    parent?.send({ type: 'written', name });
    await sleep(2);
  }
}
while (!journal.delivered || !link.attached) await sleep(20);
await link[Symbol.asyncDispose]();
client[Symbol.dispose]();
journal[Symbol.dispose]();
parent?.send({ type: 'drained' });
process.exit(0);
