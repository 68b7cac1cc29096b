import type { DetectionResult } from '../../core/detection.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Scene, SceneRule } from '../../media-control/port.ts';
import { CountState } from './count-rule.ts';
import { CrossState } from './cross-rule.ts';
import { DwellState } from './dwell-rule.ts';
import { SceneFilter, anchorOf } from './scene-filter.ts';
import type { Finding, RuleState, SeenObject } from './seen.ts';

const LEAST_PAUSE_MS: Milliseconds = 10_000;
/** Between two pictures of such a detector that are further apart nobody knows what was: nothing goes on over it. */
export const longestPause = (fps: number): Milliseconds => Math.max(LEAST_PAUSE_MS, 3_000 / fps);

/** A clock set back by more than this is another time, in which nothing of before goes on. */
const SET_BACK_MS: Milliseconds = 5_000;

/** What one rule says of one picture. */
export interface RuledFinding {
  readonly rule: SceneRule;
  readonly finding: Finding;
}

interface Watched {
  readonly rule: SceneRule;
  readonly state: RuleState;
}

const stateOf = (rule: SceneRule, { lines }: Scene): RuleState | undefined => {
  switch (rule.type) {
    case 'count':
      return new CountState(rule);
    case 'dwell':
      return new DwellState(rule);
    case 'cross': {
      const line = lines.find(({ id }) => id === rule.line);
      return line && new CrossState(rule, line);
    }
  }
};

/** What is made of one detector's results: which objects are told, in which zones they are, and what the rules say. Pure. */
export class SceneWatch {
  readonly #scene: Scene;
  readonly #pauseMs: Milliseconds;
  readonly #rules: readonly Watched[];
  readonly #filter: SceneFilter;
  #newest: Milliseconds = -Infinity;

  /** `pauseMs`: `longestPause` of the detector. */
  constructor(scene: Scene, pauseMs: Milliseconds = LEAST_PAUSE_MS) {
    this.#scene = scene;
    this.#filter = new SceneFilter(scene);
    this.#pauseMs = pauseMs;
    this.#rules = scene.rules.flatMap((rule) => {
      const state = stateOf(rule, scene);
      return state ? [{ rule, state }] : [];
    });
  }

  /** The result as it is told, and what the rules say of it. Results come in the order of their pictures. */
  see(result: DetectionResult): { readonly result: DetectionResult; readonly findings: readonly RuledFinding[] } {
    const { width, height } = result;
    const told = this.#filter.apply(result);
    const objects = told.detections.map((detection): SeenObject => {
      const { className, confidence, trackId, zones = [] } = detection;
      return { className, confidence, trackId, at: anchorOf(detection, this.#scene.anchor), zones };
    });
    const sinceLast = result.capturedAt - this.#newest;
    const before = sinceLast + SET_BACK_MS < 0 || sinceLast >= this.#pauseMs ? this.end() : [];
    // Jitter of the camera's clock is no way back in time.
    const at = (this.#newest = Math.max(this.#newest, result.capturedAt));
    return { result: told, findings: [...before, ...this.#rules.flatMap(({ rule, state }) => state.see({ at, width, height, objects }).map((finding) => ({ rule, finding })))] };
  }

  /** No picture has come for long, or none will: what goes on has ended when it was seen last. */
  end(): readonly RuledFinding[] {
    this.#newest = -Infinity;
    return this.#rules.flatMap(({ rule, state }) => state.end().map((finding) => ({ rule, finding })));
  }
}
