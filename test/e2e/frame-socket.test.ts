/** Pictures with their detections by WebSocket: a worker reads the number from the pixels it is given, the test reads it from the JPEG that comes with its answer. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { countersOf } from '../support/frame-counters.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { TestServer, until } from '../support/server.ts';

const CAMERA = 'counter';

interface VideoFrame {
  readonly type: string;
  readonly camera_id: string;
  readonly frame_data: string;
  readonly timestamp: string;
  readonly detections: readonly { readonly class: string; readonly confidence: number; readonly bbox: { readonly x: number; readonly y: number; readonly width: number; readonly height: number } }[];
  readonly processing_stats: { readonly frame_processing_time_ms: number; readonly total_detections: number; readonly fps: number };
}

const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-frames-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  server = stack.use(await TestServer.start({ args: [join(import.meta.dirname, '..', 'support', 'counting-server.ts')] }));
  const camera = await server.addCamera(CAMERA, { pipelines: ['detect'] });
  stack.use(ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { loop: true }));
  await until('detections', async () => await server.metric('imageflow_inference_seconds_count', {}) > 0);
});
afterAll(() => stack.disposeAsync());

interface Client extends Disposable { readonly socket: WebSocket; readonly frames: VideoFrame[] }
const open = async (query: string): Promise<Client> => {
  const socket = new WebSocket(`${server.http.replace('http', 'ws')}/ws/stream/${CAMERA}?${query}`, [`bearer.${server.token}`]);
  const frames: VideoFrame[] = [];
  socket.on('message', (data: Buffer) => {
    frames.push(JSON.parse(data.toString()) as VideoFrame);
    if (frames.length > 200) frames.shift();
  });
  await once(socket, 'open');
  return { socket, frames, [Symbol.dispose]: () => { socket.terminate(); } };
};
let files = 0;
const numberIn = async (jpeg: Buffer): Promise<number | null | undefined> => {
  const path = join(folder, `${String(files++)}.jpg`);
  await writeFile(path, jpeg);
  return (await countersOf(path))[0];
};

test('[DIS-3] every frame a detector saw comes with the boxes of that very frame, through the front door', async () => {
  using client = await open('fps=15&width=640');
  const { frames } = client;
  await until('a hundred frames', () => frames.length >= 100);
  let own = 0;
  for (const frame of frames.slice(-30)) {
    const number = await numberIn(Buffer.from(frame.frame_data, 'base64'));
    expect(frame).toMatchObject({ type: 'video_frame', camera_id: CAMERA, processing_stats: { total_detections: frame.detections.length } });
    expect(Object.keys(frame)).toEqual(['type', 'camera_id', 'frame_data', 'timestamp', 'detections', 'processing_stats']);
    expect(Math.abs(Date.now() - Date.parse(frame.timestamp))).toBeLessThan(60_000);
    const [box] = frame.detections;
    if (!box || number === null) continue;
    expect(box.bbox).toEqual({ x: 0, y: 0, width: 640, height: 20 });
    const behind = (Number(number) - Number(box.class) + 900) % 900;
    expect(behind, `frame ${String(number)} with the box of ${box.class}`).toBeLessThanOrEqual(4); // the next ones of a frame the detector did not see
    if (behind === 0) own++;
  }
  expect(own, 'frames with their own box').toBeGreaterThan(15);
  expect(frames.at(-1)?.processing_stats.fps).toBeGreaterThan(1);
  expect(await server.metric('imageflow_decoders_active', { camera: CAMERA })).toBe(1);
  expect(await server.metric('imageflow_viewers', { camera: CAMERA, protocol: 'websocket-frames' })).toBe(1);
});

test('[DIS-3] [EXT-1] stop ends the frames and, with detection off, the decoder; start begins them again', async () => {
  using client = await open('fps=10&width=320');
  const { socket, frames } = client;
  await server.request('PATCH', `/v1/cameras/${CAMERA}`, { pipelines: [] });
  await until('frames without boxes', () => frames.at(-1)?.detections.length === 0);
  const say = (action: string): void => { socket.send(JSON.stringify({ type: 'stream_control', action, camera_id: CAMERA })); };
  say('stop');
  await until('no decoder', async () => await server.metric('imageflow_decoders_active', { camera: CAMERA }) === 0, 5_000);
  const before = frames.length;
  say('start');
  await until('frames again', () => frames.length > before + 3);
});
