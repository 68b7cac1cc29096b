import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { ChildProcess } from '../../platform/child-process.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { DetectRequestSchema, InferenceService, ListModelsRequestSchema, ModelState } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import type { DetectResponse } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import { until } from '../../test/support/server.ts';

const SCRIPT = join(import.meta.dirname, '..', '..', 'processes', 'worker.ts');
const READY_MS = 120_000;

export interface WorkerProcessOptions {
  /** Content by name of file, for `inference.models_dir`; those that come with the server are there anyway. */
  readonly models?: Readonly<Record<string, string>>;
  /** Models that are to be ready. */
  readonly wanted: readonly string[];
  /** `inference.threads`. */
  readonly threads?: number;
}

/** One client's stream to a worker. */
export interface WorkerClient {
  /** Rejects when the picture is refused. As many at a time as the worker gives credit for: 2. */
  readonly ask: (model: string) => Promise<undefined>;
  readonly close: () => void;
}

/** A real worker process. */
export class WorkerProcess implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'if-bench-worker-'));
  readonly #address = `unix:${join(this.#folder, 'w.sock')}`;
  readonly #process: ChildProcess;

  private constructor({ models = {}, threads = 0 }: WorkerProcessOptions) {
    const folder = join(this.#folder, 'data/models');
    mkdirSync(folder, { recursive: true });
    for (const [name, content] of Object.entries(models)) writeFileSync(join(folder, name), content);
    this.#process = ChildProcess.spawn({
      title: 'imageflow-edge worker', script: SCRIPT,
      env: {
        IMAGEFLOW_DATA_DIR: join(this.#folder, 'data'), IMAGEFLOW_WORKER_LISTEN: this.#address, IMAGEFLOW_LOG_LEVEL: 'error', IMAGEFLOW_INFERENCE_DEADLINE_MS: '10000',
        IMAGEFLOW_INFERENCE_THREADS: String(threads),
      },
      onStderrLine: (line) => { console.error(line); },
    });
  }

  /** Resolves when the models are ready. */
  static async start(options: WorkerProcessOptions): Promise<WorkerProcess> {
    const worker = new WorkerProcess(options);
    using client = GrpcClient.dial(InferenceService, worker.#address);
    await until('the models are ready', async () => {
      const { models } = await client.call.listModels(create(ListModelsRequestSchema), { deadlineMs: 20_000 });
      return options.wanted.every((name) => models.some((model) => model.name === name && model.state === ModelState.READY));
    }, READY_MS);
    return worker;
  }

  get pid(): number {
    if (this.#process.pid === undefined) throw new Error('the worker could not be started');
    return this.#process.pid;
  }

  /** A client of its own connection, which shows the same picture again and again, as an extractor does. */
  open(frame: { readonly pixels: Uint8Array; readonly sourceWidth: number; readonly sourceHeight: number }): WorkerClient {
    const client = GrpcClient.dial(InferenceService, this.#address);
    const waiting = new Map<bigint, PromiseWithResolvers<undefined>>();
    let last = 0n;
    const stream = client.call.detect();
    stream.on('error', () => undefined);
    stream.on('data', ({ message }: DetectResponse) => {
      if (message.case === 'outcome') waiting.get(message.value.requestId)?.resolve(undefined);
      else if (message.case === 'refusal') waiting.get(message.value.requestId)?.reject(new Error(message.value.detail));
    });
    const ask = async (model: string): Promise<undefined> => {
      const requestId = ++last;
      const answer = Promise.withResolvers<undefined>();
      waiting.set(requestId, answer);
      stream.write(create(DetectRequestSchema, { requestId, model, deadlineMs: 20_000, ...frame }));
      await answer.promise;
      waiting.delete(requestId);
      return undefined;
    };
    return { ask, close: () => { stream.end(); client[Symbol.dispose](); } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
