import { costAt, stepsOf } from './demand.ts';
import type { CameraDemand, DetectionStep } from './demand.ts';
import { shareOut } from './share-out.ts';
import type { Allocation } from './share-out.ts';

/** Shares out what so many pictures a second cost, weighted by priority; levels are steps of `stepsOf`. */
export const allocate = (demands: readonly CameraDemand[], perSecond: number): Allocation =>
  shareOut(demands.map((demand) => {
    const steps = stepsOf(demand);
    return { camera: demand.camera, priority: demand.priority, costs: steps.map((step) => costAt(demand, step)), worths: steps.map((_, level) => worthOf(steps, level)) };
  }), perSecond);

/** A step's pictures a second; of those at one rate the lighter models lie evenly between it and the next lower rate. Always less than the step above. */
const worthOf = (steps: readonly DetectionStep[], level: number): number => {
  const { fps = 0 } = steps[level] ?? {};
  const same = steps.filter((step) => step.fps === fps);
  const lower = steps.find((step) => step.fps < fps)?.fps ?? 0;
  return fps - ((fps - lower) * (level - steps.findIndex((step) => step.fps === fps))) / same.length;
};
