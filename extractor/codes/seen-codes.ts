import type { Milliseconds } from '../../core/units.ts';

/** More codes are not remembered: the one that was seen longest ago is forgotten. */
export const MAX_REMEMBERED = 1_000;
/** What one camera may tell in a minute. */
export const MAX_TOLD_PER_MINUTE = 120;
/** Of their contents: events are kept by number, and large ones would fill the disk. */
export const MAX_TOLD_BYTES_PER_MINUTE = 64 << 10;
const MINUTE: Milliseconds = 60_000;
/** A clock set back by more than this is another time, in which nothing of before goes on. */
const SET_BACK: Milliseconds = 5_000;

interface Seen {
  readonly first: Milliseconds;
  last: Milliseconds;
  told: boolean;
}

export interface CodesToTell {
  /** By key, since when it is to be seen. */
  readonly told: ReadonlyMap<string, Milliseconds>;
  /** Codes that have come and wait, as enough was told in this minute. */
  readonly heldBack: number;
}

/**
 * Which codes are told: each when it comes into the picture, and again only after it was away for so long. What is too much for a minute is told in the next, if it is
 * still there. Pure; pictures in order of presentation.
 */
export class SeenCodes {
  /** By key; the one that was seen longest ago first. */
  readonly #seen = new Map<string, Seen>();
  #newest: Milliseconds = -Infinity;
  #minute = 0;
  #told = 0;
  #toldBytes = 0;

  /** The keys of the codes in a picture; `repeat`: how long a code must have been away; `bytesOf`: what one holds. */
  see(capturedAt: Milliseconds, keys: readonly string[], repeat: Milliseconds, bytesOf: (key: string) => number = () => 0): CodesToTell {
    if (capturedAt + SET_BACK < this.#newest) {
      this.#seen.clear();
      this.#newest = -Infinity;
    }
    // Jitter of the camera's clock is no way back in time.
    const at = (this.#newest = Math.max(this.#newest, capturedAt));
    const minute = Math.floor(at / MINUTE);
    if (minute !== this.#minute) this.#told = this.#toldBytes = 0;
    this.#minute = minute;
    const told = new Map<string, Milliseconds>();
    let heldBack = 0;
    for (const key of new Set(keys)) {
      const before = this.#seen.get(key);
      const seen: Seen = before && at - before.last < repeat ? before : { first: at, last: at, told: false };
      this.#seen.delete(key); // behind all others
      this.#seen.set(key, seen);
      seen.last = at;
      if (seen.told) continue;
      const bytes = bytesOf(key);
      if (this.#told < MAX_TOLD_PER_MINUTE && this.#toldBytes + bytes <= MAX_TOLD_BYTES_PER_MINUTE) {
        this.#told++;
        this.#toldBytes += bytes;
        seen.told = true;
        told.set(key, seen.first);
      } else if (seen !== before) heldBack++;
    }
    this.#forget();
    return { told, heldBack };
  }

  #forget(): void {
    for (const key of this.#seen.keys()) {
      if (this.#seen.size <= MAX_REMEMBERED) return;
      this.#seen.delete(key);
    }
  }
}
