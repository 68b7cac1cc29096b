import { setImmediate as nextLoopTurn } from 'node:timers/promises';
import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { WaitingPicture } from './batching.ts';

/** What came during a run is read for as long as the next comes within this share of the run, and these bounds, of the one before. */
const SHARE_OF_RUN = 0.1;
const LEAST_MS: Milliseconds = 1;
const MOST_MS: Milliseconds = 20;
/** All of it takes so many times that at most: half of the run. */
const MOST_QUIETS = 5;

/**
 * A run in this process holds it: pictures that come meanwhile wait in the sockets, and would be read and run one by one. So those that
 * are read right after a run are waited for until no more come. A picture that comes while nothing ran waits for nobody.
 */
export class Gathering {
  readonly #clock: Clock;
  #ranUntil: Milliseconds = -Infinity;
  #quietMs: Milliseconds = 0;
  #onPicture = (): void => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A run that began then is over. */
  ran(beganAt: Milliseconds): void {
    const now = this.#clock.monotonic();
    this.#ranUntil = now;
    this.#quietMs = Math.min(MOST_MS, Math.max(LEAST_MS, SHARE_OF_RUN * (now - beganAt)));
  }

  /** A picture was read. */
  came(): void {
    this.#onPicture();
  }

  /** Resolves when `most` are `waiting`, or no more are to be expected. */
  async all(most: number, waiting: () => readonly WaitingPicture[]): Promise<void> {
    for (let pictures = waiting(); pictures.length < most && this.#areMoreToCome(pictures); pictures = waiting()) if (!await this.#another()) return;
  }

  /** The first came right after the run, and neither its time nor this is half over. Those that a server's run left time to read are there already. */
  #areMoreToCome([first]: readonly WaitingPicture[]): boolean {
    if (!first || first.receivedAt < this.#ranUntil || first.receivedAt > this.#ranUntil + this.#quietMs) return false;
    return this.#clock.monotonic() < Math.min(this.#ranUntil + MOST_QUIETS * this.#quietMs, first.receivedAt + first.deadlineMs / 2);
  }

  /** False when none comes in time. */
  async #another(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    let came = false;
    this.#onPicture = () => { came = true; resolve(undefined); };
    using _quiet = this.#clock.after(this.#quietMs, () => { resolve(undefined); });
    await promise;
    // After a stall of this process the timer comes before what waits in the sockets; and where one came there are often two.
    await nextLoopTurn();
    return came;
  }
}
