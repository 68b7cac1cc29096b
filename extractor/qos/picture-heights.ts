import type { CameraId } from '../../core/frame-ref.ts';
import type { QosPreset } from './demand.ts';

/** The most lines of annotated video, and of pictures for which no size was named, that a camera's setting allows. */
const PRESET_HEIGHT: Readonly<Record<QosPreset, number>> = { auto: Infinity, high: 2160, medium: 1080, low: 720 };
/** Pixels, from step to step. What is shown is not made lower than the last for want of time. */
const LADDER: readonly number[] = [2160, 1080, 720];

export const presetHeight = (preset: QosPreset): number => PRESET_HEIGHT[preset];

/** A camera of which pictures are shown all the time, or video with boxes burned in. */
export interface ShownCamera {
  readonly camera: CameraId;
  /** Pixels of the largest pictures that are shown of it while nothing is lowered. */
  readonly width: number;
  readonly height: number;
  readonly preset: QosPreset;
  /** 1..10; shares grow with it. */
  readonly priority: number;
}

/** Heights that it can be shown at, from full on downwards; at least one. */
export const heightsOf = ({ height }: Pick<ShownCamera, 'height'>): readonly number[] => [height, ...LADDER.filter((lower) => lower < height)];

/** Which of these it stands at that was lowered to `lowered`: none above it. Null: nothing is taken away. */
export const heightLevel = (heights: readonly number[], lowered: number | null): number => {
  if (lowered === null) return 0;
  const level = heights.findIndex((height) => height <= lowered);
  return level === -1 ? heights.length - 1 : level;
};

/** Pixels of its pictures at that height, with their own proportions. */
export const pixelsAt = ({ width, height }: Pick<ShownCamera, 'width' | 'height'>, at: number): number => (width * at * at) / height;
