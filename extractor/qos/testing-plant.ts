import { FakeClock } from '../../core/testing-clock.ts';
import type { CameraDemand, DetectionStep } from './demand.ts';
import type { ModelChain } from './picture-costs.ts';
import type { QosChange } from './policy.ts';
import { QosGovernor } from './qos-governor.ts';
import type { GovernedCamera } from './qos-governor.ts';

export interface SimulatedCamera {
  readonly id: string;
  /** Of its only detector. */
  readonly fps: number;
  readonly priority: number;
  /** Null: it does not run. */
  readonly preset?: CameraDemand['preset'];
  /** Milliseconds of a picture with each of its lighter models in turn; with its own it is `OWN_MS`. */
  readonly light?: readonly number[];
}

export interface Step extends QosChange {
  /** Seconds since the begin. */
  readonly second: number;
}

/** Milliseconds of a picture with a detector's own model. */
export const OWN_MS = 10;

/** Cameras on workers of so many pictures a second of the detectors' own models: what does not fit is lost, spread evenly as the dispatcher's turns do. */
export class Plant implements Disposable {
  readonly #clock = new FakeClock();
  readonly #governor: QosGovernor;
  #cameras: readonly SimulatedCamera[];
  /** Pictures a second that all workers manage together, with the detectors' own models. */
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
      cameras: () => this.#cameras.map(governed),
      onChanges: (changes) => { for (const change of changes) this.steps.push({ ...change, second: this.second }); },
    });
  }

  set cameras(cameras: readonly SimulatedCamera[]) { this.#cameras = cameras; }

  /** What a camera's detector runs at now. */
  fps(camera: string): number {
    const found = this.#cameras.find(({ id }) => id === camera);
    if (!found) throw new Error(`no camera ${camera}`);
    return this.#stepOf(found).fps;
  }

  get allFps(): readonly number[] { return this.#cameras.map((camera) => this.#stepOf(camera).fps); }
  get total(): number { return this.allFps.reduce((sum, fps) => sum + fps, 0); }
  /** Which of its lighter models each camera's detector runs on, 0 its own. */
  get allLight(): readonly number[] { return this.#cameras.map((camera) => this.#stepOf(camera).light); }
  /** What all really cost a second, in pictures of the detectors' own models. */
  get load(): number {
    return this.#cameras.reduce((sum, camera) => {
      const { fps, light } = this.#stepOf(camera);
      return sum + (fps * msOf(camera, light)) / OWN_MS;
    }, 0);
  }

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

  #stepOf(camera: SimulatedCamera): DetectionStep {
    return this.#governor.step(governed(camera));
  }

  #second(): void {
    const running = this.#cameras.map((camera) => ({ ...camera, step: this.#stepOf(camera) }));
    const share = Math.min(1, this.capacity / this.load);
    for (const { step: { fps, light }, ...camera } of running) {
      const { id } = camera;
      const [chain, shareMs] = [chainOf(camera, light), msOf(camera, light)];
      // Whole pictures; what is left over comes later.
      const whole = (key: string, rate: number): number => {
        const sum = (this.#backlog.get(key) ?? 0) + rate;
        this.#backlog.set(key, sum - Math.floor(sum));
        return Math.floor(sum);
      };
      const delivered = whole(`${id} delivered`, fps * share);
      const lost = whole(`${id} lost`, fps * (1 - share));
      for (let i = 0; i < delivered; i++) this.#governor.onResult({ queueMs: share < 1 ? 60 : 0, waitMs: 5, shareMs }, chain);
      this.#governor.onSkip('superseded', lost);
      this.#governor.onSkip('fps', Math.max(0, 30 - fps));
    }
    for (let i = 0; i < 30 * this.#cameras.length; i++) this.#governor.onUnit(i < this.late);
  }
}

const lighterOf = ({ light = [] }: SimulatedCamera): readonly string[] => light.map((ms) => `lighter of ${ms} ms`);

const msOf = (camera: SimulatedCamera, light: number): number => (light === 0 ? OWN_MS : (camera.light?.[light - 1] ?? OWN_MS));

const chainOf = (camera: SimulatedCamera, light: number): ModelChain => ['own', ...lighterOf(camera).slice(0, light)];

const governed = (camera: SimulatedCamera): GovernedCamera => ({
  camera: camera.id, preset: camera.preset ?? 'auto', priority: camera.priority, detectors: [{ fps: camera.fps, model: 'own', light: lighterOf(camera) }],
});
