import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sleep, systemClock } from '../core/clock.ts';
import { ExtractorPool } from '../extractor/extractor-pool.ts';
import { HardwareDevices } from '../extractor/hardware/hardware-devices.ts';
import { thisMachine } from '../extractor/hardware/machine.ts';
import { FakeWorker } from '../inference/testing/fake-worker.ts';
import { EdgeStreamRegistry } from '../ingest/stream-registry.ts';
import { silentLogger } from '../platform/logging.ts';
import { createMetrics } from '../platform/metrics.ts';
import { accessUnit, readClip } from '../test/integration/clip.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { cpuMilliseconds } from './support/process-usage.ts';

const CLIP = join(import.meta.dirname, '..', 'test/fixtures/media/vtest-1080p30.mp4');
const FPS = 30;
/** Rounds, ffmpeg and we by turns: a shared machine is not equally fast for long. Each begins at a key frame of its own. */
const ROUNDS = 3;
const SECONDS = 18;
/** Faster than any camera, as ffmpeg does it, so that neither has cold caches after pauses; not so fast that pictures come late and are left out. CPU is counted per second of video. */
const MOST_SPEED = 4;
/** Of one core, so that a slow machine's extractor keeps up. */
const BUSY_SHARE = 0.35;
const WARM_UP_SECONDS = 2;

/** CPU of ffmpeg doing the same, single-threaded: decode, 15 fps, area scale, pad, rgb24, away. Milliseconds. */
const ffmpegCpu = async (from: number): Promise<number> => {
  const filter = 'fps=15,scale=416:234:flags=area,pad=416:416:0:91:color=0x727272';
  const script = `TIMEFORMAT='%U %S'; { time ffmpeg -v error -threads 1 -ss ${from} -i "$0" -t ${SECONDS} -an -vf ${filter} -pix_fmt rgb24 -f rawvideo -y /dev/null; } 2>&1`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script, CLIP]);
  const [user, system] = stdout.trim().split(' ').map(Number);
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
      processes: 1, idleSeconds: 3, annotatedStreams: 1, deadlineMs: 1000, workers: () => [{ address: worker.address }], logLevel: 'error', registry, hardware: new HardwareDevices({ mode: 'off', machine: thisMachine(), probe: () => Promise.reject(new Error('off')), logger: silentLogger(), onProblem: () => undefined }),
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
    const speed = Math.min(MOST_SPEED, (BUSY_SHARE * 1000 * SECONDS) / await ffmpegCpu(WARM_UP_SECONDS));
    const play = async (from: number, seconds: number): Promise<void> => {
      const began = performance.now();
      for (const [i, unit] of clip.units.slice(from * FPS, (from + seconds) * FPS).entries()) {
        const wait = began + (i * 1000) / FPS / speed - performance.now();
        if (wait > 1) await sleep(wait);
        published.set(from * FPS + i, performance.now());
        publication.publish(accessUnit('camera', publication.epoch, from * FPS + i, unit, clip.tracks, performance.now()));
      }
      await sleep(500);
    };
    await play(0, WARM_UP_SECONDS);
    const pid = pool.pids[0];
    if (pid === undefined) throw new Error('no extractor');
    const inferredBefore = delays.length;
    const rounds: { child: number; ffmpeg: number; edge: number }[] = [];
    for (let from = WARM_UP_SECONDS; rounds.length < ROUNDS; from += SECONDS) {
      const before = await ffmpegCpu(from);
      const [childCpu, edgeCpu] = [cpuMilliseconds(pid), process.cpuUsage()];
      await play(from, SECONDS);
      const edge = process.cpuUsage(edgeCpu);
      rounds.push({ child: cpuMilliseconds(pid) - childCpu, edge: (edge.user + edge.system) / 1000, ffmpeg: (before + await ffmpegCpu(from)) / 2 });
    }
    publication.end('left', 'measured');
    rmSync(folder, { recursive: true, force: true });
    const median = (of: (round: (typeof rounds)[number]) => number): number => quantile(rounds.map(of), 0.5);
    const ratio = median(({ child, ffmpeg }) => child / ffmpeg);
    return [
      { figure: 'extractor CPU', value: round(median(({ child }) => child) / SECONDS, 1), unit: 'ms per stream-second' },
      { figure: 'ffmpeg CPU, mean of a run before and one after', value: round(median(({ ffmpeg }) => ffmpeg) / SECONDS, 1), unit: 'ms per stream-second' },
      { figure: `ratio, median of ${ROUNDS} rounds`, value: round(ratio), unit: '×', target: '1.2 at most', met: ratio <= 1.2 },
      { figure: 'edge and fake worker CPU', value: round(median(({ edge }) => edge) / SECONDS, 1), unit: 'ms per stream-second' },
      { figure: 'pictures delivered', value: delays.length - inferredBefore, unit: `of ${ROUNDS * SECONDS * 15}` },
      { figure: 'access unit to result without the model, p50', value: round(quantile(delays.slice(inferredBefore), 0.5), 1), unit: 'ms' },
      { figure: 'access unit to result without the model, p99', value: round(quantile(delays.slice(inferredBefore), 0.99), 1), unit: 'ms' },
    ];
  },
};
