import type { Kysely } from 'kysely';
import type { Clock } from '../core/clock.ts';
import { isUnavailable } from '../core/errors.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Database } from '../platform/database/schema.ts';

/** Which edge owns a camera, and where its media HTTP is. */
export interface EdgeDirectory {
  /** e.g. `http://127.0.0.1:8081`, without a slash at the end; null when no edge has ever attached. */
  mediaBaseUrl(camera: CameraId): Promise<string | null>;
}

const FRESH_MS: Milliseconds = 1000;

/** The edge that attached last owns all cameras: there is one in first light. Read at most once a second; while the database does not answer, the edge is where it was. */
export class DatabaseEdgeDirectory implements EdgeDirectory {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;
  #known: { readonly at: Milliseconds; readonly url: Promise<string | null> } | null = null;
  #last: string | null = null;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  mediaBaseUrl(_camera: CameraId): Promise<string | null> {
    const now = this.#clock.monotonic();
    if (this.#known === null || now - this.#known.at >= FRESH_MS) this.#known = { at: now, url: this.#read() };
    return this.#known.url;
  }

  async #read(): Promise<string | null> {
    try {
      const row = await this.#db.selectFrom('edges').select('media_base_url').where('media_base_url', '!=', '').orderBy('seen_at', 'desc').limit(1).executeTakeFirst();
      this.#last = row === undefined ? null : row.media_base_url.replace(/\/$/, '');
    } catch (error) {
      if (this.#last === null || !isUnavailable(error)) throw error;
    }
    return this.#last;
  }
}
