import type { CameraId } from '../core/frame-ref.ts';
import type { CameraSpec, DetectorSpec } from '../media-control/port.ts';
import type { ExtractorPoolOptions } from './extractor-pool-options.ts';
import { LighterModels } from './lighter-models.ts';
import type { CameraQos, SkipReason } from './port.ts';
import type { ModelsMessage, ResultMessage, StatsMessage } from './protocol.ts';
import { CpuLoad } from './qos/cpu-load.ts';
import { DEFAULT_PRIORITY } from './qos/demand.ts';
import type { DetectionStep } from './qos/demand.ts';
import type { QosChange } from './qos/policy.ts';
import { QosGovernor } from './qos/qos-governor.ts';
import type { GovernedCamera } from './qos/qos-governor.ts';
import { sentDetector } from './sent-detector.ts';
import type { SentDetector } from './sent-detector.ts';

/** About so many seconds in which a lighter model's pictures are refused and none is seen: it is left. */
const STRIKES = 2;

export interface DetectionRatesOptions<Slot> extends Pick<ExtractorPoolOptions, 'clock' | 'logger' | 'metrics' | 'journal' | 'specs' | 'cpu'> {
  readonly cameras: () => Iterable<CameraId>;
  /** The process that decodes the camera; null: none does now; undefined: there is no such camera. */
  readonly slotOf: (camera: CameraId) => Slot | null | undefined;
  /** The camera's detectors are to be sent anew. */
  readonly onChange: (camera: CameraId) => void;
}

/** At which rate and on which models the cameras' detectors run: what is asked for, as far as there is capacity for it; each change is told [EXT-2] [EXT-3]. */
export class DetectionRates<Slot> implements Disposable {
  readonly #options: DetectionRatesOptions<Slot>;
  readonly #governor: QosGovernor;
  readonly #lighter: LighterModels<Slot>;
  /** By camera and detector, the model that was told last where it is not the detector's own. */
  readonly #toldModels = new Map<CameraId, ReadonlyMap<string, string>>();
  /** By camera, what the metric of models shows. */
  readonly #shown = new Map<CameraId, readonly { readonly detector: string; readonly model: string }[]>();
  /** By camera, models that have seen a picture since its last statistics, and how often in a row a lighter one has not, and pictures were refused. */
  readonly #heard = new Map<CameraId, Set<string>>();
  readonly #strikes = new Map<CameraId, number>();

  constructor(options: DetectionRatesOptions<Slot>) {
    this.#options = options;
    this.#lighter = new LighterModels(options.clock, options.logger);
    const load = new CpuLoad();
    this.#governor = new QosGovernor({
      clock: options.clock, cpu: options.cpu ?? (() => load.take()),
      cameras: () => [...options.cameras()].flatMap((camera) => this.#governed(camera) ?? []),
      away: (camera) => options.slotOf(camera) === null && (options.specs(camera)?.detectors.length ?? 0) > 0,
      onChanges: (changes) => { for (const change of changes) this.#follow(change); },
    });
  }

  /** A camera's detectors as they may run now. */
  detectors(camera: CameraId): readonly SentDetector[] {
    const spec = this.#options.specs(camera);
    if (!spec || spec.detectors.length === 0) return [];
    const step = this.#governor.step(this.#govern(spec));
    return spec.detectors.map((detector) => ({ ...sentDetector(detector), model: this.#modelAt(camera, detector, step), fps: Math.min(detector.fps, step.fps) }));
  }

  /** Null: nothing of the camera is detected now. */
  present(camera: CameraId): CameraQos | null {
    const spec = this.#options.specs(camera);
    const governed = this.#governed(camera);
    if (!spec || !governed) return null;
    const step = this.#governor.step(governed);
    return {
      ...this.#governor.present(governed),
      models: spec.detectors.map((detector) => ({ detector: detector.id, model: this.#modelAt(camera, detector, step), full: detector.model, light: this.#lighter.of(this.#options.slotOf(camera), detector) })),
    };
  }

  onResult(camera: CameraId, { detector, result, timings }: Pick<ResultMessage, 'detector' | 'result' | 'timings'>): void {
    const heard = this.#heard.get(camera);
    if (heard) heard.add(result.model);
    else this.#heard.set(camera, new Set([result.model]));
    const spec = this.#options.specs(camera)?.detectors.find(({ id }) => id === detector);
    this.#governor.onResult(timings, spec && spec.model !== result.model ? [spec.model, ...this.#usableTo(camera, spec, result.model)] : [result.model]);
  }

  /** What became of its other pictures, in about a second. A lighter model that only refuses them is left: lowered must not mean blind. */
  onSkips(camera: CameraId, { skipped, refusedModels }: Pick<StatsMessage, 'skipped' | 'refusedModels'>): void {
    for (const [reason, count] of Object.entries(skipped)) this.#governor.onSkip(reason as SkipReason, count);
    const heard = this.#heard.get(camera);
    this.#heard.delete(camera);
    const blind = refusedModels.length > 0 ? (this.present(camera)?.models ?? []).filter(({ model, full }) => model !== full && refusedModels.includes(model) && !heard?.has(model)) : [];
    const strikes = blind.length > 0 ? (this.#strikes.get(camera) ?? 0) + 1 : 0;
    if (strikes < STRIKES) {
      this.#strikes.set(camera, strikes);
      return;
    }
    this.#strikes.delete(camera);
    for (const { model } of blind) this.#lighter.fail(model);
    for (const each of this.#options.cameras()) this.#options.onChange(each);
  }

  onUnit(late: boolean): void {
    this.#governor.onUnit(late);
  }

  /** A process tells which models its workers have ready: detectors may run on others from now on. */
  takeModels(slot: Slot, models: ModelsMessage['models']): void {
    this.#lighter.take(slot, models);
    for (const camera of this.#options.cameras()) if (this.#options.slotOf(camera) === slot) this.#options.onChange(camera);
  }

  forget(slot: Slot): void {
    this.#lighter.forget(slot);
  }

  /** In the metrics, for as long as something of the camera is detected. */
  show(camera: CameraId): void {
    const { qosFps, qosLevel, qosModel } = this.#options.metrics;
    const now = this.present(camera);
    const models = (now?.models ?? []).map(({ detector, model }) => ({ detector, model }));
    for (const before of this.#shown.get(camera) ?? []) if (!models.some(({ detector, model }) => detector === before.detector && model === before.model)) qosModel.remove({ camera, ...before });
    if (now === null) {
      this.#shown.delete(camera);
      if (this.#options.slotOf(camera) === undefined) for (const remembered of [this.#toldModels, this.#heard, this.#strikes]) remembered.delete(camera);
      qosFps.remove({ camera });
      qosLevel.remove({ camera });
      return;
    }
    this.#shown.set(camera, models);
    qosFps.set({ camera }, now.fps);
    qosLevel.set({ camera }, now.level);
    for (const each of models) qosModel.set({ camera, ...each }, 1);
  }

  [Symbol.dispose](): void {
    this.#governor[Symbol.dispose]();
  }

  #governed(camera: CameraId): GovernedCamera | null {
    const spec = this.#options.specs(camera);
    return spec && spec.detectors.length > 0 && this.#options.slotOf(camera) ? this.#govern(spec) : null;
  }

  #govern({ id, detectors, qos, priority }: CameraSpec): GovernedCamera {
    return { camera: id, preset: qos ?? 'auto', priority: priority ?? DEFAULT_PRIORITY, detectors: detectors.map((detector) => ({ fps: detector.fps, model: detector.model, light: this.#usable(id, detector) })) };
  }

  #usable(camera: CameraId, detector: DetectorSpec): readonly string[] {
    return this.#lighter.of(this.#options.slotOf(camera), detector).filter(({ state }) => state === 'ready').map(({ model }) => model);
  }

  /** Those it is lowered through to this one, which may be usable no more. */
  #usableTo(camera: CameraId, detector: DetectorSpec, model: string): readonly string[] {
    const usable = this.#usable(camera, detector);
    return usable.includes(model) ? usable.slice(0, usable.indexOf(model) + 1) : [model];
  }

  #modelAt(camera: CameraId, detector: DetectorSpec, { light }: DetectionStep): string {
    const usable = this.#usable(camera, detector);
    return light === 0 ? detector.model : (usable[Math.min(light, usable.length) - 1] ?? detector.model);
  }

  #follow({ camera, from, to, full, cause }: QosChange): void {
    const { clock, logger, metrics, journal, specs, onChange } = this.#options;
    const told = this.#toldModels.get(camera);
    const models = (specs(camera)?.detectors ?? []).map((detector) => ({ detector: detector.id, from: told?.get(detector.id) ?? detector.model, to: this.#modelAt(camera, detector, to), full: detector.model }));
    this.#toldModels.set(camera, new Map(models.filter((each) => each.to !== each.full).map((each) => [each.detector, each.to])));
    logger.info({ camera, from: from.fps, to: to.fps, full, models, cause }, 'detection rate changed');
    metrics.qosChanges.inc({ camera, cause });
    journal.append({ type: 'rate-changed', change: { camera, at: clock.now(), from: from.fps, to: to.fps, full, models, cause } }, 'later');
    onChange(camera);
    this.show(camera);
  }
}
