import type { CameraId } from '../core/frame-ref.ts';
import type { CameraSpec, Distribution } from './port.ts';

/** Where the switches' positions come from: `DesiredStateStore`. */
export interface CameraSpecs {
  cameras(): readonly CameraSpec[];
  camera(id: CameraId): CameraSpec | undefined;
  onChange(listener: () => void): Disposable;
}

/** The switches as control wants them, also while control is down. Disposing stops following. */
export class DesiredStateDistribution implements Distribution, Disposable {
  readonly #source: CameraSpecs;
  readonly #listeners = new Set<(camera: CameraId) => void>();
  readonly #following: Disposable;
  #off: ReadonlySet<CameraId>;

  constructor(source: CameraSpecs) {
    this.#source = source;
    this.#off = this.#offNow();
    this.#following = source.onChange(() => { this.#compare(); });
  }

  isOff(camera: CameraId): boolean {
    return this.#source.camera(camera)?.distribution === 'off';
  }

  onSwitched(listener: (camera: CameraId) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener); } };
  }

  [Symbol.dispose](): void {
    this.#following[Symbol.dispose]();
    this.#listeners.clear();
  }

  #offNow(): ReadonlySet<CameraId> {
    return new Set(this.#source.cameras().filter((camera) => camera.distribution === 'off').map((camera) => camera.id));
  }

  #compare(): void {
    const before = this.#off;
    this.#off = this.#offNow();
    for (const { id } of this.#source.cameras()) {
      if (before.has(id) !== this.#off.has(id)) for (const listener of this.#listeners) listener(id);
    }
  }
}
