/** NVIDIA's client of KServe servers, tritonclient (BSD-3-Clause, PyPI), as a process that does one job after the other. */
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Interface } from 'node:readline';
import { isVenv, makeVenv, toolCache } from './python-venv.ts';

const SCRIPT = join(import.meta.dirname, '..', 'fixtures', 'triton', 'client.py');
const VERSION = '2.73.0';
/** ONNX Runtime of the version that the worker has, to compare with. */
const PACKAGES = [`tritonclient[grpc]==${VERSION}`, 'onnxruntime==1.30.0'];
const VENV = join(toolCache('tritonclient'), VERSION);

/** Installs what is missing: half a minute and 200 MB, once. Throws when it cannot be had. */
export const installTritonClient = (): void => {
  if (isVenv(VENV)) return;
  console.error('installing tritonclient for the tests (once)');
  makeVenv(VENV, PACKAGES);
};

/** Jobs and answers: `test/fixtures/triton/client.py`. */
export class TritonClient implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;
  #log = '';

  private constructor(address: string, token: string) {
    this.#child = spawn(join(VENV, 'bin', 'python'), [SCRIPT, address, token]);
    this.#child.stderr.on('data', (text: Buffer) => { this.#log = (this.#log + text.toString()).slice(-4000); });
    this.#lines = createInterface({ input: this.#child.stdout });
  }

  /** `address`: `host:port` or `unix:/path`. */
  static start(address: string, token = ''): TritonClient {
    installTritonClient();
    return new TritonClient(address, token);
  }

  /** One at a time. Rejects with what it said when it ends instead of answering. */
  async ask(job: { readonly do: string; readonly [field: string]: unknown }): Promise<unknown> {
    const answer = Promise.withResolvers<string>();
    const ended = (): void => { answer.reject(new Error(`tritonclient ended: ${this.#log}`)); };
    this.#lines.once('line', answer.resolve);
    this.#child.once('close', ended);
    this.#child.stdin.write(`${JSON.stringify(job)}\n`);
    try {
      return JSON.parse(await answer.promise) as unknown;
    } finally {
      this.#lines.off('line', answer.resolve);
      this.#child.off('close', ended);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }
}
