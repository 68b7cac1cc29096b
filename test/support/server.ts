import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { SMALL_YOUNG_GENERATION } from '../../platform/heap-growth.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'main.ts');
export const PASSWORD = 'correct-horse-battery';
const READY_MS = 60_000;
const STOP_MS = 15_000;

export interface Camera {
  readonly id: string;
  readonly publish_key: string;
  readonly urls: Readonly<Record<string, string>>;
  readonly direct_urls: Readonly<Record<string, string>>;
}

export interface ServerOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Keep the data of an earlier server. */
  readonly dataDir?: string;
  /** Another program than the whole server: the argument list behind `node`. */
  readonly args?: readonly string[];
  /** Each line of its log, from its start on. */
  readonly onLog?: (line: string) => void;
}

/** A whole real server in processes of its own, on free ports and a data folder of its own. Disposing ends it and removes the data. */
export class TestServer implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly dataDir: string;
  readonly http: string;
  readonly edge: string;
  readonly rtsp: string;
  /** Public gRPC as a client dials it: `host:port`. */
  readonly grpc: string;
  /** Milliseconds from its start to its ready line. */
  readonly readyAfter: number;
  readonly #log: string[];
  readonly #ownsData: boolean;
  #token = '';

  private constructor(child: ChildProcess, dataDir: string, urls: { http: string; edge: string; rtsp: string; grpc: string }, readyAfter: number, log: string[], ownsData: boolean) {
    this.child = child;
    this.dataDir = dataDir;
    this.http = urls.http;
    this.edge = urls.edge;
    this.rtsp = urls.rtsp;
    this.grpc = new URL(urls.grpc).host;
    this.readyAfter = readyAfter;
    this.#log = log;
    this.#ownsData = ownsData;
  }

  static async start(options: ServerOptions = {}): Promise<TestServer> {
    const dataDir = options.dataDir ?? await mkdtemp(join(tmpdir(), 'imageflow-test-'));
    const began = performance.now();
    const child = spawn(process.execPath, ['--title=imageflow-edge supervisor', SMALL_YOUNG_GENERATION, ...(options.args ?? [MAIN, 'start'])], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env, IMAGEFLOW_BIND: '127.0.0.1', IMAGEFLOW_DATA_DIR: dataDir, IMAGEFLOW_ADMIN_PASSWORD: PASSWORD, IMAGEFLOW_HTTP_PORT: '0', IMAGEFLOW_EDGE_HTTP_PORT: '0',
        IMAGEFLOW_RTSP_PORT: '0', IMAGEFLOW_GRPC_PORT: '0', IMAGEFLOW_WEBRTC_PORT: '0', IMAGEFLOW_RECORDER_MIN_FREE_BYTES: '0', ...options.env,
      },
    });
    const log: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => { log.push(line); if (log.length > 2000) log.shift(); options.onLog?.(line); });
    const ready = Promise.withResolvers<{ http: string; edge: string; rtsp: string; grpc: string }>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (!line.startsWith('{')) return;
      const message = JSON.parse(line) as { message?: string; urls?: { http: string; edge: string; rtsp: string; grpc: string } };
      if (message.message === 'ready' && message.urls) ready.resolve(message.urls);
    });
    const timer = setTimeout(() => { ready.reject(new Error(`the server was not ready within ${READY_MS} ms:\n${log.slice(-30).join('\n')}`)); }, READY_MS);
    child.once('exit', (code, signal) => { ready.reject(new Error(`the server ended with ${String(code ?? signal)}:\n${log.slice(-30).join('\n')}`)); });
    try {
      const server = new TestServer(child, dataDir, await ready.promise, performance.now() - began, log, options.dataDir === undefined);
      await server.logIn();
      return server;
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  get token(): string { return this.#token; }
  /** The last lines of the server's log, JSON each. */
  get log(): readonly string[] { return this.#log; }

  async logIn(username = 'admin', password = PASSWORD): Promise<string> {
    const answer = await this.request<{ access_token: string }>('POST', '/v1/auth/login', { username, password });
    this.#token = answer.access_token;
    return answer.access_token;
  }

  /** A request to the front door with the admin's token; throws unless it is answered 2xx. */
  async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.fetch(path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#token !== '' && !headers.has('authorization')) headers.set('authorization', `Bearer ${this.#token}`);
    return fetch(`${this.http}${path}`, { ...init, headers });
  }

  addCamera(id: string, more: Readonly<Record<string, unknown>> = {}): Promise<Camera> {
    return this.request<Camera>('POST', '/v1/cameras', { id, name: id, ...more });
  }

  /** `rtsp://x:KEY@host:port/camera` */
  rtspUrl(camera: Camera): string {
    return `${this.rtsp.replace('rtsp://', `rtsp://x:${camera.publish_key}@`)}/${camera.id}`;
  }

  /** One value of `/metrics`, summed over the series whose labels include `labels`; 0 when there is none. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const text = await (await this.fetch('/metrics')).text();
    let sum = 0;
    for (const line of text.split('\n')) {
      if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
      if (Object.entries(labels).every(([key, value]) => line.includes(`${key}="${value}"`))) sum += Number(line.slice(line.lastIndexOf(' ') + 1));
    }
    return sum;
  }

  /** Process ids of a role (`edge`, `control`, `worker`, `extractor`) by their titles. */
  async pids(role: string): Promise<number[]> {
    const { processTree } = await import('../../bench/support/process-usage.ts');
    return processTree(this.child.pid ?? 0).filter((each) => each.title.startsWith(`imageflow-edge ${role}`)).map((each) => each.pid);
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    const exit = once(this.child, 'exit') as Promise<[number | null]>;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
    const [code] = await exit;
    clearTimeout(timer);
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    if (this.#ownsData) await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

/** Asks again and again until `probe` answers something truthy; throws `what` after `withinMs`. For what only a remote process can know. */
export const until = async <T>(what: string, probe: () => Promise<T | undefined | null | false> | T | undefined | null | false, withinMs = 20_000): Promise<T> => {
  const end = performance.now() + withinMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== null && value !== false) return value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`${what}: not within ${withinMs} ms`, last === undefined ? undefined : { cause: last });
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
};
