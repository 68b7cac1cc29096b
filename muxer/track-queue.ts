import type { AccessUnit } from '../core/access-unit.ts';
import type { SampleInput } from '../core/fmp4/part-writer.ts';
import type { MediaTicks, Milliseconds } from '../core/units.ts';
import type { PartSample } from './port.ts';

/** A longer step between two samples is a hole, not a long sample: the sample keeps its usual duration and the next one starts a new part. */
export const HOLE_MS = 2_000;

/** A sample waiting for its part; its own view of the part's two lists, so one object per access unit is made. */
export interface PendingSample extends PartSample, SampleInput {
  duration: MediaTicks;
  /** Nothing follows within `HOLE_MS`: the run of contiguous samples ends here. */
  endsRun: boolean;
}

/**
 * The samples of one track that are in no part yet, oldest first. A sample's duration is the step to the next one, so the newest is held back
 * until that comes; `close` gives it the duration of the one before. Pure.
 */
export class TrackQueue {
  readonly clockRate: number;
  readonly #nominalDuration: MediaTicks;
  #samples: PendingSample[] = [];
  #lastDuration: MediaTicks = 0;
  #lastDts: MediaTicks = -1;
  #bytes = 0;

  /** `nominalDuration`: of a sample that is the only one of its run. */
  constructor(clockRate: number, nominalDuration: MediaTicks) {
    this.clockRate = clockRate;
    this.#nominalDuration = nominalDuration;
  }

  get length(): number { return this.#samples.length; }
  get bytes(): number { return this.#bytes; }

  /** Decode time of the oldest sample in milliseconds; undefined when empty. */
  get start(): Milliseconds | undefined {
    const first = this.#samples[0];
    return first && this.#toMs(first.dts);
  }

  /** Decode time of the newest sample, in milliseconds; undefined when empty. */
  get newest(): Milliseconds | undefined {
    const last = this.#samples.at(-1);
    return last && this.#toMs(last.dts);
  }

  /** From the oldest sample to the end of the newest, in milliseconds, as far as its duration is known. */
  get span(): Milliseconds {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    return first && last ? this.#toMs(last.dts + last.duration - first.dts) : 0;
  }

  /** How long the samples last, in milliseconds. */
  steps(): Milliseconds[] {
    return this.#samples.map((sample) => this.#toMs(sample.duration));
  }

  /**
   * Says that the next sample decodes at `dts`: the newest now has its duration. Returns the decode time to use, which is `dts` unless that would
   * not be after the one before (a device whose clock steps back): tables of an MP4 cannot express that.
   */
  follow(dts: MediaTicks): MediaTicks {
    const next = Math.max(dts, this.#lastDts + 1);
    const last = this.#samples.at(-1);
    if (last?.duration === 0) {
      const step = next - last.dts;
      last.endsRun = this.#toMs(step) > HOLE_MS;
      last.duration = last.endsRun ? this.#usualDuration() : step;
      if (!last.endsRun) this.#lastDuration = step;
    }
    return next;
  }

  /** Appends a unit; `follow` was called with its decode time before. */
  push(unit: AccessUnit, dts: MediaTicks, pts: MediaTicks): void {
    this.#lastDts = dts;
    this.#bytes += unit.data.length;
    this.#samples.push({
      kind: unit.kind,
      frame: unit.frame,
      wall: unit.wall,
      dts,
      pts,
      duration: 0,
      endsRun: false,
      bytes: unit.data.length,
      randomAccess: unit.randomAccess,
      data: unit.data,
      compositionOffset: pts - dts,
    });
  }

  /** Nothing follows for now: the newest sample lasts as long as the one before. */
  close(): void {
    const last = this.#samples.at(-1);
    if (last?.duration !== 0) return;
    last.duration = this.#usualDuration();
    last.endsRun = true;
  }

  /** Whether a run ends within the queue: what follows cannot be in the same part. */
  get hasHole(): boolean {
    return this.#samples.some((sample) => sample.endsRun);
  }

  /** Takes the samples whose duration is known and that begin before `until` (milliseconds), up to the end of a run. */
  take(until: Milliseconds): readonly PendingSample[] {
    let count = 0;
    for (const sample of this.#samples) {
      if (sample.duration === 0 || this.#toMs(sample.dts) >= until) break;
      count++;
      this.#bytes -= sample.bytes;
      if (sample.endsRun) break;
    }
    return this.#samples.splice(0, count);
  }

  /** Forgets the oldest sample; for a queue that waits for a picture to go with. */
  drop(): void {
    this.#bytes -= this.#samples.shift()?.bytes ?? 0;
  }

  #usualDuration(): MediaTicks {
    return this.#lastDuration > 0 ? this.#lastDuration : this.#nominalDuration;
  }

  #toMs(ticks: MediaTicks): Milliseconds {
    return (ticks * 1_000) / this.clockRate;
  }
}
