import { closeSync, openSync, readSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ffmpegMake } from '../test/support/media.ts';
import { RespawningCamera } from '../test/support/respawning-camera.ts';
import { endOf, idsOnDisk, playbackPath, segmentsOf, startOf } from '../test/support/recordings.ts';
import { takeSlowly } from '../test/support/slow-client.ts';
import type { TakenAnswer } from '../test/support/slow-client.ts';
import { TestServer, until } from '../test/support/server.ts';
import type { Bench } from './support/bench.ts';
import { round } from './support/bench.ts';

const CAMERA = 'rolling';
/** Of the range, which is also the rolling window: `SLOW_PLAYBACK_MINUTES=15 npm run bench -- slow-playback` takes half an hour. */
const MINUTES = Number(process.env['SLOW_PLAYBACK_MINUTES'] ?? 5);
const MB = 1e6;
/** As much as is recorded in the same time: one that keeps pace with the window, and one that does not. */
const RATES = [MB, MB / 2];

interface Played extends TakenAnswer {
  /** Bytes that are not those which were there before. */
  readonly wrong: number;
  readonly seconds: number;
}

/** Plays a range at `rate`, and holds it against a file of what it was. */
const play = async (server: TestServer, path: string, reference: string, rate: number): Promise<Played> => {
  const began = performance.now();
  const file = openSync(reference, 'r');
  let position = 0;
  let wrong = 0;
  const answer = await takeSlowly(`${server.http}${path}`, server.token, rate, (bytes) => {
    const there = Buffer.alloc(bytes.length);
    const length = readSync(file, there, 0, bytes.length, position);
    if (!there.subarray(0, length).equals(bytes)) wrong += bytes.length;
    position += bytes.length;
  });
  const taken = await answer.done;
  closeSync(file);
  return { ...taken, wrong, seconds: (performance.now() - began) / 1000 };
};

export const bench: Bench = {
  what: `a range of ${MINUTES} minutes, 1 MB a second, played over HTTP at 1 and at 0.5 MB/s, while the rolling window of as many minutes passes over it and retention deletes its files [D-16]`,
  async run() {
    await using stack = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'imageflow-slow-'));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    const server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_WINDOW_MINUTES: String(MINUTES) } }));
    const camera = await server.addCamera(CAMERA, { pipelines: [] });
    const noise = ['-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=30', '-t', '20', '-vf', 'noise=alls=20:allf=t', '-c:v', 'libx264', '-preset', 'veryfast', '-pix_fmt', 'yuv420p', '-b:v', '8M', '-maxrate', '8M', '-bufsize', '8M', '-g', '30', '-bf', '0'];
    stack.use(new RespawningCamera(await ffmpegMake(noise, join(folder, 'dense.mp4')), server.rtspUrl(camera)));
    await until('it is recorded', async () => (await segmentsOf(server, CAMERA)).length > 0);
    await sleep(MINUTES * 60_000);
    // Without the first minute, which goes while the file to compare with is fetched, and the open one, which grows.
    const lasting = Date.now() - (MINUTES - 1) * 60_000;
    const closed = (await segmentsOf(server, CAMERA)).filter((segment) => !segment.open && startOf(segment) >= lasting);
    const [first, last] = [closed[0], closed.at(-1)];
    if (!first || !last) throw new Error('nothing is recorded');
    const path = playbackPath(CAMERA, Math.ceil(startOf(first)), Math.floor(endOf(last)) - 1);
    const reference = join(folder, 'reference.mp4');
    const answer = await server.fetch(path);
    if (!answer.ok || !answer.body) throw new Error(`${path}: ${String(answer.status)}`);
    await writeFile(reference, answer.body);
    const before = await idsOnDisk(server.dataDir, CAMERA);
    const [pacing, late] = await Promise.all(RATES.map((rate) => play(server, path, reference, rate)));
    if (!pacing || !late) throw new Error('not played');
    for (const { etag } of [pacing, late]) if (etag !== answer.headers.get('etag')) throw new Error('another file was played than was compared with');
    const now = new Set(await idsOnDisk(server.dataDir, CAMERA));
    const eaten = before.filter((id) => !now.has(id)).length;
    const figures = (name: string, { complete, byteLength, promised, wrong, seconds }: Played, target: string, met: boolean) => [
      { figure: `${name}: taken`, value: round(byteLength / MB, 0), unit: `MB of ${round((promised ?? 0) / MB, 0)}, ${complete ? 'whole' : 'cut'}, in ${round(seconds, 0)} s`, target, met },
      { figure: `${name}: wrong bytes`, value: wrong, unit: '', target: 'none', met: wrong === 0 },
    ];
    return [
      { figure: 'files of the range deleted meanwhile', value: eaten, unit: `of ${before.length}`, target: 'more than none', met: eaten > 0 },
      ...figures('1 MB/s', pacing, 'whole', pacing.complete && pacing.byteLength === pacing.promised),
      ...figures('0.5 MB/s', late, 'cut, where it is overtaken', !late.complete && late.byteLength < (late.promised ?? 0)),
    ];
  },
};
