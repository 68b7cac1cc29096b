/** Which camera runs at how many pictures a second, and on which model [EXT-2] [EXT-3] [EXT-4]. Pure: what was measured comes in, what is to change goes out. */
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import { allocate } from './allocation.ts';
import { UNLIMITED, measure } from './capacity.ts';
import type { Capacity, Measured, OverloadCause } from './capacity.ts';
import { fullFps, levelOf, lighterAt, stepsOf } from './demand.ts';
import type { CameraDemand, DetectionStep } from './demand.ts';

/** A camera is lowered by one step in so long at most, and raised by one. */
export const LEAST_MS_DOWN: Milliseconds = 3_000;
export const LEAST_MS_UP: Milliseconds = 10_000;

export type QosCause = OverloadCause | 'recovered' | 'settings';

/** Where a camera stands. */
export interface CameraStep {
  /** What its detectors may have at most, lowered by overload; null: nothing is taken away. */
  readonly lowered: DetectionStep | null;
  /** As it was told last, and with which lighter models (`lighterAt`). */
  readonly told: DetectionStep;
  readonly toldLighter: string;
  readonly full: number;
  /** The governor's time of the last step; -Infinity: none yet. */
  readonly steppedAt: Milliseconds;
}

export interface QosState {
  readonly capacity: Capacity;
  readonly cameras: ReadonlyMap<CameraId, CameraStep>;
}

export interface QosChange {
  readonly camera: CameraId;
  readonly from: DetectionStep;
  readonly to: DetectionStep;
  /** Pictures a second of its fastest detector without overload. */
  readonly full: number;
  readonly cause: QosCause;
}

export const INITIAL: QosState = { capacity: UNLIMITED, cameras: new Map() };

/** After a stretch of time in which the cameras ran as `state` says; `demands` are those that run now, `away` those that may be back: what was taken from them stays taken. */
export const decide = (state: QosState, demands: readonly CameraDemand[], measured: Measured, now: Milliseconds, away: (camera: CameraId) => boolean = () => false): { readonly state: QosState; readonly changes: readonly QosChange[] } => {
  const present = demands.map((demand) => followSettings(state.cameras.get(demand.camera), demand));
  const before = allocate(demands, state.capacity.perSecond);
  const settled = present.every(({ demand, level }) => level === before.levels.get(demand.camera));
  const capacity = measure(state.capacity, measured, before, settled, now);
  const { levels } = capacity.perSecond === state.capacity.perSecond ? before : allocate(demands, capacity.perSecond);

  const cameras = new Map([...state.cameras].filter(([camera]) => away(camera)));
  const changes: QosChange[] = [];
  for (const { demand, full, steps, level, told, toldLighter, steppedAt } of present) {
    const { camera } = demand;
    const target = levels.get(camera) ?? 0;
    // Under overload nobody is raised, not even by what others give up.
    const stepped = level + stepTowards(level, capacity.overload === null ? target : Math.max(target, level), now - steppedAt);
    const to = steps[stepped] ?? told;
    const lighter = lighterAt(demand, to);
    cameras.set(camera, { lowered: stepped > 0 ? to : null, told: to, toldLighter: lighter, full, steppedAt: stepped === level ? steppedAt : now });
    if (to.fps !== told.fps || lighter !== toldLighter) changes.push({ camera, from: told, to, full, cause: stepped === level ? 'settings' : stepped < level ? 'recovered' : capacity.cause });
  }
  return { state: { capacity, cameras }, changes };
};

interface Present {
  readonly demand: CameraDemand;
  readonly full: number;
  readonly steps: readonly DetectionStep[];
  /** The step it stands at by its present settings and models. */
  readonly level: number;
  readonly told: DetectionStep;
  readonly toldLighter: string;
  readonly steppedAt: Milliseconds;
}

const followSettings = (step: CameraStep | undefined, demand: CameraDemand): Present => {
  const full = fullFps(demand);
  const steps = stepsOf(demand);
  return { demand, full, steps, level: levelOf(steps, step?.lowered ?? null), told: step?.told ?? { fps: full, light: 0 }, toldLighter: step?.toldLighter ?? '', steppedAt: step?.steppedAt ?? -Infinity };
};

/** One step at most, and not too soon after the last, `since` ago: 1 down, -1 up. */
export const stepTowards = (level: number, target: number, since: Milliseconds): number => {
  if (target > level && since >= LEAST_MS_DOWN) return 1;
  if (target < level && since >= LEAST_MS_UP) return -1;
  return 0;
};
