import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';

const WINDOW_MS: Milliseconds = 60_000;
const CRASHES_TO_ISOLATE = 2;
const MIN_BACKOFF_MS: Milliseconds = 200;
const MAX_BACKOFF_MS: Milliseconds = 10_000;

/** Pure memory of crashes: which cameras must decode alone, and how long to wait before the next start. */
export class CrashHistory {
  readonly #byCamera = new Map<CameraId, Milliseconds[]>();
  readonly #isolated = new Set<CameraId>();

  /** A decoder died on a picture of `camera`. */
  record(camera: CameraId, now: Milliseconds): void {
    const recent = [...(this.#byCamera.get(camera) ?? []), now].filter((at) => now - at < WINDOW_MS).slice(-16);
    this.#byCamera.set(camera, recent);
    if (recent.length >= CRASHES_TO_ISOLATE) this.#isolated.add(camera);
  }

  /** It crashed a process twice within a minute: it gets one of its own from now on. */
  isIsolated(camera: CameraId): boolean {
    return this.#isolated.has(camera);
  }

  forget(camera: CameraId): void {
    this.#byCamera.delete(camera);
    this.#isolated.delete(camera);
  }
}

/** Waits between restarts: 0.2 s, doubled with each crash up to 10 s; from the start again after a minute without one. */
export class RestartBackoff {
  #delay: Milliseconds = MIN_BACKOFF_MS;
  #lastCrash: Milliseconds | null = null;

  /** The wait after a crash at `now`. */
  next(now: Milliseconds): Milliseconds {
    const quiet = this.#lastCrash === null || now - this.#lastCrash > WINDOW_MS;
    this.#delay = quiet ? MIN_BACKOFF_MS : Math.min(MAX_BACKOFF_MS, this.#delay * 2);
    this.#lastCrash = now;
    return this.#delay;
  }
}
