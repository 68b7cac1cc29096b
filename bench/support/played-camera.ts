import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep, systemClock } from '../../core/clock.ts';
import { ExtractorPool } from '../../extractor/extractor-pool.ts';
import { HardwareDevices } from '../../extractor/hardware/hardware-devices.ts';
import { thisMachine } from '../../extractor/hardware/machine.ts';
import { FakeWorker } from '../../inference/testing/fake-worker.ts';
import type { Infer } from '../../inference/testing/fake-worker.ts';
import type { CameraStream, Publication } from '../../ingest/port.ts';
import { EdgeStreamRegistry } from '../../ingest/stream-registry.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { accessUnit, readClip } from '../../test/integration/clip.ts';
import type { Clip } from '../../test/integration/clip.ts';
import { until } from '../../test/support/server.ts';
import { cpuMilliseconds } from './process-usage.ts';

const CAMERA = 'camera';
const CLOCK_RATE = 90_000;
const WARM_MS = 30_000;

/**
 * A clip of 30 pictures a second that this process plays, as an edge does, into an extractor process with one detector of 15 pictures a second and 416². Its
 * worker is in this process, too: `infer` in the model's place, behind the real protocol.
 */
export class PlayedCamera implements AsyncDisposable {
  static readonly fps = 30;
  readonly id = CAMERA;
  readonly pool: ExtractorPool;
  /** From each picture's access unit to its result, as they came, milliseconds. */
  readonly delays: number[] = [];
  readonly #clip: Clip;
  readonly #stream: CameraStream;
  /** Null: it ended, as nothing was played for ten seconds, in which something else is measured. */
  #publication: Publication | null = null;
  readonly #published = new Map<number, number>();
  readonly #stack: AsyncDisposableStack;
  #sequence = 0;

  private constructor(clip: Clip, pool: ExtractorPool, stream: CameraStream, stack: AsyncDisposableStack) {
    this.#clip = clip;
    this.pool = pool;
    this.#stream = stream;
    this.#stack = stack;
    pool.detections(CAMERA).attach(({ result }) => { this.delays.push(performance.now() - (this.#published.get(result.frame.seq) ?? 0)); });
  }

  static async start(path: string, infer: Infer): Promise<PlayedCamera> {
    const stack = new AsyncDisposableStack();
    const clip = await readClip(path);
    const folder = mkdtempSync(join(tmpdir(), 'if-bench-'));
    stack.defer(() => { rmSync(folder, { recursive: true, force: true }); });
    const worker = stack.use(await FakeWorker.start({ listen: `unix:${join(folder, 'w.sock')}`, models: { m: infer } }));
    const metrics = createMetrics('bench');
    const registry = stack.use(new EdgeStreamRegistry({ graceSeconds: 5, maxSessions: 5, clock: systemClock, metrics, logger: silentLogger() }));
    const stream = registry.add({ id: CAMERA });
    const pool = stack.use(new ExtractorPool({
      processes: 1, idleSeconds: 3, annotatedStreams: 1, deadlineMs: 1000, workers: () => [{ address: worker.address }], logLevel: 'error', registry,
      hardware: new HardwareDevices({ mode: 'off', machine: thisMachine(), probe: () => Promise.reject(new Error('off')), logger: silentLogger(), onProblem: () => undefined }),
      specs: (id) => ({ id, name: id, source: { type: 'push' }, recording: 'off', detectors: [{ id: 'd', model: 'm', fps: 15, confidence: null }] }),
      onSpecsChanged: () => ({ [Symbol.dispose]: () => undefined }),
      journal: { append: () => undefined }, clock: systemClock, logger: silentLogger(), metrics,
    }));
    return new PlayedCamera(clip, pool, stream, stack);
  }

  /** Plays the clip's first second until its pictures are answered. Throws when that takes too long. */
  async warmUp(speed: number): Promise<void> {
    const before = this.delays.length;
    await until('pictures are answered', async () => {
      await this.play(0, 1, speed);
      return this.delays.length > before;
    }, WARM_MS);
  }

  /** Publishes `seconds` of the clip from the second `from` on, where a random access picture is, `speed` times as fast as a camera; and waits for what is on its way. */
  async play(from: number, seconds: number, speed: number): Promise<void> {
    const { fps } = PlayedCamera;
    const publication = this.#publication ??= this.#publish();
    const units = this.#clip.units.slice(from * fps, (from + seconds) * fps);
    const began = performance.now();
    const shift = (this.#sequence * CLOCK_RATE) / fps - (units[0]?.pts ?? 0); // its time goes on, whatever is played
    for (const [i, unit] of units.entries()) {
      const wait = began + (i * 1000) / fps / speed - performance.now();
      if (wait > 1) await sleep(wait);
      const sequence = this.#sequence++;
      this.#published.set(sequence, performance.now());
      publication.publish(accessUnit(CAMERA, publication.epoch, sequence, unit, this.#clip.tracks, performance.now(), shift));
    }
    await sleep(500);
  }

  /** CPU of the extractor process so far, milliseconds. */
  extractorCpu(): number {
    const pid = this.pool.pids[0];
    if (pid === undefined) throw new Error('no extractor');
    return cpuMilliseconds(pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#publication?.end('left', 'measured');
    await this.#stack.disposeAsync();
  }

  #publish(): Publication {
    return this.#stream.beginPublication({
      protocol: 'file',
      stats: () => ({ bytes: 0, packets: 0, lostPackets: 0, jitterMs: null, rttMs: null, nacksSent: 0, plisSent: 0 }),
      requestKeyframe: () => undefined,
      close: () => { this.#publication = null; },
    });
  }
}
