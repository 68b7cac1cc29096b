import { setTimeout as sleep } from 'node:timers/promises';
import { clip, ffmpegPush } from '../test/support/media.ts';
import { closedSegments, filesOf } from '../test/support/recordings.ts';
import { TestServer } from '../test/support/server.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { cpuMilliseconds, memoryMebibytes } from './support/process-usage.ts';
import { recordedFrames } from './support/recorded-frames.ts';

/** So many at once, one run after the other. */
const CAMERAS = [10, 20, 40] as const;
const SECONDS = 120;
const FRAMES = SECONDS * 30;
/** Cameras connect. */
const CONNECTED_SECONDS = 10;
/** V8 has compiled most of what runs for every packet; the more cameras, the sooner. A server records for months. */
const SETTLED_SECONDS = 40;
const MINUTE = 60;
const MEASURED_UNTIL = SECONDS - 5;
/** What "flat" lets the garbage collector do. */
const FLAT = 0.05;
/** Hashing and index included. */
const MOST_CPU_MS = 5.5;

const record = async (cameras: number): Promise<readonly Figure[]> => {
  await using server = await TestServer.start({ env: { IMAGEFLOW_SESSION_GRACE_SECONDS: '1' } });
  const added = await Promise.all(Array.from({ length: cameras }, (_, i) => server.addCamera(`camera-${i}`, { pipelines: [] })));
  const [edge] = await server.pids('edge');
  if (edge === undefined) throw new Error('no edge');
  await using stack = new AsyncDisposableStack();
  const began = performance.now();
  const elapsed = (): number => (performance.now() - began) / 1000;
  const pushes = added.map((camera) => stack.use(ffmpegPush(clip('vtest-1080p30.mp4'), server.rtspUrl(camera), { loop: true, output: ['-c', 'copy', '-frames:v', String(FRAMES)] })));

  await sleep(CONNECTED_SECONDS * 1000);
  const used = (): { readonly cpu: number; readonly at: number } => ({ cpu: cpuMilliseconds(edge), at: elapsed() });
  const perStreamSecond = (from: ReturnType<typeof used>, to: ReturnType<typeof used>): number => (to.cpu - from.cpu) / (to.at - from.at) / cameras;
  const connected = used();
  let settled = connected;
  const rss: { at: number; value: number }[] = [];
  while (elapsed() < MEASURED_UNTIL) {
    rss.push({ at: elapsed(), value: memoryMebibytes(edge).rss });
    await sleep(500);
    if (settled === connected && elapsed() >= SETTLED_SECONDS) settled = used();
  }
  const ended = used();
  const steady = perStreamSecond(settled, ended);
  for (const push of pushes) {
    const { code, stderr } = await push.exit;
    if (code !== 0) throw new Error(`ffmpeg ended with ${String(code)}: ${stderr}`);
  }
  let frames = 0;
  let bytes = 0;
  for (const { id } of added) {
    await closedSegments(server, id);
    frames += await recordedFrames(server.dataDir, id);
    for (const file of await filesOf(server.dataDir, id)) bytes += file.bytes;
  }
  const between = (start: number, end: number): number => quantile(rss.filter(({ at }) => at >= start && at < end).map(({ value }) => value), 0.5);
  const early = between(MINUTE, MINUTE + 10);
  const late = between(MEASURED_UNTIL - 10, MEASURED_UNTIL);
  const of = `${cameras} cameras: `;
  return [
    { figure: `${of}CPU of the edge, from ${SETTLED_SECONDS} s after the start on`, value: round(steady), unit: 'ms per stream-second', target: `${MOST_CPU_MS} ms at most`, met: steady <= MOST_CPU_MS },
    { figure: `${of}CPU of the edge, from ${CONNECTED_SECONDS} to ${SETTLED_SECONDS} s`, value: round(perStreamSecond(connected, settled)), unit: 'ms per stream-second' },
    { figure: `${of}frames recorded`, value: frames, unit: `of ${cameras * FRAMES}`, target: 'all', met: frames === cameras * FRAMES },
    { figure: `${of}RSS of the edge 60–70 s after the start, median`, value: round(early, 0), unit: 'MiB' },
    { figure: `${of}RSS of the edge ${MEASURED_UNTIL - 10}–${MEASURED_UNTIL} s after the start, median`, value: round(late, 0), unit: 'MiB', target: `flat: at most ${FLAT * 100} % more`, met: late <= early * (1 + FLAT) },
    { figure: `${of}RSS of the edge, peak`, value: round(Math.max(...rss.map(({ value }) => value)), 0), unit: 'MiB' },
    { figure: `${of}written`, value: round(bytes / 2 ** 20, 0), unit: 'MiB' },
  ];
};

export const bench: Bench = {
  what: `${CAMERAS.join(', ')} RTSP cameras 1080p30 3.75 Mbit/s (ffmpeg on the same machine, its CPU not counted), recorded for ${SECONDS} s; detection off`,
  async run() {
    const figures: Figure[] = [];
    for (const cameras of CAMERAS) figures.push(...await record(cameras));
    return figures;
  },
};
