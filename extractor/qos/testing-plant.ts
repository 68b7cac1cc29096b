import { FakeClock } from '../../core/testing-clock.ts';
import type { DetectorSpec } from '../../media-control/port.ts';
import type { CameraDemand } from './demand.ts';
import type { QosChange } from './policy.ts';
import { QosGovernor } from './qos-governor.ts';

export interface SimulatedCamera {
  readonly id: string;
  /** Of its only detector. */
  readonly fps: number;
  readonly priority: number;
  /** Null: it does not run. */
  readonly preset?: CameraDemand['preset'];
}

export interface Step extends QosChange {
  /** Seconds since the begin. */
  readonly second: number;
}

const DETECTOR: Omit<DetectorSpec, 'fps'> = { id: 'detect', model: 'm', confidence: null };

/** Cameras on workers of so many pictures a second: what does not fit is lost, spread evenly as the dispatcher's turns do. */
export class Plant implements Disposable {
  readonly #clock = new FakeClock();
  readonly #governor: QosGovernor;
  #cameras: readonly SimulatedCamera[];
  /** Pictures a second that all workers manage together. */
  capacity: number;
  cpu = 0.3;
  late = 0;
  /** Every change there was. */
  readonly steps: Step[] = [];
  readonly #backlog = new Map<string, number>();
  second = 0;

  constructor(cameras: readonly SimulatedCamera[], capacity: number) {
    this.#cameras = cameras;
    this.capacity = capacity;
    this.#governor = new QosGovernor({
      clock: this.#clock, cpu: () => this.cpu, away: () => false,
      demands: () => this.#cameras.map(({ id, fps, priority, preset = 'auto' }) => ({ camera: id, fps: [fps], preset, priority })),
      onChanges: (changes) => { for (const change of changes) this.steps.push({ ...change, second: this.second }); },
    });
  }

  set cameras(cameras: readonly SimulatedCamera[]) { this.#cameras = cameras; }

  /** What a camera's detector runs at now. */
  fps(camera: string): number {
    const found = this.#cameras.find(({ id }) => id === camera);
    if (!found) throw new Error(`no camera ${camera}`);
    return this.#governor.limit(camera, [{ ...DETECTOR, fps: found.fps }], found.preset ?? 'auto')[0]?.fps ?? 0;
  }

  get allFps(): readonly number[] { return this.#cameras.map(({ id }) => this.fps(id)); }
  get total(): number { return this.allFps.reduce((sum, fps) => sum + fps, 0); }

  run(seconds: number, each?: () => void): void {
    for (let i = 0; i < seconds; i++) {
      this.#second();
      this.second++;
      this.#clock.advance(1000);
      each?.();
    }
  }

  [Symbol.dispose](): void {
    this.#governor[Symbol.dispose]();
  }

  #second(): void {
    const share = Math.min(1, this.capacity / this.total);
    for (const { id } of this.#cameras) {
      const fps = this.fps(id);
      // Whole pictures; what is left over comes later.
      const whole = (key: string, rate: number): number => {
        const sum = (this.#backlog.get(key) ?? 0) + rate;
        this.#backlog.set(key, sum - Math.floor(sum));
        return Math.floor(sum);
      };
      const delivered = whole(`${id} delivered`, fps * share);
      const lost = whole(`${id} lost`, fps * (1 - share));
      for (let i = 0; i < delivered; i++) this.#governor.onResult({ queueMs: share < 1 ? 60 : 0, waitMs: 5 });
      this.#governor.onSkip('superseded', lost);
      this.#governor.onSkip('fps', Math.max(0, 30 - fps));
    }
    for (let i = 0; i < 30 * this.#cameras.length; i++) this.#governor.onUnit(i < this.late);
  }
}
