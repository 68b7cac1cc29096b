import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { freePort } from './free-port.ts';
import { installS3, s3Binary } from './s3-binaries.ts';
import type { S3Kind } from './s3-binaries.ts';
import { until } from './server.ts';

const ACCESS_KEY = 'test-access';
const SECRET_KEY = 'test-secret-key';

/** A real S3 server on a free port, with a folder of its own. It can be killed, paused and started again with its data. */
export class S3Server implements AsyncDisposable {
  readonly endpoint: string;
  readonly credentials = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY };
  readonly #kind: S3Kind;
  readonly #port: number;
  readonly #folder: string;
  #child: ChildProcess | undefined;
  #log = '';

  private constructor(kind: S3Kind, port: number) {
    this.#kind = kind;
    this.#port = port;
    this.#folder = mkdtempSync(join(tmpdir(), `imageflow-s3-${kind}-`));
    this.endpoint = `http://127.0.0.1:${port}`;
  }

  static async start(kind: S3Kind): Promise<S3Server> {
    installS3();
    const server = new S3Server(kind, await freePort());
    try {
      await server.start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** After `kill`: again, with the same data, at the same port. */
  async start(): Promise<void> {
    const at = `127.0.0.1:${this.#port}`;
    const objects = join(this.#folder, 'objects');
    const versions = join(this.#folder, 'versions');
    mkdirSync(objects, { recursive: true });
    mkdirSync(versions, { recursive: true });
    const [args, env, health] = this.#kind === 'minio'
      ? [['server', '--quiet', '--address', at, objects], { MINIO_ROOT_USER: ACCESS_KEY, MINIO_ROOT_PASSWORD: SECRET_KEY, MINIO_BROWSER: 'off', MINIO_UPDATE: 'off', MINIO_CI_CD: '1' }, '/minio/health/ready']
      : [['--port', at, '--health', '/health', '--quiet', 'posix', '--versioning-dir', versions, objects], { ROOT_ACCESS_KEY: ACCESS_KEY, ROOT_SECRET_KEY: SECRET_KEY }, '/health'];
    const child = spawn(s3Binary(this.#kind), args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => { this.#log = (this.#log + text.toString()).slice(-4000); });
    await until(`${this.#kind} answers`, async () => {
      if (child.exitCode !== null) throw new Error(`it ended: ${this.#log}`);
      return (await fetch(`${this.endpoint}${health}`, { signal: AbortSignal.timeout(1000) })).ok;
    }, 60_000);
  }

  /** Makes a bucket; with `lock`, one whose objects can be held. */
  async bucket(name: string, lock = false): Promise<string> {
    const client = this.client();
    await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: lock }));
    client.destroy();
    return name;
  }

  client(): S3Client {
    return new S3Client({ region: 'us-east-1', endpoint: this.endpoint, forcePathStyle: true, credentials: this.credentials });
  }

  /** SIGSTOP: it is there, takes connections, and answers nothing. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
