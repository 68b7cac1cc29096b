/** The whole server but its AI worker, which runs elsewhere, at `worker.listen`. `node workerless-server.ts`, settings as for `imageflow-edge start`. */
import { printReady, runServer } from '../../cli/server.ts';

process.exitCode = await runServer(undefined, printReady, { stopOrder: [['edge'], ['control']] });
