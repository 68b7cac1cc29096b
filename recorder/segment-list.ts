import type { SegmentRecord } from './port.ts';

/** Removed places at the front that are kept until there are as many as segments, so that the oldest goes without moving the rest. */
const MAX_FREE = 256;

/**
 * One camera's segments by start, which a segment never changes. Cheap where a rolling window works: appending, changing the newest, removing
 * the oldest. No map by id: a large one stops the event loop for 100 ms whenever it is built anew.
 */
export class SegmentList {
  #items: SegmentRecord[] = [];
  #head = 0;

  get length(): number { return this.#items.length - this.#head; }

  /** The `i`th oldest. */
  at(i: number): SegmentRecord | undefined {
    return this.#items[this.#head + i];
  }

  /** Adds a segment or puts it in the place of the one with its id, which it returns. */
  put(segment: SegmentRecord): SegmentRecord | undefined {
    const newest = this.#items.at(-1);
    const at = this.#find(segment);
    const previous = this.#items[at];
    if (previous) this.#items[at] = segment;
    else if (!newest || newest.start <= segment.start) this.#items.push(segment);
    else this.#items.splice(this.#firstFrom(segment.start), 0, segment);
    return previous;
  }

  /** Removes the segment with the id of `segment` and returns it. */
  remove(segment: SegmentRecord): SegmentRecord | undefined {
    const at = this.#find(segment);
    const removed = this.#items[at];
    if (!removed) return undefined;
    if (at > this.#head) this.#items.splice(at, 1);
    else {
      this.#head++;
      if (this.#head >= MAX_FREE && this.#head >= this.length) {
        this.#items = this.#items.slice(this.#head);
        this.#head = 0;
      }
    }
    return removed;
  }

  /** Oldest first. */
  toArray(): SegmentRecord[] {
    return this.#items.slice(this.#head);
  }

  /** Index of the segment with the id of `segment`, else -1. */
  #find({ id, start }: SegmentRecord): number {
    if (this.length > 0 && this.#items.at(-1)?.id === id) return this.#items.length - 1;
    for (let i = this.#firstFrom(start); this.#items[i]?.start === start; i++) if (this.#items[i]?.id === id) return i;
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
