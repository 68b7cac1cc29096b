/** A thread that checks recorded files, one message a file: a SHA-256 keeps a core busy, and the others shall have work, too. */
import { parentPort, workerData } from 'node:worker_threads';
import { PublicSigningKey } from '../../platform/signing-key.ts';
import { SegmentChecker } from './segment-check.ts';

/** What `SegmentPool` gives its threads. */
export interface VerifyWorkerData {
  readonly directory: string;
  /** Public key, PEM. */
  readonly key: string | null;
}

const { directory, key } = workerData as VerifyWorkerData;
const checker = new SegmentChecker(directory, key === null ? undefined : PublicSigningKey.fromPem(key));
parentPort?.on('message', (id: string) => {
  void checker.check(id).then((result) => { parentPort?.postMessage(result); });
});
