import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep, systemClock } from '../core/clock.ts';
import { ExtractorPool } from '../extractor/extractor-pool.ts';
import { FakeWorker } from '../inference/testing/fake-worker.ts';
import { EdgeStreamRegistry } from '../ingest/stream-registry.ts';
import { silentLogger } from '../platform/logging.ts';
import { createMetrics } from '../platform/metrics.ts';
import { accessUnit, readClip } from '../test/integration/clip.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { cpuMilliseconds } from './support/process-usage.ts';

const CLIP = join(import.meta.dirname, '..', 'test/fixtures/media/vtest-1080p30.mp4');
const SECONDS = 20;
const FPS = 30;
/** Faster than any camera, as ffmpeg does it, so that neither has cold caches after pauses; not so fast that pictures are dropped. CPU is counted per second of video. */
const SPEED = 4;
const WARM_UP_UNITS = 60;

/** CPU of ffmpeg doing the same, single-threaded: decode, 15 fps, area scale, pad, rgb24, away. Milliseconds. */
const ffmpegCpu = (): number => {
  const filter = 'fps=15,scale=416:234:flags=area,pad=416:416:0:91:color=0x727272';
  const script = `TIMEFORMAT='%U %S'; { time ffmpeg -v error -threads 1 -ss 2 -i "$0" -t ${SECONDS} -an -vf ${filter} -pix_fmt rgb24 -f rawvideo -y /dev/null; } 2>&1`;
  const [user, system] = execFileSync('bash', ['-c', script, CLIP], { encoding: 'utf8' }).trim().split(' ').map(Number);
  return 1000 * ((user ?? 0) + (system ?? 0));
};

export const bench: Bench = {
  what: 'decode + scale + deliver 15 fps 416² of 1080p30, the gRPC hand-over to a worker included, against ffmpeg -threads 1',
  async run() {
    const clip = await readClip(CLIP);
    const folder = mkdtempSync(join(tmpdir(), 'if-bench-'));
    await using worker = await FakeWorker.start({ listen: `unix:${join(folder, 'w.sock')}`, models: { m: () => [] } });
    const metrics = createMetrics('bench');
    using registry = new EdgeStreamRegistry({ graceSeconds: 5, maxSessions: 5, clock: systemClock, metrics, logger: silentLogger() });
    const stream = registry.add({ id: 'camera' });
    await using pool = new ExtractorPool({
      processes: 1, idleSeconds: 3, deadlineMs: 1000, worker: () => ({ address: worker.address }), logLevel: 'error', registry,
      specs: (id) => ({ id, name: id, source: { type: 'push' }, recording: 'off', detectors: [{ id: 'd', model: 'm', fps: 15, confidence: null }] }),
      onSpecsChanged: () => ({ [Symbol.dispose]: () => undefined }),
      journal: { append: () => undefined }, clock: systemClock, logger: silentLogger(), metrics,
    });
    const published = new Map<number, number>();
    const delays: number[] = [];
    pool.detections('camera').attach(({ result }) => { delays.push(performance.now() - (published.get(result.frame.seq) ?? 0)); });
    const publication = stream.beginPublication({
      protocol: 'file',
      stats: () => ({ bytes: 0, packets: 0, lostPackets: 0, jitterMs: null, rttMs: null, nacksSent: 0, plisSent: 0 }),
      requestKeyframe: () => undefined,
      close: () => undefined,
    });
    const play = async (from: number, to: number): Promise<void> => {
      const began = performance.now();
      for (const [i, unit] of clip.units.slice(from, to).entries()) {
        const wait = began + (i * 1000) / FPS / SPEED - performance.now();
        if (wait > 1) await sleep(wait);
        published.set(from + i, performance.now());
        publication.publish(accessUnit('camera', publication.epoch, from + i, unit, clip.tracks, performance.now()));
      }
      await sleep(500);
    };
    const before = ffmpegCpu();
    await play(0, WARM_UP_UNITS);
    const pid = pool.pids[0];
    if (pid === undefined) throw new Error('no extractor');
    const startCpu = cpuMilliseconds(pid);
    const startEdge = process.cpuUsage();
    const inferredBefore = delays.length;
    await play(WARM_UP_UNITS, WARM_UP_UNITS + SECONDS * FPS);
    const child = cpuMilliseconds(pid) - startCpu;
    const edge = process.cpuUsage(startEdge);
    const ffmpeg = (before + ffmpegCpu()) / 2;
    publication.end('left', 'measured');
    rmSync(folder, { recursive: true, force: true });
    const ratio = child / ffmpeg;
    return [
      { figure: 'extractor CPU', value: round(child / SECONDS, 1), unit: 'ms per stream-second' },
      { figure: 'ffmpeg CPU, mean of a run before and one after', value: round(ffmpeg / SECONDS, 1), unit: 'ms per stream-second' },
      { figure: 'ratio', value: round(ratio), unit: '×', target: '1.2 at most', met: ratio <= 1.2 },
      { figure: 'edge and fake worker CPU', value: round((edge.user + edge.system) / 1000 / SECONDS, 1), unit: 'ms per stream-second' },
      { figure: 'pictures delivered', value: delays.length - inferredBefore, unit: `of ${SECONDS * 15}` },
      { figure: 'access unit to result without the model, p50', value: round(quantile(delays.slice(inferredBefore), 0.5), 1), unit: 'ms' },
      { figure: 'access unit to result without the model, p99', value: round(quantile(delays.slice(inferredBefore), 0.99), 1), unit: 'ms' },
    ];
  },
};
