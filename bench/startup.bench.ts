import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestServer } from '../test/support/server.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { memoryMebibytes, processTree } from './support/process-usage.ts';

const STARTS = 5;
const IDLE_MS = 20_000;

export const bench: Bench = {
  what: `start to the ready line of the whole server over data it has (${STARTS} starts after a first one, model files in the page cache), and the idle memory of all its processes (the bench itself is one more Node process that shares its pages)`,
  async run() {
    const dataDir = await mkdtemp(join(tmpdir(), 'imageflow-bench-'));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rm(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }));
    const starts: number[] = [];
    const memory: Figure[] = [];
    for (let i = 0; i <= STARTS; i++) {
      await using server = await TestServer.start({ dataDir });
      starts.push(server.readyAfter);
      if (i < STARTS) continue;
      await sleep(IDLE_MS);
      const processes = processTree(server.child.pid ?? 0).map(({ pid, title }) => ({ title: title.split(' ').slice(0, 2).join(' '), ...memoryMebibytes(pid) }));
      const pss = processes.reduce((sum, each) => sum + each.pss, 0);
      memory.push(
        { figure: 'idle memory of all processes, sum of Pss', value: round(pss, 0), unit: 'MiB', target: '400 MB at most', met: pss * 1.048576 <= 400 },
        ...processes.map((each) => ({ figure: `Pss of ${each.title}`, value: round(each.pss, 0), unit: 'MiB' })),
      );
    }
    const [first, ...again] = starts;
    const median = quantile(again, 0.5);
    return [
      { figure: 'start to ready, median', value: round(median / 1000), unit: 's', target: '3 s at most', met: median <= 3000 },
      { figure: 'start to ready, slowest', value: round(Math.max(...again) / 1000), unit: 's' },
      { figure: 'start to ready, the first one (new data folder)', value: round((first ?? Number.NaN) / 1000), unit: 's' },
      ...memory,
    ];
  },
};
