import { Worker } from 'node:worker_threads';

/** On a thread of its own: the first may hang in a driver for good. Looks once a second. */
const WATCH = `
const { workerData } = require('node:worker_threads');
setInterval(() => { if (process.ppid !== workerData) process.kill(process.pid, 'SIGKILL'); }, 1000);
`;

/** From now on this process ends when its parent has gone, whatever it hangs in (where the system tells: not on Windows). Keeps it from ending no other way. */
export const endWithParent = (): void => {
  new Worker(WATCH, { eval: true, workerData: process.ppid }).unref();
};
