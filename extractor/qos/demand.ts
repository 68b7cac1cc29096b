import type { CameraId } from '../../core/frame-ref.ts';

/** The most pictures a second that a camera's setting allows, whatever its detectors ask for. */
const PRESET_FPS = { auto: Infinity, high: 30, medium: 15, low: 8 } as const;
export type QosPreset = keyof typeof PRESET_FPS;

/** Of a camera that says nothing; 1 gives way first, 10 last. */
export const DEFAULT_PRIORITY = 5;

/** Pictures a second of each detector, from step to step. No detector goes below the last, unless it asks for less. */
const LADDER: readonly number[] = [30, 15, 8, 4, 2, 1];
/** Of fewer pictures a second than this little is made: before that a lighter model is taken, where there is one. */
const USEFUL_FPS = 8;

/** What a camera's detectors run at. */
export interface DetectionStep {
  /** Pictures a second that each may have at most. */
  readonly fps: number;
  /** Which of its lighter models each runs on: 0 its own, 1 the first of them, and so on; one that has fewer stays at its last. */
  readonly light: number;
}

/** What a camera would have if there were enough for all. */
export interface CameraDemand {
  readonly camera: CameraId;
  /** Pictures a second that each of its detectors asks for; at least one. */
  readonly fps: readonly number[];
  /** What a picture costs with each of a detector's lighter models in turn, in pictures of its own model: 1 at most, and none more than the one before. Detector by detector as `fps`; absent: none has any. */
  readonly light?: readonly (readonly number[])[];
  /** What these are called. */
  readonly names?: readonly (readonly string[])[];
  readonly preset: QosPreset;
  /** 1..10; shares grow with it. */
  readonly priority: number;
}

/** Pictures a second of its fastest detector with nothing taken away but by its own setting. */
export const fullFps = ({ fps, preset }: Pick<CameraDemand, 'fps' | 'preset'>): number => Math.min(Math.max(...fps), PRESET_FPS[preset]);

/** What a camera can run at, from full on downwards: fewer pictures while they are enough to follow something, then lighter models, then fewer still. */
export const stepsOf = (demand: Pick<CameraDemand, 'fps' | 'preset' | 'light'>): readonly DetectionStep[] => {
  const full = fullFps(demand);
  const rates = [full, ...LADDER.filter((fps) => fps < full)];
  const lightest = Math.max(0, ...(demand.light ?? []).map(({ length }) => length));
  const floor = Math.max(0, rates.findLastIndex((fps) => fps >= USEFUL_FPS));
  return rates.flatMap((fps, i) => (i === floor ? Array.from({ length: lightest + 1 }, (_, light) => ({ fps, light })) : [{ fps, light: i < floor ? 0 : lightest }]));
};

/** Which of these steps it stands at that was lowered to `lowered` under other settings, or with other models: none above it. Null: nothing is taken away. */
export const levelOf = (steps: readonly DetectionStep[], lowered: DetectionStep | null): number => {
  if (lowered === null) return 0;
  const light = Math.min(lowered.light, steps.at(-1)?.light ?? 0);
  const level = steps.findIndex((step) => step.fps <= lowered.fps && step.light >= light);
  return level === -1 ? steps.length - 1 : level;
};

/** What tells the lighter models in use at a step from those at another, also where a camera has others than before. */
export const lighterAt = ({ names }: Pick<CameraDemand, 'names'>, { light }: DetectionStep): string =>
  (light === 0 ? '' : (names?.map((each) => each[Math.min(light, each.length) - 1] ?? '').join('\n') ?? String(light)));

/** What all its detectors together cost a second at a step, in pictures of their own models. */
export const costAt = ({ fps, light = [] }: Pick<CameraDemand, 'fps' | 'light'>, step: DetectionStep): number =>
  fps.reduce((sum, each, i) => sum + Math.min(each, step.fps) * costWith(light[i] ?? [], step.light), 0);

const costWith = (costs: readonly number[], light: number): number => (light === 0 ? 1 : costs[Math.min(light, costs.length) - 1] ?? 1);
