import type { SegmentRecord } from './port.ts';

/** Removed places at the front that are kept until there are as many as segments, so that the oldest goes without moving the rest. */
const MAX_FREE = 256;

/** One camera's segments by start. Cheap where a rolling window works: appending, changing the newest, removing the oldest. */
export class SegmentList {
  #items: SegmentRecord[] = [];
  #head = 0;

  get length(): number { return this.#items.length - this.#head; }

  /** The `i`th oldest. */
  at(i: number): SegmentRecord | undefined {
    return this.#items[this.#head + i];
  }

  add(segment: SegmentRecord): void {
    const newest = this.#items.at(-1);
    if (!newest || newest.start <= segment.start) this.#items.push(segment);
    else this.#items.splice(this.#firstFrom(segment.start), 0, segment);
  }

  /** Puts `segment` in the place of `previous`, which begins at the same time. */
  replace(previous: SegmentRecord, segment: SegmentRecord): void {
    const at = this.#find(previous);
    if (at >= 0) this.#items[at] = segment;
  }

  remove(segment: SegmentRecord): void {
    const at = this.#find(segment);
    if (at < 0) return;
    if (at > this.#head) {
      this.#items.splice(at, 1);
      return;
    }
    this.#head++;
    if (this.#head < MAX_FREE || this.#head < this.length) return;
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }

  /** Oldest first. */
  toArray(): SegmentRecord[] {
    return this.#items.slice(this.#head);
  }

  #find(segment: SegmentRecord): number {
    if (this.#items.at(-1) === segment) return this.#items.length - 1;
    for (let i = this.#firstFrom(segment.start); this.#items[i]?.start === segment.start; i++) if (this.#items[i] === segment) return i;
    return -1;
  }

  /** Index of the first that begins at `start` or later. */
  #firstFrom(start: number): number {
    let low = this.#head;
    for (let high = this.#items.length; low < high;) {
      const middle = (low + high) >>> 1;
      if ((this.#items[middle]?.start ?? Infinity) < start) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
