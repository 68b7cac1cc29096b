import type { Milliseconds } from '../../core/units.ts';
import type { ArchiveFrames } from '../cameras/service.ts';

/** As much of a picture as chooses it. */
export interface SeenFrame {
  readonly camera: string;
  /** Unix ms. */
  readonly capturedAt: Milliseconds;
  readonly detections: readonly { readonly className: string; readonly confidence: number }[];
}

export interface ChosenFrame {
  readonly camera: string;
  readonly capturedAt: Milliseconds;
  readonly classes: readonly string[];
}

/** Which pictures the cameras' rules choose, one in `every_seconds` of each camera at most. Pure but for what it remembers: one time for each camera. */
export class FrameChoice {
  #rules: ReadonlyMap<string, ArchiveFrames> = new Map();
  readonly #last = new Map<string, Milliseconds>();

  /** Cameras without a rule choose nothing and are forgotten. */
  follow(rules: ReadonlyMap<string, ArchiveFrames>): void {
    this.#rules = rules;
    for (const camera of this.#last.keys()) if (!rules.has(camera)) this.#last.delete(camera);
  }

  choose(pictures: readonly SeenFrame[]): ChosenFrame[] {
    return pictures.flatMap(({ camera, capturedAt, detections }) => {
      const rule = this.#rules.get(camera);
      if (rule === undefined) return [];
      const last = this.#last.get(camera);
      // A clock that was set back by more begins anew.
      if (last !== undefined && Math.abs(capturedAt - last) < rule.every_seconds * 1000) return [];
      const seen = detections.filter((each) => rule.detected.some(({ class_name, min_confidence }) => each.className === class_name && each.confidence >= min_confidence));
      if (seen.length === 0) return [];
      this.#last.set(camera, capturedAt);
      return [{ camera, capturedAt, classes: [...new Set(seen.map(({ className }) => className))] }];
    });
  }
}
