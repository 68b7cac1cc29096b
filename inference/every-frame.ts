import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { FrameOffer } from './port.ts';
import type { WaitingFrame } from './waiting-frames.ts';

/** Pictures waiting for a worker's credit, of which none gives way to another: recordings have time. In the order in which they came. */
export class EveryFrame {
  #frames: WaitingFrame[] = [];

  /** Nothing that could be asked for. */
  of(): undefined {
    return undefined;
  }

  /** Nothing is ever taken the place of. */
  put(frame: WaitingFrame): undefined {
    this.#frames.push(frame);
  }

  /** The next in turn, if it is accepted. */
  take(accepts: (offer: FrameOffer) => boolean = () => true): WaitingFrame | undefined {
    const next = this.#frames[0];
    return next && accepts(next.offer) ? this.#frames.shift() : undefined;
  }

  /** Takes out everything that was offered before `instant`. */
  takeOlderThan(instant: Milliseconds): readonly WaitingFrame[] {
    return this.#takeWhere(({ offeredAt }) => offeredAt < instant);
  }

  /** Takes out everything, or everything of one camera. */
  takeAll(camera?: CameraId): readonly WaitingFrame[] {
    return this.#takeWhere(({ offer }) => camera === undefined || offer.camera === camera);
  }

  #takeWhere(condition: (frame: WaitingFrame) => boolean): readonly WaitingFrame[] {
    const taken = this.#frames.filter(condition);
    if (taken.length > 0) this.#frames = this.#frames.filter((frame) => !condition(frame));
    return taken;
  }
}
