/** One server and AI workers beside its own: more of them see more, and whichever of them stops, hangs or is killed, detections go on. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { GRPCInferenceService, ModelInferRequestSchema } from '../../proto/gen/inference/kserve_pb.ts';
import type { ModelInferResponse } from '../../proto/gen/inference/kserve_pb.ts';
import { freePort } from '../support/free-port.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { TestServer, until } from '../support/server.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'main.ts');
const TOKEN = 'a token of the machines';

const stack = new AsyncDisposableStack();
let server: TestServer;
let folder: string;
/** Addresses of the server's own worker, of the other one, and of control. */
let own: string;
let second: string;
let control: string;
let worker: ChildProcess;

/** A worker as on another host: it has nothing of the server but its address and the token. */
const startWorker = (): ChildProcess => {
  const child = spawn(process.execPath, ['--title=imageflow-edge second-worker', MAIN, '--role', 'worker'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, IMAGEFLOW_DATA_DIR: join(folder, 'second'), IMAGEFLOW_WORKER_LISTEN: second, IMAGEFLOW_WORKER_ANNOUNCE_TO: control, IMAGEFLOW_CONTROL_INTERNAL_TOKEN: TOKEN, IMAGEFLOW_LOG_LEVEL: 'error' },
  });
  stack.defer(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  return child;
};

const connections = (worker: string): Promise<number> => server.metric('imageflow_worker_connections', { worker });
const results = (worker: string): Promise<number> => server.metric('imageflow_worker_results_total', { worker });
const isSeenBy = async (worker: string): Promise<void> => {
  const before = await results(worker);
  await until(`${worker} answers`, async () => await results(worker) > before, 30_000);
};

/** What a viewer is told of a camera, from here on. */
class Watched {
  readonly camera: string;
  /** `captured_at` of each result, as it came. */
  readonly captured: number[] = [];
  constructor(camera: string) {
    this.camera = camera;
    const socket = new WebSocket(`${server.edge.replace('http', 'ws')}/v1/cameras/${camera}/detections/live?token=${server.token}`);
    socket.addEventListener('message', ({ data }) => {
      const { captured_at: at } = JSON.parse(String(data)) as { captured_at?: string };
      if (at !== undefined) this.captured.push(Date.parse(at));
    });
    stack.defer(() => { socket.close(); });
  }
  /** It is told of more pictures. */
  async goesOn(): Promise<void> {
    const before = this.captured.length;
    await until(`detections of ${this.camera} go on`, () => this.captured.length >= before + 3, 30_000);
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-workers-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  control = `127.0.0.1:${await freePort()}`;
  second = `127.0.0.1:${await freePort()}`;
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_CONTROL_INTERNAL_LISTEN: control, IMAGEFLOW_CONTROL_INTERNAL_TOKEN: TOKEN } }));
  for (const id of ['one', 'two']) {
    const camera = await server.addCamera(id, { pipelines: ['detect'] });
    stack.use(ffmpegPush(clip('vtest-720p30.mp4'), server.rtspUrl(camera), { loop: true }));
  }
  own = await until('the server\'s own worker is called', async () => /worker="(unix:[^"]+)"/.exec(await (await server.fetch('/metrics')).text())?.[1], 30_000);
  await isSeenBy(own);
}, 90_000);
afterAll(() => stack.disposeAsync());

test('[INF-4] what KServe clients ask the server\'s own worker is in the server\'s metrics', async () => {
  using client = GrpcClient.dial(GRPCInferenceService, own);
  const calls = (result: string): Promise<number> => server.metric('imageflow_kserve_calls_total', { result, process: 'worker' });
  expect([await calls('ok'), await calls('invalid')]).toEqual([0, 0]);
  const ask = (side: number): Promise<ModelInferResponse> => client.call.modelInfer(create(ModelInferRequestSchema, {
    modelName: 'nanodet-g-416.int8.u8', inputs: [{ name: 'images', datatype: 'UINT8', shape: [1n, BigInt(side), BigInt(side), 3n] }], rawInputContents: [new Uint8Array(3 * side * side)],
  }), { deadlineMs: 20_000 });
  expect((await ask(416)).outputs).toHaveLength(1);
  await expect(ask(415)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  expect([await calls('ok'), await calls('invalid')]).toEqual([1, 1]);
});

test('[INF-1] a worker that announces itself is called, goes without a picture lost, and may come again', async () => {
  worker = startWorker();
  await until('the second worker is connected', async () => await connections(second) === 1, 30_000);
  await isSeenBy(second);
  await isSeenBy(own);

  const lost = await server.metric('imageflow_frames_skipped_total', { reason: 'worker_lost' });
  worker.kill('SIGTERM');
  expect(await once(worker, 'exit')).toEqual([0, null]);
  await isSeenBy(own);
  // Taken off the list, and forgotten some seconds later.
  await until('the second worker is forgotten', async () => !(await (await server.fetch('/metrics')).text()).includes(second), 30_000);
  expect(await server.metric('imageflow_frames_skipped_total', { reason: 'worker_lost' })).toBe(lost);

  worker = startWorker();
  await until('it is back', async () => await connections(second) === 1, 30_000);
  await isSeenBy(second);
});

test('[INF-1] whichever worker hangs or is killed, again and again, the cameras\' detections go on, in order', async () => {
  const cameras = [new Watched('one'), new Watched('two')];
  const allGoOn = (): Promise<unknown> => Promise.all(cameras.map((camera) => camera.goesOn()));
  for (let round = 0; round < 3; round++) {
    await until('both are connected', async () => await connections(second) === 1 && await connections(own) === 1, 30_000);
    await isSeenBy(second);
    worker.kill('SIGSTOP');
    await allGoOn();
    worker.kill('SIGCONT');
    await isSeenBy(second);
    const [ownPid] = await server.pids('worker');
    process.kill(ownPid!, 'SIGKILL');
    await allGoOn();
    await until('the server has its own again', async () => await connections(own) === 1, 30_000);
    worker.kill('SIGKILL');
    await allGoOn();
    worker = startWorker();
  }
  for (const { camera, captured } of cameras) {
    expect(await server.metric('imageflow_decoders_active', { camera })).toBe(1);
    expect(captured.filter((at, i) => at <= (captured[i - 1] ?? -Infinity))).toEqual([]);
  }
});
