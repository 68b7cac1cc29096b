import { setTimeout as sleep } from 'node:timers/promises';
import { readClip } from '../demo/mp4-clip.ts';
import { clip } from '../test/support/media.ts';
import { decodedPictures } from '../test/support/mp4-packets.ts';
import { NotingCamera } from '../test/support/noting-camera.ts';
import { closedSegments, filesOf, recordedPictures, segmentsOf, startOf } from '../test/support/recordings.ts';
import { TestServer, until } from '../test/support/server.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';

const CAMERAS = 10;
const KILLS = 3;
const RECORD_MS = 5_000;
const PART_MS = 200;
const FRAME_MS = 1000 / 30;
/** A part is complete, and written, when the picture behind it comes: that one is lost with it when the kill comes in these milliseconds. */
const MOST_LOST = PART_MS / FRAME_MS + 1;
export const bench: Bench = {
  what: `kill -9 of the edge while it records ${CAMERAS} RTSP cameras (720p30), ${KILLS} times: pictures sent before the kill that are in no file, for each camera; afterwards every file is decoded by ffmpeg`,
  async run() {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await TestServer.start({ env: { IMAGEFLOW_SESSION_GRACE_SECONDS: '2' } }));
    const pictures = await readClip(clip('vtest-720p30-baseline.mp4'));
    const cameras = await Promise.all(Array.from({ length: CAMERAS }, async (_, i) => {
      const camera = await server.addCamera(`camera-${i}`, { pipelines: [] });
      return stack.use(new NotingCamera(pictures, server, camera));
    }));
    const kills: number[] = [];
    const recordingSince = (at: number): Promise<unknown> => until('every camera is recorded', async () =>
      (await Promise.all(cameras.map(({ id }) => segmentsOf(server, id)))).every((segments) => segments.some((segment) => segment.open && startOf(segment) > at)), 60_000);
    let since = Date.now();
    for (let i = 0; i < KILLS; i++) {
      await recordingSince(since);
      await sleep(RECORD_MS + Math.random() * PART_MS);
      const [edge] = await server.pids('edge');
      if (edge === undefined) throw new Error('no edge');
      since = Date.now();
      kills.push(since);
      process.kill(edge, 'SIGKILL');
      await until('another edge', async () => { const [now] = await server.pids('edge'); return now !== undefined && now !== edge; });
    }
    await recordingSince(since);
    for (const camera of cameras) await camera[Symbol.asyncDispose]();
    const lost: number[] = [];
    let files = 0;
    let broken = 0;
    for (const { id, sent } of cameras) {
      await closedSegments(server, id);
      const recorded = new Set((await recordedPictures(server.dataDir, id)).map(({ frame }) => frame.rtpTs));
      const missing = sent.filter(({ rtpTimestamp }) => !recorded.has(rtpTimestamp));
      for (const [i, kill] of kills.entries()) lost.push(missing.filter(({ at }) => at <= kill && at > (kills[i - 1] ?? 0)).length);
      for (const { path } of await filesOf(server.dataDir, id)) {
        files++;
        const decoded = await decodedPictures(path).catch(() => 0);
        if (decoded === 0) broken++;
      }
    }
    const most = Math.max(...lost);
    return [
      { figure: 'lost at a kill, worst', value: round(most * FRAME_MS, 0), unit: `ms (${most} pictures)`, target: `one part of ${PART_MS} ms, and the picture that completes it, at most`, met: most <= MOST_LOST },
      { figure: 'lost at a kill, p50', value: round(quantile(lost, 0.5) * FRAME_MS, 0), unit: 'ms' },
      { figure: 'kills × cameras', value: lost.length, unit: '' },
      { figure: 'files that do not play to their end', value: broken, unit: `of ${files}`, target: 'none', met: broken === 0 },
    ];
  },
};
