/**
 * Who may decode now: places that pictures take by their size, first come, first served. A large one waits until enough are free, and holds up those
 * behind it, or it would wait for ever.
 */
export class DecodePlaces {
  readonly #pixelsEach: number;
  readonly #total: number;
  #free: number;
  readonly #waiting: { readonly places: number; readonly enter: () => void }[] = [];

  /** So many pictures of `pixelsEach` pixels or less at a time. */
  constructor(places: number, pixelsEach: number) {
    this.#total = places;
    this.#free = places;
    this.#pixelsEach = pixelsEach;
  }

  /** Resolves when it is this picture's turn; disposing gives its places back, once. */
  async take(pixels: number): Promise<Disposable> {
    const places = Math.min(this.#total, Math.max(1, Math.ceil(pixels / this.#pixelsEach)));
    if (this.#waiting.length > 0 || this.#free < places) await new Promise<void>((enter) => { this.#waiting.push({ places, enter }); });
    else this.#free -= places;
    let taken = true;
    return {
      [Symbol.dispose]: () => {
        if (!taken) return;
        taken = false;
        this.#free += places;
        this.#admit();
      },
    };
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next && next.places <= this.#free; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#free -= next.places; // before it runs, so that nobody else takes them
      next.enter();
    }
  }
}
