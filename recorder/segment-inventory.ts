import type { CameraId } from '../core/frame-ref.ts';
import type { EventJournal } from '../media-control/port.ts';
import type { SegmentRecord } from './port.ts';

/**
 * What is on this edge's disk, and the only way the control plane hears of it: every change is one event in the journal. Writers put, the
 * repair restores, retention expires.
 */
export class SegmentInventory {
  readonly #journal: EventJournal;
  readonly #segments = new Map<string, SegmentRecord>();
  readonly #newest = new Map<CameraId, SegmentRecord>();

  constructor(journal: EventJournal) {
    this.#journal = journal;
  }

  /** A segment appeared, grew, closed or was found on disk. */
  put(segment: SegmentRecord): void {
    this.#segments.set(segment.id, segment);
    const newest = this.#newest.get(segment.camera);
    if (!newest || newest.start <= segment.start) this.#newest.set(segment.camera, segment);
    this.#journal.append({ type: 'segment', segment });
  }

  /** A segment is no longer to be listed; its file may stay a little longer for readers (D-16). */
  expire(segment: SegmentRecord): void {
    if (this.#segments.delete(segment.id)) this.#journal.append({ type: 'segment-expired', id: segment.id, camera: segment.camera });
  }

  /** The newest segment of a camera, also when it has expired meanwhile: what `gapBefore` counts from. */
  newest(camera: CameraId): SegmentRecord | undefined {
    return this.#newest.get(camera);
  }

  get(id: string): SegmentRecord | undefined {
    return this.#segments.get(id);
  }

  /** Everything there is, oldest first: also what to send when the control plane has lost its database. */
  list(): SegmentRecord[] {
    return [...this.#segments.values()].sort((a, b) => a.start - b.start);
  }

  /** Journals every segment again, for a control plane that has lost its database. */
  resend(): void {
    for (const segment of this.list()) this.#journal.append({ type: 'segment', segment });
  }
}
