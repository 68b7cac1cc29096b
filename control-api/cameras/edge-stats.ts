import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { deadline } from '../deadline.ts';
import type { EdgeDirectory } from '../edge-directory.ts';

const DEADLINE_MS: Milliseconds = 1000;
const FRESH_MS: Milliseconds = 500;
const MAX_BYTES = 64 * 1024;

export type EdgeStats = Record<string, unknown>;

/** A camera's live figures, asked of its edge at most twice a second whoever asks. The caller has been let through the guard before. */
export class EdgeStatsClient {
  readonly #edges: EdgeDirectory;
  readonly #clock: Clock;
  readonly #recent = new LRUCache<string, { readonly at: Milliseconds; readonly stats: Promise<EdgeStats> }>({ max: 1000 });

  constructor(edges: EdgeDirectory, clock: Clock) {
    this.#edges = edges;
    this.#clock = clock;
  }

  /** `authorization`: the caller's own header, which the edge checks again. Throws NOT_FOUND (no session) or UNAVAILABLE. */
  get(camera: string, authorization: string): Promise<EdgeStats> {
    const known = this.#recent.get(camera);
    const now = this.#clock.monotonic();
    if (known !== undefined && now - known.at < FRESH_MS) return known.stats;
    const stats = this.#fetch(camera, authorization);
    this.#recent.set(camera, { at: now, stats });
    stats.catch(() => { if (this.#recent.get(camera)?.stats === stats) this.#recent.delete(camera); });
    return stats;
  }

  async #fetch(camera: string, authorization: string): Promise<EdgeStats> {
    const base = await this.#edges.mediaBaseUrl(camera);
    if (base === null) throw new MediaError('UNAVAILABLE', 'No edge is attached.', { retryAfterSeconds: 2 });
    using limit = deadline(this.#clock, DEADLINE_MS);
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${base}/v1/edge/cameras/${camera}/stats`, { headers: { authorization }, signal: limit.signal });
      text = await response.text();
    } catch (error) {
      throw new MediaError('UNAVAILABLE', "The camera's edge does not answer.", { cause: error, retryAfterSeconds: 2, context: { edge: messageOf(error) } });
    }
    if (response.status === 404 || response.status === 409) throw new MediaError('NOT_FOUND', 'The camera has no session now.', { reason: 'NO_SESSION' });
    if (!response.ok || text.length > MAX_BYTES) throw new MediaError('UNAVAILABLE', "The camera's edge refused.", { retryAfterSeconds: 2, context: { edge_status: response.status } });
    return JSON.parse(text) as EdgeStats;
  }
}
