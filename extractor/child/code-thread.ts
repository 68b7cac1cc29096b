/** The thread of an extractor process that reads codes in pictures, so that decoding waits for none of it. What goes wrong in its library goes with it. */
import { parentPort } from 'node:worker_threads';
import { invariant, messageOf } from '../../core/errors.ts';
import type { FromCodeThread, ToCodeThread } from './code-thread-protocol.ts';
import { loadCodeReader, readCodes } from './read-codes.ts';

invariant(parentPort, 'codes are read in a thread');
const port = parentPort;
const tell = (message: FromCodeThread): void => { port.postMessage(message); };

await loadCodeReader();
port.on('message', (message: ToCodeThread) => {
  readCodes(message).then((codes) => { tell({ type: 'read', codes }); }, (error: unknown) => { tell({ type: 'failed', error: messageOf(error) }); });
});
tell({ type: 'ready' });
