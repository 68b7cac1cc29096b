import type { Milliseconds } from '../../core/units.ts';

/** A viewer counts this long after its last request. */
const RECENT_MS = 10_000;
/** Viewers remembered per camera; beyond it new ones are not counted. */
const MAX_VIEWERS = 10_000;

/** HLS has no connections to count: a viewer is whoever (credential and address) asked within the last 10 s. */
export class RecentViewers {
  readonly #seenAt = new Map<string, Milliseconds>();

  /** `now`: `Clock.monotonic()`. */
  seen(viewer: string, now: Milliseconds): void {
    if (this.#seenAt.size < MAX_VIEWERS || this.#seenAt.has(viewer)) this.#seenAt.set(viewer, now);
  }

  /** Nobody has asked. */
  clear(): void {
    this.#seenAt.clear();
  }

  /** How many there are, after forgetting those who left. */
  count(now: Milliseconds): number {
    for (const [viewer, at] of this.#seenAt) if (now - at > RECENT_MS) this.#seenAt.delete(viewer);
    return this.#seenAt.size;
  }
}
