import type { Clock } from '../../core/clock.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { InferenceTimings } from '../../inference/port.ts';
import type { CameraQos, SkipReason } from '../port.ts';
import { isFoundAnew } from './capacity.ts';
import { fullFps, levelOf, stepsOf } from './demand.ts';
import type { CameraDemand, DetectionStep, QosPreset } from './demand.ts';
import { PictureCosts } from './picture-costs.ts';
import type { ModelChain } from './picture-costs.ts';
import { INITIAL, decide } from './policy.ts';
import type { QosCause, QosChange, QosState } from './policy.ts';
import { QosWindow } from './qos-window.ts';

const TICK_MS: Milliseconds = 1000;

/** A camera with detectors, as it is set and as the workers are. */
export interface GovernedCamera {
  readonly camera: CameraId;
  /** Of each detector; at least one. */
  readonly detectors: readonly GovernedDetector[];
  readonly preset: QosPreset;
  /** 1..10 */
  readonly priority: number;
}

export interface GovernedDetector {
  /** Pictures a second it asks for. */
  readonly fps: number;
  readonly model: string;
  /** Lighter models that it can run on now, the heaviest first. */
  readonly light: readonly string[];
}

export interface QosGovernorOptions {
  readonly clock: Clock;
  /** Busy share of this machine's cores since the last call, 0..1. */
  readonly cpu: () => number;
  /** The cameras whose detectors run now. */
  readonly cameras: () => readonly GovernedCamera[];
  /** It does not run now, but is to be detected when it is back. */
  readonly away: (camera: CameraId) => boolean;
  /** These run at another step from now on. Not called without any. */
  readonly onChanges: (changes: readonly QosChange[]) => void;
}

/** Measures what becomes of the pictures, lets the policy decide every three seconds, and says at which rate and on which models the detectors of a camera run. */
export class QosGovernor implements Disposable {
  readonly #options: QosGovernorOptions;
  readonly #window = new QosWindow();
  readonly #costs = new PictureCosts();
  readonly #timer: Disposable;
  /** When and why each camera's step was changed last. */
  readonly #told = new Map<CameraId, { readonly at: Milliseconds; readonly cause: QosCause }>();
  #state: QosState = INITIAL;
  /** Counted in ticks, for a timer that comes a millisecond early must not cost the policy a whole round. */
  #now: Milliseconds = 0;

  constructor(options: QosGovernorOptions) {
    this.#options = options;
    this.#timer = options.clock.every(TICK_MS, () => { this.#tick(); });
  }

  /** A detector's picture was seen by the last model of `chain`. */
  onResult(timings: Pick<InferenceTimings, 'queueMs' | 'waitMs' | 'shareMs'>, chain: ModelChain): void {
    this.#window.onResult(timings, chain);
    this.#costs.onResult(chain.at(-1) ?? chain[0], timings.shareMs);
  }

  onSkip(reason: SkipReason, count: number): void {
    this.#window.onSkip(reason, count);
  }

  onUnit(late: boolean): void {
    this.#window.onUnit(late);
  }

  /** What a camera's detectors may run at now: its setting and what overload took from it. */
  step(camera: GovernedCamera): DetectionStep {
    const steps = stepsOf(this.#demandOf(camera));
    return steps[levelOf(steps, this.#loweredOf(camera))] ?? { fps: Infinity, light: 0 };
  }

  present(camera: GovernedCamera): Omit<CameraQos, 'models'> {
    const demand = this.#demandOf(camera);
    const steps = stepsOf(demand);
    const level = levelOf(steps, this.#loweredOf(camera));
    const told = this.#told.get(camera.camera);
    const full = fullFps(demand);
    return { preset: demand.preset, priority: demand.priority, fps: steps[level]?.fps ?? full, fullFps: full, level, since: told?.at ?? null, cause: told?.cause ?? null };
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #loweredOf({ camera }: GovernedCamera): DetectionStep | null {
    return this.#state.cameras.get(camera)?.lowered ?? null;
  }

  #demandOf({ camera, detectors, preset, priority }: GovernedCamera): CameraDemand {
    return { camera, preset, priority, fps: detectors.map(({ fps }) => fps), names: detectors.map(({ light }) => light), light: detectors.map(({ model, light }) => this.#costs.along([model, ...light]).slice(1)) };
  }

  #tick(): void {
    this.#now += TICK_MS;
    const stretch = this.#window.tick(this.#options.cpu());
    if (!stretch) return;
    const { measured, seen } = stretch;
    if (isFoundAnew(this.#state.capacity, measured)) this.#costs.settle();
    const work = seen.reduce((sum, { chain, pictures }) => sum + pictures * (this.#costs.along(chain).at(-1) ?? 1), 0);
    const { state, changes } = decide(this.#state, this.#options.cameras().map((camera) => this.#demandOf(camera)), { ...measured, work }, this.#now, this.#options.away);
    this.#state = state;
    for (const camera of this.#told.keys()) if (!state.cameras.has(camera)) this.#told.delete(camera);
    if (changes.length === 0) return;
    const at = this.#options.clock.now();
    for (const { camera, cause } of changes) this.#told.set(camera, { at, cause });
    this.#window.settle();
    this.#options.onChanges(changes);
  }
}
