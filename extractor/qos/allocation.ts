import type { CameraId } from '../../core/frame-ref.ts';
import { costAt, stepsOf } from './demand.ts';
import type { CameraDemand, DetectionStep } from './demand.ts';

export interface Allocation {
  /** How many steps below full each camera's detectors run, of those it has (`stepsOf`). */
  readonly levels: ReadonlyMap<CameraId, number>;
  /** What all cost a second once one more step is allowed; null: all have what they ask for. */
  readonly next: number | null;
}

interface Raise {
  readonly camera: CameraId;
  readonly to: number;
  /** More than at the step below, a second. */
  readonly costs: number;
  /** What it has before, by its weight: who has least is next. */
  readonly has: number;
  readonly priority: number;
}

/**
 * Shares out what so many pictures a second cost, weighted by priority: everybody has the lowest step, then whoever has least for its weight is raised
 * first, until the next one does not fit. The order does not depend on how much there is: with more of it nobody gets less.
 */
export const allocate = (demands: readonly CameraDemand[], perSecond: number): Allocation => {
  const levels = new Map<CameraId, number>();
  const raises: Raise[] = [];
  let used = 0;
  for (const demand of demands) {
    const { camera, priority } = demand;
    const steps = stepsOf(demand);
    const costs = steps.map((step) => costAt(demand, step));
    const lowest = steps.length - 1;
    levels.set(camera, lowest);
    used += costs[lowest] ?? 0;
    for (let to = lowest - 1; to >= 0; to--) raises.push({ camera, to, costs: (costs[to] ?? 0) - (costs[to + 1] ?? 0), has: worthOf(steps, to + 1) / priority, priority });
  }
  raises.sort((a, b) => a.has - b.has || b.priority - a.priority || (a.camera < b.camera ? -1 : 1));
  for (const { camera, to, costs } of raises) {
    if (used + costs > perSecond) return { levels, next: used + costs };
    used += costs;
    levels.set(camera, to);
  }
  return { levels, next: null };
};

/** A step's pictures a second; of those at one rate the lighter models lie evenly between it and the next lower rate. Always less than the step above. */
const worthOf = (steps: readonly DetectionStep[], level: number): number => {
  const { fps = 0 } = steps[level] ?? {};
  const same = steps.filter((step) => step.fps === fps);
  const lower = steps.find((step) => step.fps < fps)?.fps ?? 0;
  return fps - ((fps - lower) * (level - steps.findIndex((step) => step.fps === fps))) / same.length;
};
