import { toDetectionsMessage } from '../../core/detection.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { DetectionSource } from '../../extractor/port.ts';

/** Takes one detections message, already written as JSON. Must not throw or wait. */
export type DetectionsListener = (message: string) => void;

interface Subscription extends Disposable {
  listeners: readonly DetectionsListener[];
}

/** Writes each result of a camera as JSON once, for all its listeners; listens to a camera only while somebody listens here. */
export class DetectionsFanout {
  readonly #source: DetectionSource;
  readonly #cameras = new Map<CameraId, Subscription>();

  constructor(source: DetectionSource) {
    this.#source = source;
  }

  subscribe(camera: CameraId, listener: DetectionsListener): Disposable {
    const subscription = this.#cameras.get(camera) ?? this.#attach(camera);
    subscription.listeners = [...subscription.listeners, listener];
    return {
      [Symbol.dispose]: () => {
        subscription.listeners = subscription.listeners.filter((l) => l !== listener);
        if (subscription.listeners.length > 0 || this.#cameras.get(camera) !== subscription) return;
        this.#cameras.delete(camera);
        subscription[Symbol.dispose]();
      },
    };
  }

  #attach(camera: CameraId): Subscription {
    const attachment = this.#source.detections(camera).attach((unit) => {
      const message = JSON.stringify(toDetectionsMessage(unit.result));
      for (const listener of subscription.listeners) listener(message);
    });
    const subscription: Subscription = { listeners: [], [Symbol.dispose]: () => { attachment[Symbol.dispose](); } };
    this.#cameras.set(camera, subscription);
    return subscription;
  }
}
