/** Which camera is shown at which height while the machine's processors have no time left [EXT-2] [EXT-3] [EXT-4]. Pure: what was measured comes in, what is to change goes out. */
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { QosPreset } from './demand.ts';
import { heightLevel, heightsOf, pixelsAt } from './picture-heights.ts';
import type { ShownCamera } from './picture-heights.ts';
import { LEAST_MS_UP, stepTowards } from './policy.ts';
import { shareOut } from './share-out.ts';

/** Beyond this the machine has no time left. */
export const BUSY_CPU = 0.95;
/** Only below this is there room for larger pictures. */
export const ROOM_CPU = 0.85;
/** Of the pixels shown under pressure, so many are left to be shared out. */
const KEPT_SHARE = 0.75;
const RAISE = 0.25;
const LEAST_HOLD_MS: Milliseconds = LEAST_MS_UP;
const MOST_HOLD_MS: Milliseconds = 300_000;
/** Pressure this soon after a raise is that raise's doing. */
const TRIAL_MS: Milliseconds = 30_000;

export type HeightCause = 'cpu_busy' | 'recovered' | 'settings';

/** Where a camera stands. */
export interface CameraHeight {
  /** What was taken from it; null: nothing. */
  readonly lowered: number | null;
  /** What it is shown at, and under which setting. */
  readonly at: number;
  readonly preset: QosPreset;
  /** The policy's time of the last step; -Infinity: none yet. */
  readonly steppedAt: Milliseconds;
}

export interface HeightState {
  /** Pixels of all cameras' pictures together that there is time for, as far as has been found out. */
  readonly pixels: number;
  /** The processors were busy in the last stretch. */
  readonly busy: boolean;
  /** Nothing is raised before. */
  readonly holdUntil: Milliseconds;
  /** How long nothing is raised after pressure; longer each time that raising led to it. */
  readonly holdMs: Milliseconds;
  /** When there was raised last since then; -Infinity: not at all. */
  readonly raisedAt: Milliseconds;
  readonly cameras: ReadonlyMap<CameraId, CameraHeight>;
}

export interface HeightChange {
  readonly camera: CameraId;
  readonly from: number;
  readonly to: number;
  /** Without pressure. */
  readonly full: number;
  readonly cause: HeightCause;
}

export const ALL_FULL: HeightState = { pixels: Infinity, busy: false, holdUntil: -Infinity, holdMs: LEAST_HOLD_MS, raisedAt: -Infinity, cameras: new Map() };

/** After a stretch of time in which this share of the processors was busy (0..1) and the cameras were shown as `state` says. Cameras that are not shown any more are forgotten, but those that are `away` for a moment. */
export const decideHeights = (state: HeightState, shown: readonly ShownCamera[], cpu: number, now: Milliseconds, away: (camera: CameraId) => boolean = () => false): { readonly state: HeightState; readonly changes: readonly HeightChange[] } => {
  const kept = [...state.cameras].filter(([camera]) => away(camera));
  if (shown.length === 0) return { state: kept.length > 0 ? { ...state, cameras: new Map(kept) } : ALL_FULL, changes: [] }; // else what was found out was of other cameras
  const present = shown.map((camera) => {
    const heights = heightsOf(camera);
    const before = state.cameras.get(camera.camera);
    return { camera, heights, before, level: heightLevel(heights, before?.lowered ?? null) };
  });
  const sharers = present.map(({ camera, heights }) => ({ camera: camera.camera, priority: camera.priority, costs: heights.map((height) => pixelsAt(camera, height)), worths: heights }));
  const used = present.reduce((sum, { camera, heights, level }) => sum + pixelsAt(camera, heights[level] ?? camera.height), 0);
  const given = shareOut(sharers, state.pixels);
  const settled = present.every(({ camera, level }) => level === given.levels.get(camera.camera));
  const found = findOut(state, { used, next: given.next, settled, cpu, now });
  const { levels } = found.pixels === state.pixels ? given : shareOut(sharers, found.pixels);

  const cameras = new Map<CameraId, CameraHeight>(kept);
  const changes: HeightChange[] = [];
  for (const { camera: { camera, height: full, preset }, heights, before, level } of present) {
    const steppedAt = before?.steppedAt ?? -Infinity;
    const target = levels.get(camera) ?? 0;
    // Nobody is raised while there is no room, not even by what others give up.
    const stepped = level + stepTowards(level, cpu > ROOM_CPU ? Math.max(target, level) : target, now - steppedAt);
    const at = heights[stepped] ?? full;
    cameras.set(camera, { lowered: stepped > 0 ? at : null, at, preset, steppedAt: stepped === level ? steppedAt : now });
    if (stepped !== level) changes.push({ camera, from: heights[level] ?? full, to: at, full, cause: stepped < level ? 'recovered' : 'cpu_busy' });
    else if (before && before.preset !== preset && before.at !== at) changes.push({ camera, from: before.at, to: at, full, cause: 'settings' }); // else others watch it, larger or smaller
  }
  return { state: { ...found, cameras }, changes };
};

interface Seen {
  /** Pixels that are shown. */
  readonly used: number;
  /** Once one more step is allowed; null: all have theirs. */
  readonly next: number | null;
  /** All cameras are shown at what they were given. */
  readonly settled: boolean;
  readonly cpu: number;
  readonly now: Milliseconds;
}

/** Under pressure less than is shown; as soon as there is room again, and after a while, more and more. */
const findOut = (before: HeightState, { used, next, settled, cpu, now }: Seen): Omit<HeightState, 'cameras'> => {
  const { pixels, holdUntil } = before;
  const busy = cpu > BUSY_CPU;
  if (busy) {
    if (pixels === Infinity && !before.busy) return { ...before, busy }; // a moment's work is no pressure: what follows tells
    const begins = pixels === Infinity || before.raisedAt > -Infinity;
    const holdMs = !begins ? before.holdMs : now - before.raisedAt < TRIAL_MS ? Math.min(MOST_HOLD_MS, before.holdMs * 2) : LEAST_HOLD_MS;
    return { pixels: Math.min(pixels, KEPT_SHARE * used), busy, holdMs, holdUntil: now + holdMs, raisedAt: -Infinity };
  }
  if (pixels === Infinity || !settled || now < holdUntil || cpu > ROOM_CPU) return { ...before, busy };
  return { ...before, busy, pixels: next === null ? Infinity : Math.max(next, pixels * (1 + RAISE)), raisedAt: now };
};
