import { setTimeout as sleep } from 'node:timers/promises';
import { readClip } from '../demo/mp4-clip.ts';
import { killEdge, recordedSince } from '../test/support/kill-edge.ts';
import { clip } from '../test/support/media.ts';
import { countedFrames } from '../test/support/mp4-packets.ts';
import { NotingCamera } from '../test/support/noting-camera.ts';
import { closedSegments, filesOf } from '../test/support/recordings.ts';
import { TestServer } from '../test/support/server.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';

const CAMERAS = 5;
const KILLS = 50;
/** The supervisor waits up to 15 s before it starts what dies young again: a quarter of an hour in all. */
const RECORD_MS = 2_000;
const PART_MS = 200;
const FRAME_MS = 1000 / 30;
/** Some two minutes of the cameras: retention is at work all the time. */
const MAX_BYTES = 150_000_000;

export const bench: Bench = {
  what: `kill -9 of the edge, ${KILLS} times, while it records ${CAMERAS} RTSP cameras (720p30) and retention deletes the oldest: pictures sent before a kill that are in no file, by kill and camera; afterwards every file is decoded`,
  async run() {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await TestServer.start({ env: { IMAGEFLOW_SESSION_GRACE_SECONDS: '2', IMAGEFLOW_RECORDER_MAX_BYTES: String(MAX_BYTES) } }));
    const pictures = await readClip(clip('vtest-720p30-baseline.mp4'));
    const cameras: NotingCamera[] = [];
    for (let i = 0; i < CAMERAS; i++) cameras.push(stack.use(new NotingCamera(pictures, server, await server.addCamera(`camera-${i}`, { pipelines: [] }))));
    await recordedSince(server, cameras, 0);
    const lost: number[] = [];
    for (let i = 0; i < KILLS; i++) {
      await sleep(RECORD_MS + Math.random() * PART_MS);
      lost.push(...await killEdge(server, cameras));
    }
    for (const camera of cameras) await camera[Symbol.asyncDispose]();
    let files = 0;
    let broken = 0;
    for (const { id } of cameras) {
      const listed = new Set((await closedSegments(server, id)).map((segment) => segment.id));
      for (const file of await filesOf(server.dataDir, id)) {
        if (!listed.has(file.id)) continue; // expired, and still there for readers
        files++;
        if (await countedFrames(file.path).catch(() => 0) === 0) broken++;
      }
    }
    const p50 = quantile(lost, 0.5) * FRAME_MS;
    const most = Math.max(...lost) * FRAME_MS;
    return [
      { figure: 'lost at a kill, p50', value: round(p50, 0), unit: 'ms', target: '200 ms at most', met: p50 <= 200 },
      { figure: 'lost at a kill, worst', value: round(most, 0), unit: 'ms', target: '500 ms at most', met: most <= 500 },
      { figure: 'kills × cameras', value: lost.length, unit: '' },
      { figure: 'files that do not play', value: broken, unit: `of ${files}`, target: 'none', met: broken === 0 },
    ];
  },
};
