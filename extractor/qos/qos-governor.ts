import type { Clock } from '../../core/clock.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { InferenceTimings } from '../../inference/port.ts';
import type { CameraQos, SkipReason } from '../port.ts';
import { fullFps, stepsOf } from './demand.ts';
import type { CameraDemand, QosPreset } from './demand.ts';
import { INITIAL, decide } from './policy.ts';
import type { QosCause, QosChange, QosState } from './policy.ts';
import { QosWindow } from './qos-window.ts';

const TICK_MS: Milliseconds = 1000;

export interface QosGovernorOptions {
  readonly clock: Clock;
  /** Busy share of this machine's cores since the last call, 0..1. */
  readonly cpu: () => number;
  /** The cameras whose detectors run now. */
  readonly demands: () => readonly CameraDemand[];
  /** It does not run now, but is to be detected when it is back. */
  readonly away: (camera: CameraId) => boolean;
  /** These run at another rate from now on. Not called without any. */
  readonly onChanges: (changes: readonly QosChange[]) => void;
}

/** Measures what becomes of the pictures, lets the policy decide every three seconds, and says at which rate the detectors of a camera run. */
export class QosGovernor implements Disposable {
  readonly #options: QosGovernorOptions;
  readonly #window = new QosWindow();
  readonly #timer: Disposable;
  /** When and why each camera's rate was changed last. */
  readonly #told = new Map<CameraId, { readonly at: Milliseconds; readonly cause: QosCause }>();
  #state: QosState = INITIAL;
  /** Counted in ticks, for a timer that comes a millisecond early must not cost the policy a whole round. */
  #now: Milliseconds = 0;

  constructor(options: QosGovernorOptions) {
    this.#options = options;
    this.#timer = options.clock.every(TICK_MS, () => { this.#tick(); });
  }

  onResult(timings: Pick<InferenceTimings, 'queueMs' | 'waitMs'>): void {
    this.#window.onResult(timings);
  }

  onSkip(reason: SkipReason, count: number): void {
    this.#window.onSkip(reason, count);
  }

  onUnit(late: boolean): void {
    this.#window.onUnit(late);
  }

  /** The detectors as they may run now: none faster than the camera's setting and its present step allow. */
  limit<D extends { readonly fps: number }>(camera: CameraId, detectors: readonly D[], preset: QosPreset): readonly D[] {
    if (detectors.length === 0) return detectors;
    const cap = Math.min(fullFps({ fps: detectors.map(({ fps }) => fps), preset }), this.#state.cameras.get(camera)?.lowered ?? Infinity);
    return detectors.map((detector) => (detector.fps > cap ? { ...detector, fps: cap } : detector));
  }

  present(demand: CameraDemand): CameraQos {
    const full = fullFps(demand);
    const fps = Math.min(full, this.#state.cameras.get(demand.camera)?.lowered ?? Infinity);
    const told = this.#told.get(demand.camera);
    return { preset: demand.preset, priority: demand.priority, fps, fullFps: full, level: stepsOf(demand).indexOf(fps), since: told?.at ?? null, cause: told?.cause ?? null };
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #tick(): void {
    this.#now += TICK_MS;
    const measured = this.#window.tick(this.#options.cpu());
    if (!measured) return;
    const demands = this.#options.demands();
    const { state, changes } = decide(this.#state, demands, measured, this.#now, this.#options.away);
    this.#state = state;
    for (const camera of this.#told.keys()) if (!state.cameras.has(camera)) this.#told.delete(camera);
    if (changes.length === 0) return;
    const at = this.#options.clock.now();
    for (const { camera, cause } of changes) this.#told.set(camera, { at, cause });
    this.#window.settle();
    this.#options.onChanges(changes);
  }
}
