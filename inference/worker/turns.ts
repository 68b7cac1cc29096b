/** Gives the next piece of a lane's work, begun, which never rejects; undefined when there is none. */
export type Lane = () => Promise<void> | undefined;

/** So many live pictures in a row, and a guest's run comes before the next. */
export const LIVE_PER_GUEST = 8;

const NOTHING: Lane = () => undefined;

/**
 * Whose turn it is with the models: one run at a time for all, since the threads of ONNX Runtime share the cores anyway, and a run holds
 * this process. Live pictures go first, so that one waits for one run of a guest's at most; guests have every ninth turn even so.
 */
export class Turns {
  #live = NOTHING;
  #guests = NOTHING;
  #liveInARow = 0;
  #working = false;

  /** Who has the lane from now on; `wake` tells that there is something in it. */
  take(lane: 'live' | 'guests', next: Lane): void {
    if (lane === 'live') this.#live = next;
    else this.#guests = next;
  }

  wake(): void {
    if (!this.#working) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let turn = this.#next(); turn; turn = this.#next()) await turn;
    this.#working = false;
  }

  #next(): Promise<void> | undefined {
    const due = this.#liveInARow >= LIVE_PER_GUEST ? this.#guests() : undefined;
    const live = due ? undefined : this.#live();
    if (live) {
      this.#liveInARow++;
      return live;
    }
    this.#liveInARow = 0;
    return due ?? this.#guests();
  }
}
