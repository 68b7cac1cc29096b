import type { CameraId } from '../../core/frame-ref.ts';

export interface Allocation {
  /** How many steps below full each camera is, of those it has. */
  readonly levels: ReadonlyMap<CameraId, number>;
  /** What all cost once one more step is allowed; null: all have what they ask for. */
  readonly next: number | null;
}

/** A camera and its steps, from full on downwards; at least one. */
export interface Sharer {
  readonly camera: CameraId;
  /** 1..10 */
  readonly priority: number;
  /** Of each step; none more than the one before. */
  readonly costs: readonly number[];
  /** What a camera has at each step, which is weighed by its priority; each less than the one before. */
  readonly worths: readonly number[];
}

interface Raise {
  readonly camera: CameraId;
  readonly to: number;
  /** More than the step below. */
  readonly costs: number;
  /** What it has before, by its weight: who has least is next. */
  readonly has: number;
  readonly priority: number;
}

/**
 * Shares a budget out by priority: everybody has the lowest step, then whoever has least for its weight is raised first, until the next one does not fit. The order
 * does not depend on how much there is: with more of it nobody gets less.
 */
export const shareOut = (sharers: readonly Sharer[], budget: number): Allocation => {
  const levels = new Map<CameraId, number>();
  const raises: Raise[] = [];
  let used = 0;
  for (const { camera, priority, costs, worths } of sharers) {
    const lowest = costs.length - 1;
    levels.set(camera, lowest);
    used += costs[lowest] ?? 0;
    for (let to = lowest - 1; to >= 0; to--) raises.push({ camera, to, costs: (costs[to] ?? 0) - (costs[to + 1] ?? 0), has: (worths[to + 1] ?? 0) / priority, priority });
  }
  raises.sort((a, b) => a.has - b.has || b.priority - a.priority || (a.camera < b.camera ? -1 : 1));
  for (const { camera, to, costs } of raises) {
    if (used + costs > budget) return { levels, next: used + costs };
    used += costs;
    levels.set(camera, to);
  }
  return { levels, next: null };
};
