/** How many bytes of frames all streams together hold that are not answered yet. Beyond that no stream reads another frame. */
export class FrameBudget {
  readonly #most: number;
  readonly #onRoom: () => void;
  #held = 0;

  /** `onRoom`: there is room again where there was none. */
  constructor(most: number, onRoom: () => void) {
    this.#most = most;
    this.#onRoom = onRoom;
  }

  get full(): boolean { return this.#held >= this.#most; }

  /** Disposing gives them back, once. */
  hold(bytes: number): Disposable {
    this.#held += bytes;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        const before = this.#held;
        this.#held -= bytes;
        if (before >= this.#most && this.#held < this.#most) this.#onRoom();
      },
    };
  }
}
