import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clip, ffmpegMake } from '../test/support/media.ts';
import { TestServer } from '../test/support/server.ts';
import { VideoStreamClient } from '../test/support/video-stream-client.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';

const FPS = 15;
const SECONDS = 20;
const WARM_UP = 30;
/** Frames on their way when nobody waits for the one before. */
const AHEAD = 8;

/** Some seconds of a clip as pictures. */
const picturesOf = async (format: 'jpg' | 'png'): Promise<readonly Buffer[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'if-bench-pictures-'));
  try {
    await ffmpegMake(['-i', clip('vtest-720p30.mp4'), '-vf', 'fps=5', '-frames:v', '30', '-q:v', '3'], join(folder, `%03d.${format}`));
    return readdirSync(folder).sort().map((file) => readFileSync(join(folder, file)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

interface Round { readonly trip: number; readonly model: number; readonly decode: number; readonly resize: number; readonly queue: number; readonly total: number }

/** Sends pictures as a camera would; how long each took at the client, and of it the parts the server tells. Milliseconds. */
const paced = async (stream: VideoStreamClient, pictures: readonly Buffer[], count: number, processedData = 'none'): Promise<readonly Round[]> => {
  const began = performance.now();
  return Promise.all(Array.from({ length: count }, async (_, i) => {
    await new Promise((resolve) => { setTimeout(resolve, Math.max(0, began + (1000 * i) / FPS - performance.now())); });
    const sentAt = performance.now();
    const { stats, error } = await stream.ask({ frameData: pictures[i % pictures.length] ?? Buffer.alloc(0), ...(i === 0 && { metadata: { processingParams: { processed_data: processedData } } }) });
    if (error || !stats) throw new Error(`a frame was answered ${error?.code ?? 'without statistics'}`);
    return { trip: performance.now() - sentAt, model: stats.inferenceMs, decode: stats.decodeMs, resize: stats.resizeMs, queue: stats.queueMs, total: stats.totalMs };
  }));
};

/** Answers a second with several frames on their way. */
const unpaced = async (stream: VideoStreamClient, pictures: readonly Buffer[]): Promise<number> => {
  const end = performance.now() + 8_000;
  let answered = 0;
  await Promise.all(Array.from({ length: AHEAD }, async () => {
    while (performance.now() < end) {
      await stream.ask({ frameData: pictures[answered % pictures.length] ?? Buffer.alloc(0) });
      answered++;
    }
  }));
  return answered / 8;
};

export const bench: Bench = {
  what: `CameraStreamProcessor.ProcessVideoStream: a frame of 720p leaves the client → its detections are there, less the model's own time; nanodet-g-416.int8.u8 at ${String(FPS)} frames a second, client and server on one machine`,
  async run() {
    await using server = await TestServer.start();
    const figures: Figure[] = [];
    for (const format of ['jpg', 'png'] as const) {
      const pictures = await picturesOf(format);
      using stream = new VideoStreamClient(server.grpc, server.token);
      await paced(stream, pictures, WARM_UP);
      const rounds = await paced(stream, pictures, FPS * SECONDS);
      const rate = await unpaced(stream, pictures);
      const drawn = await paced(stream, pictures, FPS * SECONDS, 'annotated');
      const at = (part: (each: Round) => number, q = 0.5, of = rounds): number => round(quantile(of.map(part), q), 1);
      const without = at(({ trip, model }) => trip - model);
      const name = format === 'jpg' ? 'JPEG' : 'PNG';
      figures.push(
        { figure: `${name} (${String(Math.round(pictures.reduce((sum, { length }) => sum + length, 0) / pictures.length / 1000))} kB): round trip without the model, p50`, value: without, unit: 'ms', ...(format === 'jpg' && { target: '15 ms at most', met: without <= 15 }) },
        { figure: `${name}: the same, p99`, value: at(({ trip, model }) => trip - model, 0.99), unit: 'ms' },
        { figure: `${name}: whole round trip, p50`, value: at(({ trip }) => trip), unit: 'ms', ...(format === 'jpg' && { target: '50 ms at most', met: at(({ trip }) => trip) <= 50 }) },
        { figure: `${name}: of it decoding, p50`, value: at(({ decode }) => decode), unit: 'ms' },
        { figure: `${name}: of it into the model's size, p50`, value: at(({ resize }) => resize), unit: 'ms' },
        { figure: `${name}: of it the model, p50`, value: at(({ model }) => model), unit: 'ms' },
        { figure: `${name}: of it between client and server, p50`, value: at(({ trip, total }) => trip - total), unit: 'ms' },
        { figure: `${name}, and back with its boxes drawn in: round trip without the model, p50`, value: at(({ trip, model }) => trip - model, 0.5, drawn), unit: 'ms' },
        { figure: `${name}: frames a second with ${String(AHEAD)} on their way`, value: round(rate, 0), unit: '/s' },
      );
    }
    return figures;
  },
};
