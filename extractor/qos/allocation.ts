import type { CameraId } from '../../core/frame-ref.ts';
import { rateAt, stepsOf } from './demand.ts';
import type { CameraDemand } from './demand.ts';

export interface Allocation {
  /** Pictures a second that each camera's detectors may have at most. */
  readonly fps: ReadonlyMap<CameraId, number>;
  /** Pictures a second of all once one more step is allowed; null: all have what they ask for. */
  readonly next: number | null;
}

interface Raise {
  readonly camera: CameraId;
  readonly to: number;
  /** Pictures a second more than at the step below. */
  readonly costs: number;
  /** What it has before, by its weight: who has least is next. */
  readonly has: number;
  readonly priority: number;
}

/**
 * Shares out so many pictures a second, weighted by priority: everybody has the lowest step, then whoever has least for its weight is raised
 * first, until the next one does not fit. The order does not depend on how much there is: with more of it nobody gets less.
 */
export const allocate = (demands: readonly CameraDemand[], perSecond: number): Allocation => {
  const fps = new Map<CameraId, number>();
  const raises: Raise[] = [];
  let used = 0;
  for (const demand of demands) {
    const steps = stepsOf(demand).toReversed();
    let [before = 0] = steps;
    fps.set(demand.camera, before);
    used += rateAt(demand, before);
    for (const to of steps.slice(1)) {
      const { camera, priority } = demand;
      raises.push({ camera, to, costs: rateAt(demand, to) - rateAt(demand, before), has: before / priority, priority });
      before = to;
    }
  }
  raises.sort((a, b) => a.has - b.has || b.priority - a.priority || (a.camera < b.camera ? -1 : 1));
  for (const { camera, to, costs } of raises) {
    if (used + costs > perSecond) return { fps, next: used + costs };
    used += costs;
    fps.set(camera, to);
  }
  return { fps, next: null };
};
