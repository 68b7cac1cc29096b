import type { Milliseconds } from '../core/units.ts';
import type { SessionInfo } from '../ingest/port.ts';
import type { GapCause } from './port.ts';

/** Publications whose end is remembered: the recorder may be some behind. */
const REMEMBERED = 32;
/** A camera that comes so long after recording began was itself missing, whatever kept the recorder from it before. */
const LATE_MS: Milliseconds = 60_000;

/** How a camera's publications ended. Pure: it is told. */
export class PublicationEnds {
  readonly #ends = new Map<number, 'publisher_lost' | 'publisher_left'>();
  readonly #notRecorded: number[] = [];

  /** The camera's session has changed. */
  session({ phase, epoch, left }: Pick<SessionInfo, 'phase' | 'epoch' | 'left'>): void {
    if (epoch === null || (phase !== 'interrupted' && phase !== 'ended') || this.#ends.has(epoch)) return;
    this.#ends.set(epoch, left === true ? 'publisher_left' : 'publisher_lost');
    const [oldest] = this.#ends.keys();
    if (this.#ends.size > REMEMBERED && oldest !== undefined) this.#ends.delete(oldest);
  }

  /** Nothing of the publication that began at `epoch` can be recorded. */
  notRecorded(epoch: number): void {
    this.#notRecorded.push(epoch);
    if (this.#notRecorded.length > REMEMBERED) this.#notRecorded.shift();
  }

  /** The cause of a gap between two segments of one run of the recorder, by their epochs. */
  between(before: number, after: number): GapCause {
    if (before === after) return 'network_loss';
    if (this.#notRecorded.some((epoch) => epoch > before && epoch < after)) return 'codec_not_recorded';
    return this.#ends.get(before) ?? 'publisher_lost'; // without an end, another took over
  }
}

/** The cause of the gap before the first segment of a run: what kept the recorder, unless the camera came much later. `epoch`, `began`: Unix ms. */
export const beforeRun = (kept: GapCause, epoch: number, began: Milliseconds): GapCause => (epoch - began > LATE_MS ? 'publisher_lost' : kept);
