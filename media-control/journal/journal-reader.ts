import type { Frame } from './frame.ts';
import { LaneReader } from './lane.ts';
import type { Lane } from './lane.ts';

export interface JournalReaderOptions {
  readonly lanes: readonly Lane[];
  /** Begin behind this number. */
  readonly after: number;
  /** Nothing beyond this number may be read yet. */
  readonly limit: () => number;
  /** The rest of this file cannot be read and is passed over. */
  readonly onDamaged: (path: string) => void;
}

/** Reads the lanes of a journal merged by sequence number. */
export class JournalReader {
  readonly #readers: readonly LaneReader[];
  readonly #limit: () => number;

  constructor(options: JournalReaderOptions) {
    this.#readers = options.lanes.map((lane) => new LaneReader(lane, options.after, options.onDamaged));
    this.#limit = options.limit;
  }

  /** The next events, at most `maxEvents` and, but for the first, `maxBytes` of payload. Empty: all is read. */
  next(maxEvents: number, maxBytes: number): Frame[] {
    const frames: Frame[] = [];
    let bytes = 0;
    const limit = this.#limit();
    while (frames.length < maxEvents) {
      let [best, frame]: [LaneReader | undefined, Frame | undefined] = [undefined, undefined];
      for (const reader of this.#readers) {
        const peeked = reader.peek();
        if (peeked && peeked.seq <= limit && (frame === undefined || peeked.seq < frame.seq)) [best, frame] = [reader, peeked];
      }
      if (!best || !frame || (frames.length > 0 && bytes + frame.payload.length > maxBytes)) break;
      bytes += frame.payload.length;
      frames.push(frame);
      best.take();
    }
    return frames;
  }
}
