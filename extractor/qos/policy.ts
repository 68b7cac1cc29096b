/** Which camera runs at how many pictures a second [EXT-2] [EXT-3] [EXT-4]. Pure: what was measured comes in, what is to change goes out. */
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import { allocate } from './allocation.ts';
import { UNLIMITED, measure } from './capacity.ts';
import type { Capacity, Measured, OverloadCause } from './capacity.ts';
import { fullFps, stepsOf } from './demand.ts';
import type { CameraDemand } from './demand.ts';

/** A camera is lowered by one step in so long at most, and raised by one. */
export const LEAST_MS_DOWN: Milliseconds = 3_000;
export const LEAST_MS_UP: Milliseconds = 10_000;

export type QosCause = OverloadCause | 'recovered' | 'settings';

/** Where a camera stands. */
export interface CameraStep {
  /** Pictures a second that its detectors may have at most, lowered by overload; null: nothing is taken away. */
  readonly lowered: number | null;
  /** As it was told last. */
  readonly fps: number;
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
  /** Pictures a second of its fastest detector. */
  readonly from: number;
  readonly to: number;
  /** What it would have without overload. */
  readonly full: number;
  readonly cause: QosCause;
}

export const INITIAL: QosState = { capacity: UNLIMITED, cameras: new Map() };

/** After a stretch of time in which the cameras ran as `state` says; `demands` are those that run now, `away` those that may be back: what was taken from them stays taken. */
export const decide = (state: QosState, demands: readonly CameraDemand[], measured: Measured, now: Milliseconds, away: (camera: CameraId) => boolean = () => false): { readonly state: QosState; readonly changes: readonly QosChange[] } => {
  const present = new Map(demands.map((demand) => [demand.camera, followSettings(state.cameras.get(demand.camera), demand)]));
  const before = allocate(demands, state.capacity.perSecond);
  const settled = demands.every(({ camera }) => present.get(camera)?.now === before.fps.get(camera));
  const capacity = measure(state.capacity, measured, before, settled, now);
  const { fps } = capacity.perSecond === state.capacity.perSecond ? before : allocate(demands, capacity.perSecond);

  const cameras = new Map([...state.cameras].filter(([camera]) => away(camera)));
  const changes: QosChange[] = [];
  for (const demand of demands) {
    const { camera } = demand;
    const full = fullFps(demand);
    const { told, now: at, steppedAt } = present.get(camera) ?? followSettings(undefined, demand);
    const target = fps.get(camera) ?? full;
    // Under overload nobody is raised, not even by what others give up.
    const to = stepTowards(demand, at, capacity.overload === null ? target : Math.min(target, at), now - steppedAt);
    const stepped = to !== at;
    cameras.set(camera, { lowered: to < full ? to : null, fps: to, full, steppedAt: stepped ? now : steppedAt });
    if (to !== told) changes.push({ camera, from: told, to, full, cause: !stepped ? 'settings' : to > at ? 'recovered' : capacity.cause });
  }
  return { state: { capacity, cameras }, changes };
};

/** What it runs at by its present settings, and what was told of it. */
const followSettings = (step: CameraStep | undefined, demand: CameraDemand): { readonly told: number; readonly now: number; readonly steppedAt: Milliseconds } => {
  const full = fullFps(demand);
  return { told: step?.fps ?? full, now: Math.min(step?.lowered ?? full, full), steppedAt: step?.steppedAt ?? -Infinity };
};

/** One step at most, and not too soon after the last. */
const stepTowards = (demand: CameraDemand, at: number, target: number, since: Milliseconds): number => {
  const steps = stepsOf(demand);
  if (target < at && since >= LEAST_MS_DOWN) return steps.find((fps) => fps < at) ?? at;
  if (target > at && since >= LEAST_MS_UP) return steps.findLast((fps) => fps > at) ?? at;
  return at;
};
