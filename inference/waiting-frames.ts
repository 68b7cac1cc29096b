import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { FrameOffer } from './port.ts';

/** A picture that waits for credit. */
export interface WaitingFrame {
  readonly offer: FrameOffer;
  /** `Clock.monotonic()`. */
  readonly offeredAt: Milliseconds;
  /** When its turn began to wait: before that, where it took the place of another. */
  readonly waitingSince: Milliseconds;
}

/**
 * Pictures waiting for a worker's credit: at most one, the newest, of each detector and camera. Cameras take turns, and within a
 * camera its detectors; so a camera with many detectors, or many pictures a second, starves nobody.
 */
export class WaitingFrames {
  /** Both maps are queues: who was served goes to the end. */
  readonly #cameras = new Map<CameraId, Map<string, WaitingFrame>>();

  get size(): number {
    let count = 0;
    for (const detectors of this.#cameras.values()) count += detectors.size;
    return count;
  }

  /** What waits of this detector. */
  of(camera: CameraId, detector: string): WaitingFrame | undefined {
    return this.#cameras.get(camera)?.get(detector);
  }

  /** Returns the older picture of the same detector that this one takes the place of (its turn, too), if there is one. */
  put(frame: WaitingFrame): WaitingFrame | undefined {
    const { camera, detector } = frame.offer;
    let detectors = this.#cameras.get(camera);
    if (!detectors) this.#cameras.set(camera, (detectors = new Map<string, WaitingFrame>()));
    const before = detectors.get(detector);
    detectors.set(detector, frame);
    return before;
  }

  /** The next in turn of those accepted; the others keep their turns. */
  take(accepts: (offer: FrameOffer) => boolean = () => true): WaitingFrame | undefined {
    for (const [camera, detectors] of this.#cameras) {
      for (const [detector, frame] of detectors) {
        if (!accepts(frame.offer)) continue;
        this.#cameras.delete(camera);
        detectors.delete(detector);
        if (detectors.size > 0) this.#cameras.set(camera, detectors);
        return frame;
      }
    }
    return undefined;
  }

  /** Takes out everything that was offered before `instant`. */
  takeOlderThan(instant: Milliseconds): readonly WaitingFrame[] {
    return this.#takeWhere((frame) => frame.offeredAt < instant);
  }

  /** Takes out everything, or everything of one camera. */
  takeAll(camera?: CameraId): readonly WaitingFrame[] {
    return this.#takeWhere((frame) => camera === undefined || frame.offer.camera === camera);
  }

  #takeWhere(condition: (frame: WaitingFrame) => boolean): readonly WaitingFrame[] {
    const taken: WaitingFrame[] = [];
    for (const [camera, detectors] of this.#cameras) {
      for (const [detector, frame] of detectors) {
        if (!condition(frame)) continue;
        detectors.delete(detector);
        taken.push(frame);
      }
      if (detectors.size === 0) this.#cameras.delete(camera);
    }
    return taken;
  }
}
