import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { picture } from '../test/support/inference-clients.ts';
import { installPythonWorker, pythonOfWorker } from '../test/support/python-worker.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { callRate } from './support/call-rate.ts';
import { cpuMilliseconds } from './support/process-usage.ts';
import { WorkerProcess } from './support/worker-process.ts';

const MODEL = 'nanodet-g-416.int8.u8';
const FILE = join(import.meta.dirname, '..', 'models', `${MODEL}.onnx`);
const SIDE = 416;
/** Each with the worker's two credits, as two extractor processes have. */
const CLIENTS = 2;
const CREDITS = 2;
/** Rounds, all ways by turns: a shared machine is not equally fast for long. */
const ROUNDS = 5;
const SECONDS = 5;
const WARM_UP_SECONDS = 2;

/** Pictures a second, and the CPU of one in the process that looks at them. */
interface Way { readonly rate: number; readonly cpuMs: number }

/** ONNX Runtime in Python, without anything around it: `bare-onnxruntime.py`. */
class BareRuntime implements Disposable {
  readonly #child;
  readonly #lines;

  constructor(pixels: string, threads: number, options: 'plain' | 'as-worker') {
    this.#child = spawn(pythonOfWorker(), [join(import.meta.dirname, 'support', 'bare-onnxruntime.py'), FILE, pixels, String(threads), options], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async run(seconds: number): Promise<Way> {
    this.#child.stdin.write(`${String(seconds)}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('ONNX Runtime in Python ended');
    const [rate = Number.NaN, cpuMs = Number.NaN] = value.split(' ').map(Number);
    return { rate, cpuMs };
  }

  [Symbol.dispose](): void { this.#child.kill('SIGKILL'); }
}

const WAYS = ['worker', 'bare', 'plain'] as const;
type Round = Record<(typeof WAYS)[number], Way>;
const NOTHING: Way = { rate: 0, cpuMs: 0 };

/** By turns, with so many threads of the model. */
const measured = async (threads: number): Promise<readonly Round[]> => {
  using stack = new DisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'if-bench-'));
  stack.defer(() => { rmSync(folder, { recursive: true, force: true }); });
  const { pixels, width, height } = picture('messi5.jpg', { inputWidth: SIDE, inputHeight: SIDE });
  const file = join(folder, 'picture.rgb');
  writeFileSync(file, pixels);
  const bare = stack.use(new BareRuntime(file, threads, 'as-worker'));
  const plain = stack.use(new BareRuntime(file, threads, 'plain'));
  await using worker = await WorkerProcess.start({ wanted: [MODEL], threads });
  const clients = Array.from({ length: CLIENTS }, () => worker.open({ pixels, sourceWidth: width, sourceHeight: height }));
  const ways: Record<keyof Round, (seconds: number) => Promise<Way>> = {
    worker: async (seconds) => {
      const [began, used] = [performance.now(), cpuMilliseconds(worker.pid)];
      const rates = await Promise.all(clients.map(({ ask }) => callRate(() => ask(MODEL), CREDITS, seconds)));
      const rate = rates.reduce((sum, each) => sum + each, 0);
      return { rate, cpuMs: (cpuMilliseconds(worker.pid) - used) / (rate * (performance.now() - began) / 1000) };
    },
    bare: (seconds) => bare.run(seconds),
    plain: (seconds) => plain.run(seconds),
  };
  for (const way of WAYS) await ways[way](WARM_UP_SECONDS);
  const rounds: Round[] = [];
  for (let at = 0; at < ROUNDS; at++) {
    const round: Round = { worker: NOTHING, bare: NOTHING, plain: NOTHING };
    // Another order each time, so that none always comes after the same.
    for (const [i] of WAYS.entries()) {
      const way = WAYS[(i + at) % WAYS.length];
      if (way) round[way] = await ways[way](SECONDS);
    }
    rounds.push(round);
  }
  for (const client of clients) client.close();
  return rounds;
};

export const bench: Bench = {
  what: `pictures a second of a worker process (${MODEL}; ${String(CLIENTS)} clients by gRPC with ${String(CREDITS)} credits each, boxes and all) against ONNX Runtime in Python that runs the same model on the same picture in a loop and looks at nothing: same version, threads and options; ${String(ROUNDS)} rounds of ${String(SECONDS)} s each way by turns. The clients and the worker's protocol use what the model's threads leave of the machine, ${String(availableParallelism())} cores here`,
  async run() {
    installPythonWorker();
    const figures: Figure[] = [];
    for (const threads of new Set([1, Math.min(availableParallelism(), 4)])) {
      const rounds = await measured(threads);
      const median = (of: (round: Round) => number): number => quantile(rounds.map(of), 0.5);
      const ratio = median((each) => each.worker.rate / each.bare.rate);
      const name = threads === 1 ? '1 thread' : `${String(threads)} threads`;
      figures.push(
        { figure: `${name}: worker`, value: round(median(({ worker }) => worker.rate), 1), unit: 'pictures a second' },
        { figure: `${name}: bare ONNX Runtime`, value: round(median(({ bare }) => bare.rate), 1), unit: 'pictures a second' },
        { figure: `${name}: ratio, median of ${String(ROUNDS)} rounds`, value: round(ratio), unit: '×', ...(threads === 1 && { target: '0.9 at least', met: ratio >= 0.9 }) },
        { figure: `${name}: bare ONNX Runtime with its default options`, value: round(median(({ plain }) => plain.rate), 1), unit: 'pictures a second' },
        { figure: `${name}: CPU of the worker, protocol and boxes included`, value: round(median(({ worker }) => worker.cpuMs), 1), unit: 'ms a picture' },
        { figure: `${name}: CPU of bare ONNX Runtime`, value: round(median(({ bare }) => bare.cpuMs), 1), unit: 'ms a picture' },
      );
    }
    return figures;
  },
};
