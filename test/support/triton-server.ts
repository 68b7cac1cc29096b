import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { freePort } from './free-port.ts';
import { until } from './server.ts';
import { installTriton, tritonPaths } from './triton-binaries.ts';

const HOST = '127.0.0.1';
const MODEL = join(import.meta.dirname, '..', 'fixtures', 'triton', 'model.py');

/** An ONNX file; with `maxBatch` its first dimension is Triton's batch, of so many at most. */
export interface ServedFile {
  readonly path: string;
  readonly maxBatch: number;
}

/** A real Triton server on the CPU, at free ports: each ONNX file is a model by its name. It can be killed and started again. */
export class TritonServer implements AsyncDisposable {
  /** Of its gRPC listener. */
  readonly url: string;
  readonly #ports: readonly [grpc: number, http: number];
  readonly #folder: string;
  #child: ChildProcess | undefined;
  #log = '';
  readonly #end = (): void => { this.#signal('SIGKILL'); };

  private constructor(ports: readonly [number, number]) {
    this.#ports = ports;
    this.url = `${HOST}:${ports[0]}`;
    this.#folder = mkdtempSync(join(tmpdir(), 'imageflow-triton-'));
  }

  static async start(models: readonly (string | ServedFile)[]): Promise<TritonServer> {
    installTriton();
    const server = new TritonServer([await freePort(), await freePort()]);
    try {
      for (const model of models) server.#add(typeof model === 'string' ? { path: model, maxBatch: 0 } : model);
      await server.start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  #add({ path, maxBatch }: ServedFile): void {
    const name = basename(path, '.onnx');
    const folder = join(this.#folder, 'models', name);
    mkdirSync(join(folder, '1'), { recursive: true });
    copyFileSync(MODEL, join(folder, '1', 'model.py'));
    copyFileSync(path, join(folder, '1', 'model.onnx'));
    writeFileSync(join(folder, 'config.pbtxt'), `name: "${name}"\nbackend: "python"\nmax_batch_size: ${maxBatch}\ninstance_group [{ kind: KIND_CPU count: 1 }]\n`);
  }

  /** After `kill`: again, with the same models, at the same port. */
  async start(): Promise<void> {
    const { site, program, backends, bin } = tritonPaths();
    const [grpc, http] = this.#ports;
    this.#removeShared();
    const child = spawn(program, [
      '--backend-directory', backends, '--model-repository', join(this.#folder, 'models'), '--grpc-address', HOST, '--grpc-port', String(grpc),
      '--http-address', HOST, '--http-port', String(http), '--allow-metrics', 'false', '--exit-timeout-secs', '5',
      '--backend-config', `python,shm-region-prefix-name=${this.#shared}`,
    ], {
      // A group of its own: each model is a child process of it, which a killed server leaves behind.
      detached: true, stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PYTHONPATH: site, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`, LD_LIBRARY_PATH: join(site, 'nvidia_pytriton.libs') },
    });
    this.#child = child;
    process.once('exit', this.#end);
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => { this.#log = (this.#log + text.toString()).slice(-8000); });
    await until('Triton is ready', async () => (child.exitCode !== null ? 'ended' as const : (await fetch(`http://${HOST}:${http}/v2/health/ready`, { signal: AbortSignal.timeout(1000) })).ok), 120_000);
    if (child.exitCode !== null) throw new Error(`Triton ended: ${this.#log}`);
  }

  /** What a model has been asked since the server began: calls that succeeded, and pictures in them. */
  async counts(model: string): Promise<{ readonly calls: number; readonly pictures: number }> {
    const answer = await fetch(`http://${HOST}:${this.#ports[1]}/v2/models/${model}/stats`, { signal: AbortSignal.timeout(10_000) });
    const { model_stats: [stats] } = await answer.json() as { readonly model_stats: readonly { readonly inference_count: number; readonly inference_stats: { readonly success: { readonly count: number } } }[] };
    return { calls: stats?.inference_stats.success.count ?? 0, pictures: stats?.inference_count ?? 0 };
  }

  /** SIGSTOP: it is there, takes connections, and answers nothing. */
  pause(): void {
    this.#signal('SIGSTOP');
  }

  resume(): void {
    this.#signal('SIGCONT');
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    process.off('exit', this.#end);
    const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null;
    signalGroup(child, 'SIGKILL');
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    this.#removeShared();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  get #shared(): string { return `imageflow-triton-${this.#ports[0]}-`; }

  #signal(signal: NodeJS.Signals): void {
    if (this.#child) signalGroup(this.#child, signal);
  }

  /** A killed server leaves its shared memory behind. */
  #removeShared(): void {
    for (const entry of readdirSync('/dev/shm')) if (entry.startsWith(this.#shared)) rmSync(join('/dev/shm', entry), { force: true });
  }
}

const signalGroup = ({ pid }: ChildProcess, signal: NodeJS.Signals): void => {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error; // none is left
  }
};
