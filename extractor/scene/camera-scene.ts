import { randomUUID } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import type { DetectionResult } from '../../core/detection.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { DetectorSpec, RuleFinding } from '../../media-control/port.ts';
import type { Metrics } from '../../platform/metrics.ts';
import { SceneWatch, longestPause } from './scene-watch.ts';
import type { RuledFinding } from './scene-watch.ts';

/** What one rule may say in a minute; what began before is ended beyond it. */
export const MAX_TOLD_PER_MINUTE = 120;

interface Watched {
  /** JSON of the scene. */
  readonly scene: string;
  /** Its detector's own. */
  readonly model: string;
  readonly pauseMs: Milliseconds;
  readonly watch: SceneWatch;
  /** Ids by rule and occurrence of what has begun and was told. */
  readonly begun: Map<string, string>;
  heardAt: Milliseconds;
  /** The last picture, and the model that saw it: under overload it may be a lighter one. */
  seenBy: string;
  picture: Pick<DetectionResult['frame'], 'epoch' | 'rtpTs'>;
}

export interface CameraSceneOptions {
  readonly camera: CameraId;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'ruleFindings' | 'ruleFindingsDropped'>;
  readonly onFinding: (finding: RuleFinding) => void;
}

/** The scenes of a camera's detectors: follows what is configured, and tells what the rules say, each thing with an id of its own. */
export class CameraScene implements Disposable {
  readonly #options: CameraSceneOptions;
  readonly #watched = new Map<string, Watched>();
  #minute = 0;
  /** By rule, in this minute. */
  readonly #told = new Map<string, number>();

  constructor(options: CameraSceneOptions) {
    this.#options = options;
  }

  /** Takes what is configured now; what goes on of a scene that changed has ended. */
  follow(detectors: readonly DetectorSpec[]): void {
    for (const [detector, watched] of this.#watched) {
      const spec = detectors.find(({ id }) => id === detector);
      if (spec?.scene && JSON.stringify(spec.scene) === watched.scene && spec.model === watched.model && longestPause(spec.fps) === watched.pauseMs) continue;
      this.#end(detector, watched);
      this.#watched.delete(detector);
    }
    for (const { id, model, fps, scene } of detectors) {
      if (!scene || this.#watched.has(id)) continue;
      const pauseMs = longestPause(fps);
      this.#watched.set(id, { scene: JSON.stringify(scene), model, seenBy: model, pauseMs, watch: new SceneWatch(scene, pauseMs), begun: new Map(), heardAt: this.#options.clock.monotonic(), picture: { epoch: 0, rtpTs: 0 } });
    }
  }

  /** The result as it is told. */
  see(detector: string, result: DetectionResult): DetectionResult {
    const watched = this.#watched.get(detector);
    if (!watched) return result;
    watched.heardAt = this.#options.clock.monotonic();
    const { result: told, findings } = watched.watch.see(result);
    // What ended was seen last in an earlier picture, but this one is when it was known.
    watched.picture = { epoch: result.frame.epoch, rtpTs: result.frame.rtpTs };
    watched.seenBy = result.model;
    for (const finding of findings) this.#tell(detector, watched, finding);
    return told;
  }

  /** To be called about once a second: pictures may just not come. */
  tick(): void {
    const now = this.#options.clock.monotonic();
    for (const [detector, watched] of this.#watched) if (now - watched.heardAt >= watched.pauseMs) this.#end(detector, watched);
  }

  /** The camera is gone. */
  [Symbol.dispose](): void {
    this.follow([]);
  }

  #end(detector: string, watched: Watched): void {
    for (const finding of watched.watch.end()) this.#tell(detector, watched, finding);
  }

  #tell(detector: string, { begun, seenBy, picture }: Watched, { rule, finding }: RuledFinding): void {
    const { phase, occurrence, ...said } = finding;
    const { camera, metrics, onFinding } = this.#options;
    const key = JSON.stringify([rule.id, occurrence]);
    const id = begun.get(key) ?? randomUUID();
    if (phase === 'ended' && !begun.delete(key)) return; // its begin was told to nobody
    if (phase !== 'ended' && !this.#mayTell(JSON.stringify([detector, rule.id]))) {
      metrics.ruleFindingsDropped.inc({ camera });
      return;
    }
    if (phase === 'began') begun.set(key, id);
    metrics.ruleFindings.inc({ camera, rule: rule.id, phase });
    onFinding({ id, phase, camera, detector, model: seenBy, rule: rule.id, type: rule.type, place: rule.type === 'cross' ? rule.line : rule.zone, ...said, ...picture });
  }

  #mayTell(rule: string): boolean {
    const minute = Math.floor(this.#options.clock.monotonic() / 60_000);
    if (minute !== this.#minute) this.#told.clear();
    this.#minute = minute;
    const told = (this.#told.get(rule) ?? 0) + 1;
    this.#told.set(rule, told);
    return told <= MAX_TOLD_PER_MINUTE;
  }
}
