import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChildProcess } from '../platform/child-process.ts';
import { ONE_THREAD_COLLECTS } from '../platform/heap-growth.ts';
import { until } from '../test/support/server.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { cpuMilliseconds } from './support/process-usage.ts';

/** Their pictures come one by one, each at its own moment, as in a server. */
const CAMERAS = 4;
const FPS = 15;
const WARM_UP_PICTURES = 300;
const ROUNDS = 3;
const ROUND_MS = 10_000;
const MOST_MS = 1.5;

/** What both processes have used, and what came of the pictures, at one moment. */
interface Reading { readonly at: number; readonly extractor: number; readonly worker: number; readonly results: number; readonly skipped: number }

const pidOf = ({ pid }: ChildProcess): number => {
  if (pid === undefined) throw new Error('a process could not be started');
  return pid;
};

/** CPU for a picture in each round, milliseconds. `fps` as of `offering-child.ts`. */
const measured = async (fps: number): Promise<readonly { readonly extractor: number; readonly worker: number; readonly rate: number; readonly skipped: number }[]> => {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'if-bench-'));
  stack.defer(() => { rmSync(folder, { recursive: true, force: true }); });
  const address = `unix:${join(folder, 'w.sock')}`;
  const child = (name: string) => ({ script: join(import.meta.dirname, 'support', `${name}-child.ts`), title: `bench ${name}` });
  const listening = Promise.withResolvers<undefined>();
  const worker = stack.use(ChildProcess.spawn({ ...child('empty-worker'), args: [address], onMessage: () => { listening.resolve(undefined); } }));
  await listening.promise;
  const readings: Reading[] = [];
  const extractor = stack.use(ChildProcess.spawn({
    ...child('offering'), nodeFlags: [ONE_THREAD_COLLECTS], args: [address, String(CAMERAS), String(fps)],
    onMessage: ({ results, skipped }) => {
      readings.push({ at: performance.now(), extractor: cpuMilliseconds(pidOf(extractor)), worker: cpuMilliseconds(pidOf(worker)), results: Number(results), skipped: Number(skipped) });
    },
  }));
  const next = (what: string, wanted: (reading: Reading) => boolean): Promise<Reading> => until(what, () => readings.find(wanted), 60_000);
  let before = await next('both are warm', ({ results }) => results >= WARM_UP_PICTURES);
  const rounds: { readonly extractor: number; readonly worker: number; readonly rate: number; readonly skipped: number }[] = [];
  while (rounds.length < ROUNDS) {
    const after = await next('a round', ({ at }) => at >= before.at + ROUND_MS);
    const pictures = after.results - before.results;
    rounds.push({
      extractor: (after.extractor - before.extractor) / pictures, worker: (after.worker - before.worker) / pictures,
      rate: (1000 * pictures) / (after.at - before.at), skipped: after.skipped - before.skipped,
    });
    before = after;
  }
  return rounds;
};

export const bench: Bench = {
  what: `CPU of an extractor's dispatcher and of a worker's protocol for one picture of 416² RGB (519 kB over a Unix socket by gRPC, and its answer back), two processes as in a server, without decoder and model; everything these processes use is counted`,
  async run() {
    const figures: Figure[] = [];
    for (const [name, fps] of [[`${String(CAMERAS)} cameras at ${String(FPS)} a second`, FPS], [`${String(CAMERAS)} cameras as fast as they are answered`, 0]] as const) {
      const rounds = await measured(fps);
      const median = (of: (each: (typeof rounds)[number]) => number): number => quantile(rounds.map(of), 0.5);
      const both = median(({ extractor, worker }) => extractor + worker);
      figures.push(
        { figure: `${name}: both processes, median of ${String(ROUNDS)} rounds`, value: round(both), unit: 'ms a picture', ...(fps > 0 && { target: `${String(MOST_MS)} ms at most`, met: both <= MOST_MS }) },
        { figure: `${name}: of it the dispatcher's`, value: round(median(({ extractor }) => extractor)), unit: 'ms a picture' },
        { figure: `${name}: of it the worker's`, value: round(median(({ worker }) => worker)), unit: 'ms a picture' },
        { figure: `${name}: answered`, value: round(median(({ rate }) => rate), 0), unit: `a second; ${String(rounds.reduce((sum, { skipped }) => sum + skipped, 0))} skipped` },
      );
    }
    return figures;
  },
};
