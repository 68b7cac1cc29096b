import type { CameraId } from '../core/frame-ref.ts';
import type { Distribution } from './port.ts';

/** Every camera is on until `turn` says otherwise. For tests. */
export class FakeDistribution implements Distribution {
  readonly #off = new Set<CameraId>();
  readonly #listeners = new Set<(camera: CameraId) => void>();

  isOff(camera: CameraId): boolean {
    return this.#off.has(camera);
  }

  onSwitched(listener: (camera: CameraId) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener); } };
  }

  turn(camera: CameraId, to: 'on' | 'off'): void {
    if (to === 'off') this.#off.add(camera);
    else this.#off.delete(camera);
    for (const listener of this.#listeners) listener(camera);
  }
}
