import type { CameraId } from '../../core/frame-ref.ts';

/** The most pictures a second that a camera's setting allows, whatever its detectors ask for. */
const PRESET_FPS = { auto: Infinity, high: 30, medium: 15, low: 8 } as const;
export type QosPreset = keyof typeof PRESET_FPS;

/** Of a camera that says nothing; 1 gives way first, 10 last. */
export const DEFAULT_PRIORITY = 5;

/** Pictures a second of each detector, from step to step. No detector goes below the last, unless it asks for less. */
const LADDER: readonly number[] = [30, 15, 8, 4, 2, 1];

/** What a camera would have if there were enough for all. */
export interface CameraDemand {
  readonly camera: CameraId;
  /** Pictures a second that each of its detectors asks for; at least one. */
  readonly fps: readonly number[];
  readonly preset: QosPreset;
  /** 1..10; shares grow with it. */
  readonly priority: number;
}

/** Pictures a second of its fastest detector with nothing taken away but by its own setting. */
export const fullFps = ({ fps, preset }: Pick<CameraDemand, 'fps' | 'preset'>): number => Math.min(Math.max(...fps), PRESET_FPS[preset]);

/** What a camera can run at, from full on downwards. */
export const stepsOf = (demand: CameraDemand): readonly number[] => {
  const full = fullFps(demand);
  return [full, ...LADDER.filter((fps) => fps < full)];
};

/** Pictures a second of all its detectors together, none of them above `cap`. */
export const rateAt = ({ fps }: Pick<CameraDemand, 'fps'>, cap: number): number => fps.reduce((sum, each) => sum + Math.min(each, cap), 0);
