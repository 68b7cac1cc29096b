import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';
import { tagged } from '../etag.ts';
import type { TaggedText } from '../etag.ts';

/** Sessions change without us (edges write them), so a page may be so old. */
const FRESH_MS: Milliseconds = 100;

/**
 * Pages of the camera list as text, so that a wall of dashboards that polls it costs one query, not one each. Every user who may list sees
 * the same. Forgotten at each change of a camera.
 */
export class ListCache {
  readonly #clock: Clock;
  readonly #pages = new LRUCache<string, { readonly at: Milliseconds; readonly body: TaggedText }>({ max: 200 });
  #generation = 0;

  constructor(clock: Clock) { this.#clock = clock; }

  /** The page of this key, when it is fresh. */
  get(key: string): TaggedText | undefined {
    const known = this.#pages.get(key);
    return known !== undefined && this.#clock.monotonic() - known.at < FRESH_MS ? known.body : undefined;
  }

  /** Makes the page and keeps it, unless a camera changed meanwhile. */
  async make(key: string, page: () => Promise<unknown>): Promise<TaggedText> {
    const generation = this.#generation;
    const at = this.#clock.monotonic();
    const body = tagged(await page());
    if (generation === this.#generation) this.#pages.set(key, { at, body });
    return body;
  }

  clear(): void {
    this.#generation++;
    this.#pages.clear();
  }
}
