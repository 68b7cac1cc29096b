/** The whole server with the AI worker in Python of `examples/` in the place of its own, by host:port and token as from another machine. */
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LiveDetections } from '../support/detections.ts';
import { ffmpegPush } from '../support/media.ts';
import { PythonWorker } from '../support/python-worker.ts';
import { TestServer, until } from '../support/server.ts';

const CLIP = join(import.meta.dirname, '..', '..', 'demo', 'clips', 'inspection-720p30.mp4');
const TOKEN = 'a token of the machines';
const DEFECTS = ['scratch', 'contamination', 'deformation'];

const stack = new AsyncDisposableStack();
afterAll(() => stack.disposeAsync());

test('[INF-1][INF-2] the server detects with a worker that is not its own, and goes on when that was killed and is back', async () => {
  const worker = stack.use(await PythonWorker.start(['--listen', '127.0.0.1:0', '--token', TOKEN]));
  const server = stack.use(await TestServer.start({
    args: [join(import.meta.dirname, '..', 'support', 'workerless-server.ts')],
    env: { IMAGEFLOW_WORKER_LISTEN: worker.address, IMAGEFLOW_CONTROL_INTERNAL_TOKEN: TOKEN },
  }));
  expect(await server.pids('worker')).toEqual([]);
  const { items } = await server.request<{ items: readonly { readonly name: string; readonly state: string; readonly labels: readonly string[] }[] }>('GET', '/v1/models');
  expect(items.find(({ name }) => name === 'inspect-320')).toMatchObject({ state: 'ready', labels: DEFECTS });

  const camera = await server.addCamera('belt', { pipelines: ['inspect-320'] });
  using live = await LiveDetections.open(camera.urls['websocket'] ?? '', server.token);
  stack.use(ffmpegPush(CLIP, server.rtspUrl(camera), { loop: true }));
  /** What is told from now on, until there are twenty objects. */
  const twentyMore = (): Promise<readonly string[]> => {
    const from = live.messages.length;
    return until('twenty more objects', () => {
      const found = live.messages.slice(from).flatMap(({ detections }) => detections.map(({ class_name: name }) => name));
      return found.length >= 20 && found;
    }, 60_000);
  };
  expect(DEFECTS).toEqual(expect.arrayContaining([...new Set(await twentyMore())]));

  await worker.end('SIGKILL');
  await until('pictures are given up', async () => await server.metric('imageflow_frames_skipped_total', { reason: 'worker_lost' }) > 0);
  const again = stack.use(await PythonWorker.start(['--listen', worker.address, '--token', TOKEN]));
  await again.ready;
  expect(DEFECTS).toEqual(expect.arrayContaining([...new Set(await twentyMore())]));
  expect([...worker.log, ...again.log].filter((line) => /Traceback|never retrieved| ERROR /.test(line))).toEqual([]);
});
