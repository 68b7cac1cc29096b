/**
 * Between pictures that come by themselves and a client that takes them at its own pace: one is on its way, at most one waits, the newest. Pure: `write`
 * hands to the client's socket, `drained` is to be called when the socket has passed it on.
 */
export class NewestWins<T> {
  readonly #write: (value: T) => void;
  readonly #onDrop: () => void;
  #full = false;
  #waiting: { readonly value: T } | null = null;

  /** `onDrop`: a value that waited was replaced by a newer one. */
  constructor(write: (value: T) => void, onDrop: () => void) {
    this.#write = write;
    this.#onDrop = onDrop;
  }

  /** The client has not taken yet what it was given. */
  get full(): boolean {
    return this.#full;
  }

  offer(value: T): void {
    if (this.#full) {
      if (this.#waiting) this.#onDrop();
      this.#waiting = { value };
      return;
    }
    this.#full = true;
    this.#write(value);
  }

  /** The client has taken what it was given. */
  drained(): void {
    const next = this.#waiting;
    this.#waiting = null;
    this.#full = next !== null;
    if (next) this.#write(next.value);
  }

  /** The client wants no more for now: what waits is let go. */
  forget(): void {
    this.#waiting = null;
  }
}
