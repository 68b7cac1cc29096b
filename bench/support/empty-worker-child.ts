/** An AI worker whose model sees nothing and takes no time: what is left of one is its protocol. `node empty-worker-child.ts <address>` */
import { FakeWorker } from '../../inference/testing/fake-worker.ts';
import { growHeapForPictures } from '../../platform/heap-growth.ts';
import { exitWithParent } from '../../platform/parent-process.ts';

growHeapForPictures();
const parent = exitWithParent();
const worker = await FakeWorker.start({ listen: process.argv[2] ?? '', models: { m: () => [] } });
parent?.send({ listen: worker.address });
