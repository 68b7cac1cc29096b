import { clip, ffmpegPush } from '../test/support/media.ts';
import { closedSegments, endOf, startOf } from '../test/support/recordings.ts';
import { TestServer, until } from '../test/support/server.ts';
import type { Bench, Figure } from './support/bench.ts';
import { round } from './support/bench.ts';
import { cpuWithEndedChildren } from './support/process-usage.ts';

const SECONDS = 60;
const CAMERA = 'line';
const WITHIN_MS = 600_000;
const RUNS: readonly (readonly string[])[] = [['detect'], ['detect', 'inspect-320']];

interface Analysis { readonly id: string; readonly state: string; readonly pictures: number; readonly created_at: string; readonly finished_at: string | null }

export const bench: Bench = {
  what: `analysis of ${SECONDS} s of a recorded camera (720p30) with one detector and with two, at the default 15 pictures a second, nothing else going on: recorded time for the time it takes, from the request to the end of the job`,
  async run() {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await TestServer.start());
    const camera = await server.addCamera(CAMERA, { pipelines: [] });
    await using push = ffmpegPush(clip('vtest-720p30.mp4'), server.rtspUrl(camera), { output: ['-t', String(SECONDS), '-c', 'copy'] });
    await push.exit;
    const segments = await closedSegments(server, CAMERA);
    const [first, last] = [segments[0], segments.at(-1)];
    if (!first || !last) throw new Error('nothing is recorded');
    const range = { from: first.start, to: new Date(Math.ceil(endOf(last))).toISOString() };
    const seconds = (endOf(last) - startOf(first)) / 1000;
    const figures: Figure[] = [];
    const processes = (await Promise.all(['control', 'worker'].map((role) => server.pids(role)))).flat();
    const cpu = (): number => processes.reduce((sum, pid) => sum + cpuWithEndedChildren(pid), 0);
    for (const detectors of RUNS) {
      const before = cpu();
      const decoded = await server.metric('imageflow_analysis_decoded_frames_total', { camera: CAMERA });
      const { id } = await server.request<Analysis>('POST', `/v1/recordings/${CAMERA}/analyses`, { ...range, detectors });
      const done = await until('it is done', async () => {
        const job = await server.request<Analysis>('GET', `/v1/analyses/${id}`);
        if (job.state === 'failed') throw new Error(JSON.stringify(job));
        return job.finished_at !== null && { ...job, took: (Date.parse(job.finished_at) - Date.parse(job.created_at)) / 1000 };
      }, WITHIN_MS);
      const speed = seconds / done.took;
      const name = `${String(detectors.length)} detector${detectors.length > 1 ? 's' : ''}`;
      figures.push(
        { figure: `${name}: speed`, value: round(speed, 1), unit: 'recorded seconds a second', target: 'more than 1', met: speed > 1 },
        { figure: `${name}: CPU`, value: round((cpu() - before) / seconds, 0), unit: 'ms for a recorded second, decoding, inference and storing' },
        { figure: `${name}: decoded`, value: (await server.metric('imageflow_analysis_decoded_frames_total', { camera: CAMERA })) - decoded, unit: `pictures, of which ${String(done.pictures)} were looked at` },
      );
    }
    return figures;
  },
};
