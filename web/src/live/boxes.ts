/**
 * Which boxes belong to which frame. Pure: messages in, the boxes to draw out.
 *
 * A message names its picture by the camera's RTP timestamp; the `timeline` message tells the offset of its epoch, so
 * `rtp_timestamp + offset` is what `requestVideoFrameCallback` reports for that very frame (D-4, D-8).
 */

export interface BoxMessage {
  readonly type: 'detections';
  readonly epoch: number;
  readonly rtp_timestamp: number;
  readonly captured_at: string;
  readonly sequence: number;
  readonly model: string;
  readonly inference_ms: number;
  readonly width: number;
  readonly height: number;
  readonly detections: readonly {
    readonly class_name: string;
    readonly class_id: number;
    readonly confidence: number;
    readonly bbox: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
    readonly track_id: string | null;
  }[];
}

export interface TimelineMessage {
  readonly type: 'timeline';
  readonly epoch: number;
  readonly offset: number;
}

/** exact: these boxes were found in this very frame · held: the last ones, of a frame at most two inference intervals older. */
export interface Shown {
  readonly how: 'exact' | 'held';
  readonly messages: readonly BoxMessage[];
}

const CLOCK = 90; // RTP ticks a millisecond
const KEEP = 600; // frames with boxes kept: 20 s at 30 fps
const MAX_WAITING = 64;

/** Signed distance b − a of two 32-bit RTP timestamps. */
const distance = (a: number, b: number): number => (b - a) | 0;

/** Boxes by frame of one video, WebRTC: keys are the RTP timestamps the viewer sees. */
export class BoxStore {
  readonly #offsets = new Map<number, number>();
  readonly #byFrame = new Map<number, BoxMessage[]>();
  #waiting: BoxMessage[] = [];
  #newest: number | null = null;
  #intervalTicks = 6000;

  /** Pictures with a result that have come; for the read-out. */
  received = 0;

  timeline(message: TimelineMessage): void {
    this.#offsets.set(message.epoch, message.offset);
    if (this.#offsets.size > 16) {
      const oldest = this.#offsets.keys().next().value;
      if (oldest !== undefined) this.#offsets.delete(oldest);
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) this.add(each);
  }

  /** Adds a result; returns the RTP timestamp its frame has at this viewer, or null while its epoch is unknown. */
  add(message: BoxMessage): number | null {
    const offset = this.#offsets.get(message.epoch);
    if (offset === undefined) {
      this.#waiting.push(message);
      if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
      return null;
    }
    this.received++;
    const key = (message.rtp_timestamp + offset) >>> 0;
    const there = this.#byFrame.get(key);
    if (there) there.push(message);
    else {
      if (this.#newest !== null) {
        const step = distance(this.#newest, key);
        if (step > 0 && step < 90_000) this.#intervalTicks += (step - this.#intervalTicks) / 8;
      }
      if (this.#newest === null || distance(this.#newest, key) > 0) this.#newest = key;
      this.#byFrame.set(key, [message]);
      if (this.#byFrame.size > KEEP) {
        const oldest = this.#byFrame.keys().next().value;
        if (oldest !== undefined) this.#byFrame.delete(oldest);
      }
    }
    return key;
  }

  /** The boxes for the frame presented with `rtpTimestamp`. */
  at(rtpTimestamp: number): Shown | null {
    const own = this.#byFrame.get(rtpTimestamp >>> 0);
    if (own) return { how: 'exact', messages: own };
    let best: { age: number; messages: readonly BoxMessage[] } | null = null;
    for (const [key, messages] of this.#byFrame) {
      const age = distance(key, rtpTimestamp);
      if (age > 0 && age <= 2 * this.#intervalTicks && (!best || age < best.age)) best = { age, messages };
    }
    return best ? { how: 'held', messages: best.messages } : null;
  }

  /** The newest result there is, whatever its age, and that age in milliseconds: for the mode *lowest latency*. */
  newest(rtpTimestamp: number): { readonly ageMs: number; readonly messages: readonly BoxMessage[] } | null {
    if (this.#newest === null) return null;
    const messages = this.#byFrame.get(this.#newest);
    return messages ? { ageMs: distance(this.#newest, rtpTimestamp) / CLOCK, messages } : null;
  }
}

/** Boxes by capture time, for LL-HLS: PROGRAM-DATE-TIME gives each frame's wall time. */
export class TimedBoxStore {
  #entries: { at: number; message: BoxMessage }[] = [];

  add(message: BoxMessage): void {
    this.#entries.push({ at: Date.parse(message.captured_at), message });
    if (this.#entries.length > KEEP) this.#entries.shift();
  }

  /** The boxes for the frame captured at `wallMs`, with frames `frameMs` apart. */
  at(wallMs: number, frameMs: number): Shown | null {
    let held: { age: number; at: number } | null = null;
    for (const { at } of this.#entries) {
      const age = wallMs - at;
      if (Math.abs(age) <= frameMs / 2) return { how: 'exact', messages: this.#entries.filter((e) => e.at === at).map((e) => e.message) };
      if (age > 0 && age <= 200 && (!held || age < held.age)) held = { age, at };
    }
    const found = held;
    return found ? { how: 'held', messages: this.#entries.filter((e) => e.at === found.at).map((e) => e.message) } : null;
  }
}
