import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import { deadline } from '../deadline.ts';

/** Something the server needs: `edge`, `worker`, `database`, a listener. */
export interface Probe {
  readonly name: string;
  /** Resolves when it answers; rejects with the reason when it does not. */
  readonly check: (signal: AbortSignal) => Promise<void>;
}

export interface Readiness {
  readonly ready: boolean;
  /** What has not answered once since the start. */
  readonly missing: readonly string[];
  /** What has answered and does not now; the server stays ready. */
  readonly degraded: readonly string[];
}

const DEADLINE_MS: Milliseconds = 1000;
const FRESH_MS: Milliseconds = 200;

/** Ready when every probe was ready once (contract 0.3). Asked at most five times a second, whoever asks. */
export class HealthService {
  readonly #probes: readonly Probe[];
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #wasReady = new Set<string>();
  #known: { readonly at: Milliseconds; readonly readiness: Promise<Readiness> } | null = null;

  #logged = '';

  constructor(probes: readonly Probe[], clock: Clock, logger: Logger) {
    this.#probes = probes;
    this.#clock = clock;
    this.#logger = logger;
  }

  readiness(): Promise<Readiness> {
    const now = this.#clock.monotonic();
    if (this.#known === null || now - this.#known.at >= FRESH_MS) this.#known = { at: now, readiness: this.#ask() };
    return this.#known.readiness;
  }

  async #ask(): Promise<Readiness> {
    const answers = await Promise.all(this.#probes.map(async (probe) => [probe.name, await this.#failureOf(probe)] as const));
    const failed = answers.filter((answer): answer is readonly [string, string] => answer[1] !== null);
    for (const [name, failure] of answers) if (failure === null) this.#wasReady.add(name);
    const missing = failed.filter(([name]) => !this.#wasReady.has(name)).map(([name]) => name);
    const names = failed.map(([name]) => name);
    if (names.join() !== this.#logged) {
      // Reasons name sockets and hosts: they are for the log, not for whoever asks.
      this.#logger.info({ failed: Object.fromEntries(failed) }, names.length === 0 ? 'everything answers' : 'something does not answer');
      this.#logged = names.join();
    }
    return { ready: missing.length === 0, missing, degraded: names.filter((name) => !missing.includes(name)) };
  }

  async #failureOf(probe: Probe): Promise<string | null> {
    using limit = deadline(this.#clock, DEADLINE_MS);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => { reject(limit.signal.reason as Error); };
    limit.signal.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([probe.check(limit.signal), late]);
      return null;
    } catch (error) {
      return messageOf(error);
    } finally {
      limit.signal.removeEventListener('abort', onAbort);
    }
  }
}
