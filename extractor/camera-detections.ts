import type { Clock } from '../core/clock.ts';
import type { DetectionResult } from '../core/detection.ts';
import type { CameraId } from '../core/frame-ref.ts';
import { Hub } from '../core/hub.ts';
import type { Metrics } from '../platform/metrics.ts';
import { DetectorMeter } from './detector-figures.ts';
import type { DetectionUnit, ExtractorStats, SkipReason } from './port.ts';
import type { ResultMessage, StatsMessage } from './protocol.ts';

/** What the edge knows of one camera's detections: the Hub of its results and the counts behind the metrics. */
export class CameraDetections implements Disposable {
  readonly hub: Hub<DetectionUnit>;
  readonly #camera: CameraId;
  readonly #metrics: Metrics;
  /** Handles whose decoder runs; more than one only while it moves between processes. */
  readonly #active = new Set<number>();
  readonly #clock: Clock;
  readonly #meter = new DetectorMeter();
  #decoder: string | null = null;
  #decodedFrames = 0;
  #inferredFrames = 0;
  #lastTrack = 0;
  #skipped = new Map<SkipReason, number>();

  constructor(camera: CameraId, metrics: Metrics, clock: Clock) {
    this.#camera = camera;
    this.#clock = clock;
    this.#metrics = metrics;
    this.hub = new Hub<DetectionUnit>({ onDrop: (branch, reason, units) => { metrics.branchDropped.inc({ camera, branch, reason }, units); } });
  }

  get stats(): Omit<ExtractorStats, 'qos' | 'shown' | 'lastCode'> {
    return {
      decodersActive: this.#active.size, decoder: this.#decoder, decodedFrames: this.#decodedFrames, inferredFrames: this.#inferredFrames, skipped: Object.fromEntries(this.#skipped),
      detectors: this.#meter.figures(this.#clock.monotonic()),
    };
  }

  /** The last id of a track; a new process goes on from it, so that none is given twice. */
  get lastTrack(): number {
    return this.#lastTrack;
  }

  onStats(message: StatsMessage): void {
    if (message.decodersActive > 0) this.#active.add(message.handle);
    else this.#active.delete(message.handle);
    if (message.decoder !== null || this.#active.size === 0) this.#decoder = message.decoder;
    for (const device of message.failedDevices) this.#metrics.hardwareFailures.inc({ camera: this.#camera, device });
    this.#metrics.decodersActive.set({ camera: this.#camera }, this.#active.size);
    this.#decodedFrames += message.decodedFrames;
    this.#metrics.decodedFrames.inc({ camera: this.#camera }, message.decodedFrames);
    for (const [reason, count] of Object.entries(message.skipped)) this.skip(reason as SkipReason, count);
  }

  skip(reason: SkipReason, count: number): void {
    this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + count);
    this.#metrics.framesSkipped.inc({ camera: this.#camera, reason }, count);
  }

  /** The process with this handle is gone, and its decoder with it. */
  onGone(handle: number): void {
    this.#active.delete(handle);
    if (this.#active.size === 0) this.#decoder = null;
    this.#metrics.decodersActive.set({ camera: this.#camera }, this.#active.size);
  }

  /** `told`: what of it is told to others. */
  onResult(message: ResultMessage, told: DetectionResult): void {
    const { detector, result, timings } = message;
    this.#inferredFrames++;
    this.#meter.add(message, this.#clock.monotonic());
    for (const { trackId } of result.detections) this.#lastTrack = Math.max(this.#lastTrack, Number(trackId));
    const { model } = result;
    this.#metrics.inferenceSeconds.observe({ model, stage: 'queue' }, timings.queueMs / 1000);
    this.#metrics.inferenceSeconds.observe({ model, stage: 'wait' }, timings.waitMs / 1000);
    this.#metrics.inferenceSeconds.observe({ model, stage: 'model' }, timings.inferenceMs / 1000);
    this.#metrics.inferenceSeconds.observe({ model, stage: 'total' }, timings.totalMs / 1000);
    this.hub.publish({ detector, result: told, byteLength: 256 + 160 * told.detections.length, randomAccess: true });
  }

  [Symbol.dispose](): void {
    this.hub.end();
    this.hub[Symbol.dispose]();
    this.#metrics.decodersActive.remove({ camera: this.#camera });
  }
}
