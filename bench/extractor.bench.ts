import { clip } from '../test/support/media.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { ffmpegCpu } from './support/ffmpeg-cpu.ts';
import { PlayedCamera } from './support/played-camera.ts';

const CLIP = clip('vtest-1080p30.mp4');
/** Rounds, ffmpeg and we by turns: a shared machine is not equally fast for long. Each begins at a key frame of its own. */
const ROUNDS = 3;
const SECONDS = 18;
/** Faster than any camera, as ffmpeg does it, so that neither has cold caches after pauses; not so fast that pictures come late and are left out. CPU is counted per second of video. */
const MOST_SPEED = 4;
/** Of one core, so that a slow machine's extractor keeps up. */
const BUSY_SHARE = 0.35;
const FIRST_SECOND = 2;

/** CPU of ffmpeg doing the same, single-threaded: decode, 15 fps, area scale, pad, rgb24, away. Milliseconds. */
const comparedCpu = (from: number): Promise<number> =>
  ffmpegCpu(['-threads', '1', '-ss', String(from), '-i', CLIP, '-t', String(SECONDS), '-an', '-vf', 'fps=15,scale=416:234:flags=area,pad=416:416:0:91:color=0x727272', '-pix_fmt', 'rgb24', '-f', 'rawvideo', '/dev/null']);

export const bench: Bench = {
  what: 'decode + scale + deliver 15 fps 416² of 1080p30, the gRPC hand-over to a worker included, against ffmpeg -threads 1',
  async run() {
    await using camera = await PlayedCamera.start(CLIP, () => []);
    const speed = Math.min(MOST_SPEED, (BUSY_SHARE * 1000 * SECONDS) / await comparedCpu(FIRST_SECOND));
    const delays: number[] = [];
    const rounds: { child: number; ffmpeg: number; edge: number }[] = [];
    for (let from = FIRST_SECOND; rounds.length < ROUNDS; from += SECONDS) {
      const before = await comparedCpu(from);
      await camera.warmUp(speed);
      const [answered, childCpu, edgeCpu] = [camera.delays.length, camera.extractorCpu(), process.cpuUsage()];
      await camera.play(from, SECONDS, speed);
      const edge = process.cpuUsage(edgeCpu);
      delays.push(...camera.delays.slice(answered));
      rounds.push({ child: camera.extractorCpu() - childCpu, edge: (edge.user + edge.system) / 1000, ffmpeg: (before + await comparedCpu(from)) / 2 });
    }
    const median = (of: (round: (typeof rounds)[number]) => number): number => quantile(rounds.map(of), 0.5);
    const ratio = median(({ child, ffmpeg }) => child / ffmpeg);
    return [
      { figure: 'extractor CPU', value: round(median(({ child }) => child) / SECONDS, 1), unit: 'ms per stream-second' },
      { figure: 'ffmpeg CPU, mean of a run before and one after', value: round(median(({ ffmpeg }) => ffmpeg) / SECONDS, 1), unit: 'ms per stream-second' },
      { figure: `ratio, median of ${ROUNDS} rounds`, value: round(ratio), unit: '×', target: '1.2 at most', met: ratio <= 1.2 },
      { figure: 'edge and fake worker CPU', value: round(median(({ edge }) => edge) / SECONDS, 1), unit: 'ms per stream-second' },
      { figure: 'pictures delivered', value: delays.length, unit: `of ${ROUNDS * SECONDS * 15}` },
      { figure: 'access unit to result without the model, p50', value: round(quantile(delays, 0.5), 1), unit: 'ms' },
      { figure: 'access unit to result without the model, p99', value: round(quantile(delays, 0.99), 1), unit: 'ms' },
    ];
  },
};
