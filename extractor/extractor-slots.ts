import type { Clock } from '../core/clock.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import { CrashHistory, RestartBackoff } from './crash-history.ts';
import type { Extractor } from './extractor-process.ts';
import type { FromChild } from './protocol.ts';

/** One extractor process and the handles of the cameras in it. */
export interface Slot {
  readonly extractor: Extractor;
  /** The camera that has it for itself; null: shared. */
  readonly isolatedFor: CameraId | null;
  /** Live handles, and those just removed whose last statistics are still to come. */
  readonly cameras: Map<number, CameraId>;
}

export interface SlotOptions {
  /** Shared processes the cameras are spread over. */
  readonly processes: number;
  readonly clock: Clock;
  readonly spawn: (events: { readonly onMessage: (message: FromChild) => void; readonly onCrash: (culprit: number | null) => void }) => Extractor;
  readonly onMessage: (slot: Slot, message: FromChild) => void;
  /** The slot's process is gone, while it worked on `culprit`'s picture if that is known; its cameras have no decoder until `onRetry`. */
  readonly onLost: (slot: Slot, culprit: CameraId | undefined) => void;
  /** Cameras that found no process may try again. */
  readonly onRetry: () => void;
  /** A process could not even be started (no room for its files, no descriptors left): it is tried again like one that crashed. */
  readonly onStartFailed: (error: unknown) => void;
}

const SHARED = '';

/** Which cameras decode in which process: spread evenly, those that crash their process twice alone; restarts wait longer each time. */
export class ExtractorSlots implements AsyncDisposable {
  readonly #options: SlotOptions;
  readonly #slots = new Set<Slot>();
  readonly #history = new CrashHistory();
  readonly #backoffs = new Map<string, RestartBackoff>();
  /** Kinds of process (shared, or one camera's) that wait before they start again. */
  readonly #paused = new Map<string, Disposable>();
  #disposed = false;

  constructor(options: SlotOptions) {
    this.#options = options;
  }

  get all(): readonly Slot[] {
    return [...this.#slots];
  }

  /** The process for a camera, started if need be; null while its kind waits after a crash. */
  place(camera: CameraId): Slot | null {
    const isolated = this.#history.isIsolated(camera);
    const kind = isolated ? camera : SHARED;
    if (this.#disposed || this.#paused.has(kind)) return null;
    const candidates = this.all.filter((slot) => slot.isolatedFor === (isolated ? camera : null));
    if (candidates.length < (isolated ? 1 : this.#options.processes) && candidates.every((slot) => slot.cameras.size > 0)) return this.#start(isolated ? camera : null);
    return candidates.toSorted((a, b) => a.cameras.size - b.cameras.size)[0] ?? null;
  }

  /** Ends a process that decodes nothing; true if it did. */
  release(slot: Slot): boolean {
    if (slot.cameras.size > 0 || !this.#slots.delete(slot)) return false;
    void slot.extractor[Symbol.asyncDispose]();
    return true;
  }

  forget(camera: CameraId): void {
    this.#history.forget(camera);
    this.#backoffs.delete(camera);
    this.#paused.get(camera)?.[Symbol.dispose]();
    this.#paused.delete(camera);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    for (const timer of this.#paused.values()) timer[Symbol.dispose]();
    const slots = this.all;
    this.#slots.clear();
    await Promise.all(slots.map((slot) => slot.extractor[Symbol.asyncDispose]()));
  }

  #start(isolatedFor: CameraId | null): Slot | null {
    try {
      const extractor = this.#options.spawn({
        onMessage: (message) => { this.#options.onMessage(slot, message); },
        onCrash: (culprit) => { this.#onCrash(slot, culprit); },
      });
      const slot: Slot = { extractor, isolatedFor, cameras: new Map() };
      this.#slots.add(slot);
      return slot;
    } catch (error) {
      this.#options.onStartFailed(error);
      this.#pause(isolatedFor ?? SHARED, this.#options.clock.monotonic());
      return null;
    }
  }

  #onCrash(slot: Slot, culprit: number | null): void {
    if (!this.#slots.delete(slot)) return;
    const now = this.#options.clock.monotonic();
    const camera = culprit === null ? undefined : slot.cameras.get(culprit);
    if (camera !== undefined) this.#history.record(camera, now);
    this.#pause(slot.isolatedFor ?? SHARED, now);
    this.#options.onLost(slot, camera);
  }

  /** No process of this kind before its back-off is over. */
  #pause(kind: string, now: Milliseconds): void {
    const { clock, onRetry } = this.#options;
    let backoff = this.#backoffs.get(kind);
    if (!backoff) this.#backoffs.set(kind, (backoff = new RestartBackoff()));
    const delay: Milliseconds = backoff.next(now);
    this.#paused.get(kind)?.[Symbol.dispose]();
    this.#paused.set(kind, clock.after(delay, () => {
      this.#paused.delete(kind);
      onRetry();
    }));
  }
}
