import type { Milliseconds } from '../../core/units.ts';

/** A time in which detections of one class followed each other without a pause. */
export interface Presence {
  readonly className: string;
  /** Unix ms, whole seconds; `end` is exclusive. */
  readonly start: Milliseconds;
  readonly end: Milliseconds;
  /** Detections in it. */
  readonly count: number;
  readonly maxConfidence: number;
}

/** What was detected of one class within one second. */
export interface DetectedSecond {
  readonly class_name: string;
  /** Unix seconds. */
  readonly second: number;
  readonly count: number;
  readonly max_confidence: number;
}

/** Shorter pauses are none: a detector misses an object for a few frames. */
const PAUSE_SECONDS = 2;

/** Joins seconds, sorted by class and time, into presences, sorted by their start. */
export const presencesOf = (seconds: readonly DetectedSecond[]): Presence[] => {
  const presences: { className: string; start: number; end: number; count: number; maxConfidence: number }[] = [];
  for (const { class_name: className, second, count, max_confidence: confidence } of seconds) {
    const current = presences.at(-1);
    if (current?.className === className && second * 1000 <= current.end + PAUSE_SECONDS * 1000) {
      current.end = (second + 1) * 1000;
      current.count += count;
      current.maxConfidence = Math.max(current.maxConfidence, confidence);
    } else presences.push({ className, start: second * 1000, end: (second + 1) * 1000, count, maxConfidence: confidence });
  }
  return presences.sort((a, b) => a.start - b.start);
};
