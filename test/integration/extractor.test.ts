import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock, sleep } from '../../core/clock.ts';
import type { DetectionResult } from '../../core/detection.ts';
import { ExtractorPool } from '../../extractor/extractor-pool.ts';
import type { LivePicture } from '../../extractor/port.ts';
import type { HardwareMode } from '../../extractor/hardware/hardware-choice.ts';
import { HardwareDevices } from '../../extractor/hardware/hardware-devices.ts';
import type { HardwareDevicesOptions } from '../../extractor/hardware/hardware-devices.ts';
import { probeInProcess } from '../../extractor/hardware/hardware-probe.ts';
import { thisMachine } from '../../extractor/hardware/machine.ts';
import { EdgeStreamRegistry } from '../../ingest/stream-registry.ts';
import type { DetectorSpec, EdgeEvent } from '../../media-control/port.ts';
import { ChildProcess } from '../../platform/child-process.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { InspectionTruth } from '../support/inspection-truth.ts';
import { accessUnit, readClip } from './clip.ts';
import type { Clip } from './clip.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const CAMERA = 'line-1';
const IDLE_SECONDS = 3;

let folder: string;
let clip: Clip;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'if-ex-'));
  clip = await readClip(join(ROOT, 'demo/clips/inspection-720p30.mp4'));
});
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

const detector = (id: string, over: Partial<DetectorSpec> = {}): DetectorSpec => ({ id, model: 'inspect-320', fps: 15, confidence: 0.45, ...over });

/** A worker process on its own socket; `warm` when the default model answered. */
const startWorker = (listen: string): { readonly child: ChildProcess; readonly warm: Promise<void> } => {
  let ready = (): void => undefined;
  const warm = new Promise<void>((resolve) => { ready = resolve; });
  const child = ChildProcess.spawn({
    title: 'imageflow-edge worker',
    script: join(ROOT, 'processes/worker.ts'),
    env: { IMAGEFLOW_DATA_DIR: join(folder, 'data'), IMAGEFLOW_WORKER_LISTEN: listen, IMAGEFLOW_INFERENCE_DEFAULT_MODEL: 'inspect-320', IMAGEFLOW_LOG_LEVEL: 'error' },
    onMessage: (message) => { if (message['type'] === 'ready') ready(); },
  });
  return { child, warm };
};

/** The edge around a pool: one camera, a registry, specs that a test can change, everything that was journalled and published. */
class Edge implements AsyncDisposable {
  readonly metrics = createMetrics('test');
  readonly registry = new EdgeStreamRegistry({ graceSeconds: 15, maxSessions: 10, clock: systemClock, metrics: this.metrics, logger: silentLogger() });
  readonly journalled: EdgeEvent[] = [];
  readonly results: DetectionResult[] = [];
  /** Of devices. */
  readonly problems: string[] = [];
  readonly hardware: HardwareDevices;
  readonly pool: ExtractorPool;
  #detectors: readonly DetectorSpec[];
  #specsChanged = (): void => undefined;
  readonly #waiting = new Set<() => void>();
  readonly #stream;
  readonly #publication;
  #seq = 0;
  #shift = 0;

  constructor(workerAddress: string, detectors: readonly DetectorSpec[], mode: HardwareMode = 'auto', machine = thisMachine(), probe: HardwareDevicesOptions['probe'] = (device, signal) => probeInProcess(systemClock, device, signal)) {
    this.#detectors = detectors;
    this.hardware = new HardwareDevices({
      mode, machine, probe, logger: silentLogger(), onProblem: (problem) => { this.problems.push(problem); },
    });
    this.#stream = this.registry.add({ id: CAMERA });
    this.pool = new ExtractorPool({
      processes: 1, idleSeconds: IDLE_SECONDS, annotatedStreams: 1, deadlineMs: 1000, workers: () => [{ address: workerAddress }], logLevel: 'error',
      registry: this.registry,
      specs: (id) => ({ id, name: id, source: { type: 'push' }, detectors: this.#detectors, recording: 'off' }),
      onSpecsChanged: (listener) => { this.#specsChanged = listener; return { [Symbol.dispose]: () => undefined }; },
      hardware: this.hardware,
      journal: { append: (event) => { this.journalled.push(event); } },
      clock: systemClock, logger: silentLogger(), metrics: this.metrics,
    });
    this.pool.detections(CAMERA).attach(({ result }) => { this.results.push(result); this.poke(); });
    this.#publication = this.#stream.beginPublication({
      protocol: 'file',
      stats: () => ({ bytes: 0, packets: 0, lostPackets: 0, jitterMs: null, rttMs: null, nacksSent: 0, plisSent: 0 }),
      requestKeyframe: () => undefined,
      close: () => undefined,
    });
  }

  /** Of the results from the `from`th on. */
  trackIds(from = 0): number[] {
    return this.results.slice(from).flatMap(({ detections }) => detections.map(({ trackId }) => Number(trackId)));
  }

  get epoch(): number { return this.#publication.epoch; }

  setDetectors(detectors: readonly DetectorSpec[]): void {
    this.#detectors = detectors;
    this.#specsChanged();
  }

  /** Publishes `[from, to)` of the clip at its own pace, or as fast as `speed` says; `change` may replace a unit's bytes. */
  async play(from: number, to: number, options: { readonly speed?: number; readonly change?: (data: Buffer, index: number) => Buffer } = {}): Promise<void> {
    const first = clip.units[from]?.dts ?? 0;
    const began = performance.now();
    for (const [i, unit] of clip.units.slice(from, to).entries()) {
      const due = began + (unit.dts - first) / 90 / (options.speed ?? 1);
      const wait = due - performance.now();
      if (wait > 1) await sleep(wait);
      const data = options.change?.(unit.data, i) ?? unit.data;
      // What was changed is said to be random access, so that the decoder sees it and does not wait.
      const randomAccess = unit.randomAccess || options.change !== undefined;
      this.#publication.publish(accessUnit(CAMERA, this.epoch, this.#seq++, { ...unit, data, randomAccess }, clip.tracks, systemClock.monotonic(), this.#shift));
    }
    this.#shift += (clip.units[to - 1]?.dts ?? 0) + 3000 - first;
  }

  /** Plays the clip round and round until `condition` holds. */
  async playUntil(condition: () => boolean, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!condition()) {
      if (performance.now() > deadline) throw new Error(`not so within ${timeoutMs} ms: ${condition.toString()}`);
      await this.play(0, 30);
    }
  }

  async until(condition: () => boolean, timeoutMs: number): Promise<void> {
    const signal = AbortSignal.timeout(timeoutMs);
    while (!condition()) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
        setTimeout(resolve, 50);
      });
    }
  }

  poke(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  async decodersActive(): Promise<number> {
    const { values } = await this.metrics.decodersActive.get();
    return values.reduce((sum, { value }) => sum + value, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]();
    this.hardware[Symbol.dispose]();
    this.registry[Symbol.dispose]();
  }
}

test('[EXT-1][EXT-5] the inspection belt in real time: defects are found on the very frame they are in, by one decoder for two detectors', async () => {
  const listen = `unix:${join(folder, 'a.sock')}`;
  const worker = startWorker(listen);
  await using _worker = worker.child;
  await worker.warm;
  await using edge = new Edge(listen, [detector('belt'), detector('second', { fps: 5, confidence: 0.3 })]);
  let mostDecoders = 0;
  const watch = setInterval(() => { void edge.decodersActive().then((n) => { mostDecoders = Math.max(mostDecoders, n); }); }, 200);
  await edge.play(0, 600);
  clearInterval(watch);
  await edge.until(() => edge.results.some((result) => result.frame.seq >= 590), 5000);

  const truth = new InspectionTruth();
  const seen = new Set<number>();
  for (const { frame, detections } of edge.results) {
    if (seen.has(frame.seq)) continue; // the second detector's view of the same picture
    seen.add(frame.seq);
    expect(frame.stream).toBe(CAMERA);
    truth.compare(frame.seq, detections.filter((d) => d.confidence >= 0.45));
  }
  const stats = edge.pool.stats(CAMERA);
  expect(truth.wanted).toBeGreaterThan(100);
  expect(truth.recall).toBeGreaterThanOrEqual(0.85);
  expect(truth.precision).toBeGreaterThanOrEqual(0.85);
  expect(mostDecoders).toBe(1);
  expect(stats?.decodedFrames).toBeLessThanOrEqual(600);
  const journalled = edge.journalled.flatMap((event) => (event.type === 'detections' ? event.results : []));
  expect(journalled.length).toBeGreaterThan(0);
  expect(edge.journalled.length).toBeLessThan(150);
});

test('[EXT-3][EXT-5][INF-6] a detector changes its model from one picture to the next: in order, by the same decoder, and objects keep their ids', async () => {
  const listen = `unix:${join(folder, 'm.sock')}`;
  const models = join(folder, 'data', 'models');
  mkdirSync(models, { recursive: true });
  for (const file of ['inspect-320.onnx', 'inspect-320.json']) copyFileSync(join(ROOT, 'models', file), join(models, file.replace('320', 'other')));
  const worker = startWorker(listen);
  await using _worker = worker.child;
  await worker.warm;
  await using edge = new Edge(listen, [detector('belt')]);
  await edge.playUntil(() => edge.results.length > 3 && edge.pool.stats(CAMERA)?.qos?.models.length === 1, 20_000);
  const seenBy = (model: string) => edge.results.filter((result) => result.model === model);
  edge.setDetectors([detector('belt', { light: ['inspect-other'] })]);
  await edge.playUntil(() => edge.pool.stats(CAMERA)?.qos?.models[0]?.light[0]?.state === 'ready', 20_000);
  const from = edge.results.length;
  const tracksOf = (model: string) => new Set(edge.results.slice(from).filter((result) => result.model === model).flatMap(({ detections }) => detections.map(({ trackId }) => trackId)));
  const shared = () => [...tracksOf('inspect-320')].filter((id) => tracksOf('inspect-other').has(id)).length;
  const playing = edge.play(0, 600); // one scene: where the clip begins anew no object goes on
  // A machine that is busy may show it few pictures a second: then an object may be gone before the other model looks.
  for (let round = 0; round < 4 || (shared() === 0 && round < 12); round++) {
    const model = round % 2 === 0 ? 'inspect-other' : 'inspect-320';
    const before = seenBy(model).length;
    edge.setDetectors([detector('belt', { model })]);
    await edge.until(() => seenBy(model).length >= before + 5, 15_000);
  }
  await playing;
  expect(shared()).toBeGreaterThan(0);
  for (const [i, { frame: { seq } }] of edge.results.entries()) expect(seq).toBeGreaterThan(edge.results[i - 1]?.frame.seq ?? -1);
  expect(await edge.decodersActive()).toBe(1);
  const { decoder_restart: restarts = 0, decoder_error: errors = 0 } = edge.pool.stats(CAMERA)?.skipped ?? {};
  expect([restarts, errors]).toEqual([0, 0]);
});

test('[EXT-1] [EXT-9] pictures wanted every five seconds cost a decoding of key frames; they are as new as their key frame, and a still is of the newest picture', async () => {
  await using edge = new Edge(`unix:${join(folder, 'none.sock')}`, []);
  const keyframes = clip.units.flatMap(({ randomAccess }, i) => (randomAccess ? [i] : []));
  expect(keyframes.length).toBeGreaterThan(4);
  const shown: LivePicture[] = [];
  const JPEG = { format: 'jpeg', width: 320, height: null, quality: 80, annotated: false } as const;
  using _watching = edge.pool.pictures.watch(CAMERA, JPEG, 0.2, (picture) => { shown.push(picture); });
  const [, second = 0] = keyframes;
  await edge.play(0, clip.units.length, { speed: 4 });
  await edge.until(() => (edge.pool.stats(CAMERA)?.decodedFrames ?? 0) >= second + keyframes.length - 1, 5_000);
  const decoded = edge.pool.stats(CAMERA)?.decodedFrames ?? 0;
  expect(decoded).toBeLessThanOrEqual(second + keyframes.length + 1); // all until it is known how often key frames come
  expect(shown.length).toBeGreaterThanOrEqual(3);
  expect(shown.slice(1).every(({ frame }) => keyframes.includes(frame.seq))).toBe(true);
  expect(await edge.pool.pictures.still(CAMERA, JPEG, AbortSignal.timeout(5_000))).toMatchObject({ frame: { seq: clip.units.length - 1 } });
});

test('[EXT-9] whoever asks for a picture of a camera that nobody decodes gets one with its next picture, not with its next key frame', async () => {
  await using edge = new Edge(`unix:${join(folder, 'none.sock')}`, []);
  const keyframe = clip.units.findIndex(({ randomAccess }, i) => randomAccess && i > 0);
  const middle = Math.floor(keyframe / 2);
  await edge.play(0, middle, { speed: 4 });
  const still = edge.pool.pictures.still(CAMERA, { format: 'jpeg', width: 320, height: null, quality: 80, annotated: false }, AbortSignal.timeout(10_000));
  await edge.until(() => edge.pool.stats(CAMERA)?.decodedFrames === middle, 5_000);
  await edge.play(middle, middle + 1);
  expect((await still).frame.seq).toBeGreaterThanOrEqual(middle - 1);
});

test('[EXT-8] a device that is named and not there costs nothing but a word: detection runs in software', async () => {
  const listen = `unix:${join(folder, 'h.sock')}`;
  const worker = startWorker(listen);
  await using _worker = worker.child;
  await worker.warm;
  await using edge = new Edge(listen, [detector('belt')], 'videotoolbox'); // of macOS alone
  await edge.hardware.tried;
  expect(edge.problems).toEqual([expect.stringMatching(/extractor\.hardware is videotoolbox, which cannot be used: .*\. Video is decoded in software\./)]);
  await edge.playUntil(() => edge.results.length > 5 && edge.pool.stats(CAMERA)?.decoder === 'software', 20_000);
  expect(edge.pool.stats(CAMERA)).toMatchObject({ decodersActive: 1, decoder: 'software' });
});

test('[EXT-7] [EXT-8] a device that fails in the extractor process is given up for its camera there, and detection goes on', async () => {
  const listen = `unix:${join(folder, 'i.sock')}`;
  const worker = startWorker(listen);
  await using _worker = worker.child;
  await worker.warm;
  // Trusted by the edge, and gone when the extractor opens it: what a graphics card that fell off the bus looks like.
  const gone = { type: 'vaapi', device: '/dev/null' } as const;
  await using edge = new Edge(listen, [detector('belt')], 'vaapi', { platform: 'linux', renderNodes: [gone.device], nvidia: false }, () => Promise.resolve({ decode: ['h264'], encode: false, failures: {} }));
  await edge.hardware.tried;
  expect(edge.hardware.message).toEqual({ decode: { h264: gone }, encode: null, software: [] });
  await edge.playUntil(() => edge.results.length > 5 && edge.pool.stats(CAMERA)?.decoder === 'software', 20_000);
  const failures = await edge.metrics.hardwareFailures.get();
  expect(failures.values).toEqual([{ labels: { camera: CAMERA, device: 'vaapi /dev/null' }, value: 1 }]);
  expect(edge.pool.pids).toHaveLength(1);
});

test('[EXT-1] no detector, no process and no decoder; switched on it decodes at once from the cached GOP, switched off it is gone within 5 s', async () => {
  const listen = `unix:${join(folder, 'b.sock')}`;
  const worker = startWorker(listen);
  await using _worker = worker.child;
  await worker.warm;
  await using edge = new Edge(listen, []);
  await edge.play(0, 20);
  expect(edge.pool.pids).toEqual([]);
  edge.setDetectors([detector('belt')]);
  expect(edge.pool.pids).toHaveLength(1);
  await edge.playUntil(() => edge.results.length > 5, 20_000);
  const off = performance.now();
  edge.setDetectors([]);
  let gone = false;
  await edge.playUntil(() => { void edge.decodersActive().then((n) => { gone = n === 0; }); return gone && edge.pool.pids.length === 0; }, 10_000);
  expect(performance.now() - off).toBeLessThan(6000);
});

test('[EXT-7] an extractor that hangs is ended, and detections resume in a new one', async () => {
  const listen = `unix:${join(folder, 'h.sock')}`;
  const worker = startWorker(listen);
  await using _worker = worker.child;
  await worker.warm;
  await using edge = new Edge(listen, [detector('belt')]);
  await edge.playUntil(() => edge.results.length > 3, 20_000);
  const [pid] = edge.pool.pids;
  process.kill(pid!, 'SIGSTOP');
  await edge.playUntil(() => edge.pool.pids.length === 1 && edge.pool.pids[0] !== pid, 30_000);
  const count = edge.results.length;
  await edge.playUntil(() => edge.results.length > count + 3, 20_000);
});

test('[EXT-7][INF-1][INF-6] detections resume after kill -9 of the extractor and of the worker, and no track has the id of an earlier one', async () => {
  const listen = `unix:${join(folder, 'c.sock')}`;
  const first = startWorker(listen);
  await first.warm;
  await using edge = new Edge(listen, [detector('belt')]);
  await edge.playUntil(() => edge.results.length > 3, 20_000);
  await edge.playUntil(() => edge.trackIds().length > 0, 20_000);
  const [pid] = edge.pool.pids;
  process.kill(pid!, 'SIGKILL');
  await edge.playUntil(() => edge.pool.pids.length === 1 && edge.pool.pids[0] !== pid, 10_000);
  let count = edge.results.length;
  const before = edge.trackIds();
  await edge.playUntil(() => edge.trackIds(count).length > 0, 20_000);
  expect(Math.min(...edge.trackIds(count))).toBeGreaterThan(Math.max(...before));

  first.child.kill('SIGKILL');
  await first.child.exited;
  await edge.play(0, 30);
  const second = startWorker(listen);
  await using _second = second.child;
  await second.warm;
  count = edge.results.length;
  await edge.playUntil(() => edge.results.length > count + 3, 20_000);
  expect(edge.pool.stats(CAMERA)?.skipped.worker_lost).toBeGreaterThan(0);
});

test('[EXT-7] 200 mutated access units cost pictures, not the edge: afterwards detections go on', async () => {
  const listen = `unix:${join(folder, 'd.sock')}`;
  const worker = startWorker(listen);
  await using _worker = worker.child;
  await worker.warm;
  await using edge = new Edge(listen, [detector('belt')]);
  await edge.playUntil(() => edge.results.length > 3, 20_000);
  let seed = 12_345;
  const random = (below: number): number => { seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0; return seed % below; };
  await edge.play(0, 200, {
    speed: 2,
    change: (data, i) => {
      switch (i % 5) {
        case 0: return data.subarray(0, random(data.length) + 1);
        case 1: { const copy = Buffer.from(data); for (let k = 0; k < 20; k++) copy.writeUInt8(random(256), random(copy.length)); return copy; }
        case 2: return Buffer.from(Array.from({ length: random(2000) + 1 }, () => random(256)));
        case 3: { const copy = Buffer.from(data); copy.writeUInt32BE(0xffffffff, 0); return copy; }
        default: { const copy = Buffer.from(data); for (let k = 4; k < copy.length; k += 50) copy.writeUInt8(random(256), k); return copy; }
      }
    },
  });
  const count = edge.results.length;
  await edge.playUntil(() => edge.results.length > count + 10, 20_000);
  expect(edge.pool.stats(CAMERA)?.skipped.decoder_error).toBeGreaterThan(50);
});
