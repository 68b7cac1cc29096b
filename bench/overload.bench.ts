import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { readClip } from '../demo/mp4-clip.ts';
import { clip, ffmpegMake } from '../test/support/media.ts';
import { NotingCamera } from '../test/support/noting-camera.ts';
import { TestServer, until } from '../test/support/server.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';

const FPS = 15;
/** Of a picture, at the worker: 30 a second, which are two cameras. */
const WORKER_MS = 33;
const CAMERAS = Array.from({ length: 8 }, (_, i) => `camera-${String(i)}`);
const SLOWED_SERVER = join(import.meta.dirname, '..', 'test', 'support', 'slowed-server.ts');
/** In the first of these the rates are lowered step by step. */
const FIRST_SECONDS = 20;
const SECONDS = 60;

/** One inferred picture, as a viewer was told of it: Unix ms. */
interface Told { readonly at: number; readonly rtpTimestamp: number }

/** Listens to a camera's detections until disposed of. */
const viewer = async (server: TestServer, camera: string): Promise<{ readonly told: Told[] } & Disposable> => {
  const socket = new WebSocket(`${server.edge.replace('http', 'ws')}/v1/cameras/${camera}/detections/live`, [`bearer.${server.token}`]);
  const told: Told[] = [];
  socket.on('message', (data: Buffer) => {
    const at = Date.now();
    const { type, rtp_timestamp: rtpTimestamp } = JSON.parse(data.toString()) as { type: string; rtp_timestamp: number };
    if (type === 'detections') told.push({ at, rtpTimestamp });
  });
  await once(socket, 'open');
  return { told, [Symbol.dispose]: () => { socket.terminate(); } };
};

export const bench: Bench = {
  what: `${String(CAMERAS.length)} cameras whose detectors ask for ${String(FPS)} pictures a second each, on a worker that manages ${String(Math.floor(1000 / WORKER_MS))} a second, a quarter of that: a picture leaves the camera (RTSP) → its detections are at a viewer's WebSocket, the worker's ${String(WORKER_MS)} ms included. The worker waits instead of computing and the pictures are small (320 × 180), so that on this machine it is the worker that is short and not the CPU; cameras and viewers run on the same machine, in the measuring process`,
  async run() {
    await using stack = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'if-bench-'));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    const slowedBy = join(folder, 'milliseconds');
    await writeFile(slowedBy, String(WORKER_MS));
    const pictures = await readClip(await ffmpegMake(['-t', '10', '-i', clip('vtest-720p30-baseline.mp4'), '-an', '-vf', 'scale=320:180', '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '30'], join(folder, 'small.mp4')));
    const server = stack.use(await TestServer.start({ args: [SLOWED_SERVER], env: { SLOWED_BY: slowedBy } }));
    const watched: { readonly camera: NotingCamera; readonly told: Told[] }[] = [];
    for (const id of CAMERAS) {
      const camera = await server.addCamera(id, { pipelines: ['detect'], recording: { policy: 'off' } });
      const { told } = stack.use(await viewer(server, id));
      watched.push({ camera: stack.use(new NotingCamera(pictures, server, camera)), told });
    }
    await until('each camera is looked at', () => watched.every(({ told }) => told.length > 0), 60_000);
    const began = Date.now();
    await sleep(SECONDS * 1000);
    const ended = Date.now();
    const seen = watched.map(({ camera, told }) => {
      const sentAt = new Map(camera.sent.map(({ rtpTimestamp, at }) => [rtpTimestamp, at]));
      return told.filter(({ at }) => at >= began && at < ended).flatMap(({ at, rtpTimestamp }) => {
        const sent = sentAt.get(rtpTimestamp);
        return sent === undefined ? [] : [{ at, delay: at - sent }];
      });
    });
    const delays = (from: number, to: number): readonly number[] => seen.flat().filter(({ at }) => at >= from && at < to).map(({ delay }) => delay);
    const [p50, p99] = [quantile(delays(began, ended), 0.5), quantile(delays(began, ended), 0.99)];
    const lowest = Math.min(...seen.map(({ length }) => length)) / SECONDS;
    const pauses = seen.map((each) => Math.max(...[...each.map(({ at }) => at), ended].map((at, i) => at - (each[i - 1]?.at ?? began))));
    const settled = began + FIRST_SECONDS * 1000;
    return [
      { figure: 'captured → detection at the socket, p50', value: p50, unit: 'ms', target: '120 ms at most', met: p50 <= 120 },
      { figure: 'captured → detection at the socket, p99', value: p99, unit: 'ms', target: '250 ms at most', met: p99 <= 250 },
      { figure: `of these in the first ${String(FIRST_SECONDS)} s, while rates are lowered, p50 and p99`, value: `${String(quantile(delays(began, settled), 0.5))} and ${String(quantile(delays(began, settled), 0.99))}`, unit: 'ms' },
      { figure: 'of these after that, p50 and p99', value: `${String(quantile(delays(settled, ended), 0.5))} and ${String(quantile(delays(settled, ended), 0.99))}`, unit: 'ms' },
      { figure: 'the camera that is looked at least', value: round(lowest), unit: 'pictures a second', target: '1 at least', met: lowest >= 1 },
      { figure: 'the longest pause of any camera', value: Math.max(...pauses), unit: 'ms' },
      { figure: 'all cameras', value: round(seen.flat().length / SECONDS, 1), unit: `pictures a second of ${String(CAMERAS.length * FPS)} asked for` },
    ];
  },
};
