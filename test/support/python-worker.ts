/** The AI worker in Python of `examples/`, as a process, in an environment of exactly the packages its `requirements.txt` names. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { isVenv, makeVenv, toolCache } from './python-venv.ts';

const EXAMPLE = join(import.meta.dirname, '..', '..', 'examples', 'python-worker');
const REQUIREMENTS = join(EXAMPLE, 'requirements.txt');
const CACHE = toolCache('python-worker');
const START_MS = 60_000;
const STOP_MS = 10_000;

const venv = (): string => join(CACHE, createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 16));

/** Installs what is missing: 20 s and 170 MB, once. What other requirements had asked for goes. Throws when it cannot be had. */
export const installPythonWorker = (): void => {
  if (isVenv(venv())) return;
  console.error('installing the packages of the Python worker for the tests (once)');
  rmSync(CACHE, { recursive: true, force: true });
  makeVenv(venv(), ['-r', REQUIREMENTS]);
};

/** The interpreter of its environment, for other programs that speak gRPC. */
export const pythonOfWorker = (): string => join(venv(), 'bin', 'python');

/** A worker that runs. Disposing ends it with SIGTERM. */
export class PythonWorker implements AsyncDisposable {
  /** What clients dial. */
  readonly address: string;
  /** Resolves when its default model is warm; rejects when it ends before. */
  readonly ready: Promise<void>;
  /** What it wrote to stderr, line by line; its last 200 lines. */
  readonly log: readonly string[];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, address: string, ready: Promise<void>, log: readonly string[]) {
    this.#child = child;
    this.address = address;
    this.ready = ready;
    this.log = log;
  }

  /** `args`: of the command line. Resolves when it listens; rejects with what it said when it ends before. */
  static async start(args: readonly string[]): Promise<PythonWorker> {
    const child = spawn(pythonOfWorker(), [join(EXAMPLE, 'worker.py'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const log: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => { log.push(line); if (log.length > 200) log.shift(); });
    const listening = Promise.withResolvers<string>();
    const ready = Promise.withResolvers<undefined>();
    ready.promise.catch(() => undefined); // whoever does not wait for it is told nothing
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { type, listen } = JSON.parse(line) as { readonly type: string; readonly listen: string };
      if (type === 'listening') listening.resolve(listen);
      if (type === 'ready') ready.resolve(undefined);
    });
    const fail = (why: string): void => {
      const error = new Error(`the Python worker ${why}:\n${log.join('\n')}`);
      listening.reject(error);
      ready.reject(error);
    };
    child.once('error', (error) => { fail(`could not be started (${error.message}); run node test/tools.ts`); });
    child.once('close', (code, signal) => { fail(`ended with ${String(code ?? signal)}`); });
    const timer = setTimeout(() => { fail(`did not listen within ${START_MS} ms`); }, START_MS);
    try {
      return new PythonWorker(child, await listening.promise, ready.promise, log);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The exit code after `signal`; null when the signal itself ended it, or SIGKILL had to. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    const exit = once(this.#child, 'exit') as Promise<[number | null]>;
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    const [code] = await exit;
    clearTimeout(timer);
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGTERM');
  }
}
