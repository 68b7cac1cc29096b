import type { Detection, DetectionResult } from '../../core/detection.ts';
import { Tracker } from './tracker.ts';

/** What a detector sees with at least this confidence helps to follow what it has detected (ByteTrack's lower threshold). */
export const FAINT_CONFIDENCE = 0.1;

/** The tracks of one camera: a tracker for each detector, and one numbering for all of them, so that an id means one object of the camera. */
export class CameraTracks {
  readonly #trackers = new Map<string, { readonly tracker: Tracker; epoch: number }>();
  #last: number;

  /** Ids go on from `last`. */
  constructor(last: number) {
    this.#last = last;
  }

  /** What follows is of these detectors alone. */
  keep(detectors: readonly string[]): void {
    for (const detector of this.#trackers.keys()) if (!detectors.includes(detector)) this.#trackers.delete(detector);
  }

  /** The result with the ids of its tracks. A new epoch continues nothing. Results of a detector come in the order of their pictures. */
  follow(detector: string, result: DetectionResult, faint: readonly Detection[]): DetectionResult {
    const { frame: { epoch }, capturedAt, detections } = result;
    let known = this.#trackers.get(detector);
    if (!known) this.#trackers.set(detector, (known = { tracker: new Tracker(() => ++this.#last), epoch }));
    if (known.epoch !== epoch) {
      known.epoch = epoch;
      known.tracker.reset();
    }
    const ids = known.tracker.update(capturedAt, detections, faint);
    return { ...result, detections: detections.map((detection, i) => ({ ...detection, trackId: ids[i]?.toString() ?? null })) };
  }
}
