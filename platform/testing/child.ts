/** What the tests of `ChildProcess` start. The first argument says what to do. */
import { writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { sleep } from '../../core/clock.ts';
import { ChildProcess } from '../child-process.ts';
import { exitWithParent } from '../parent-process.ts';

const [what = '', argument = ''] = process.argv.slice(2);
const link = exitWithParent(what === 'tidy' ? { onParentGone: () => { writeFileSync(argument, 'tidied'); return Promise.resolve(); } } : {});
const stayAlive = (): void => { void sleep(2 ** 30); };

switch (what) {
  case 'hello':
    link?.send({ type: 'hello', pid: process.pid });
    stayAlive();
    break;
  case 'die':
    process.stderr.write('first line\nlast words\n');
    process.exit(3);
    break;
  case 'stubborn':
    process.on('SIGTERM', () => undefined);
    link?.send({ type: 'hello' });
    stayAlive();
    break;
  case 'echo': {
    const pipe = new Socket({ fd: 4, readable: true, writable: true });
    pipe.on('data', (chunk: Buffer) => pipe.write(chunk));
    break;
  }
  case 'tidy':
    link?.send({ type: 'hello' });
    stayAlive();
    break;
  case 'parent': {
    const child = ChildProcess.spawn({ title: 'imageflow-edge grandchild', script: import.meta.filename, args: argument === '' ? ['hello'] : ['tidy', argument], onMessage: () => link?.send({ type: 'grandchild', pid: child.pid }) });
    break;
  }
  default:
    process.exit(64);
}
