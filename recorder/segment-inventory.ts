import type { CameraId } from '../core/frame-ref.ts';
import type { EventJournal } from '../media-control/port.ts';
import type { SegmentChains } from './integrity/segment-chains.ts';
import type { SegmentRecord } from './port.ts';
import { SegmentList } from './segment-list.ts';

/**
 * What is on this edge's disk, and the only way the control plane hears of it: every change is one event in the journal. Writers put, the
 * repair restores, retention expires. A week of sixteen cameras is a million segments: nothing here but `list` looks at all of them.
 */
export class SegmentInventory {
  readonly #journal: EventJournal;
  readonly #cameras = new Map<CameraId, SegmentList>();
  readonly #newest = new Map<CameraId, SegmentRecord>();
  readonly #bytes = new Map<CameraId, number>();
  #totalBytes = 0;

  readonly #chains: Pick<SegmentChains, 'closed' | 'expired'> | undefined;

  /** `chains`: pin what is closed and let go of what has expired. */
  constructor(journal: EventJournal, chains?: Pick<SegmentChains, 'closed' | 'expired'>) {
    this.#journal = journal;
    this.#chains = chains;
  }

  /** Bytes of all segments. */
  get totalBytes(): number { return this.#totalBytes; }

  /** A segment appeared, grew, closed or was found on disk. `sound`: false when a closed one is not to be pinned in the chain. */
  put(segment: SegmentRecord, sound = true): void {
    const { camera } = segment;
    let list = this.#cameras.get(camera);
    if (!list) this.#cameras.set(camera, list = new SegmentList());
    const before = list.put(segment);
    this.#grow(camera, segment.bytes - (before?.bytes ?? 0));
    const newest = this.#newest.get(camera);
    if (!newest || newest.start <= segment.start) this.#newest.set(camera, segment);
    if (!segment.open && sound) this.#chains?.closed(segment);
    this.#journal.append({ type: 'segment', segment }, before && segment.open ? 'later' : 'now'); // how far it has grown, every camera says every few seconds
  }

  /** A segment is no longer to be listed; its file may stay a little longer for readers (D-16). */
  expire(segment: SegmentRecord): void {
    const { id, camera } = segment;
    const list = this.#cameras.get(camera);
    const removed = list?.remove(segment);
    if (!removed) return;
    this.#grow(camera, -removed.bytes);
    if (list?.length === 0) {
      this.#cameras.delete(camera);
      this.#bytes.delete(camera);
    }
    this.#chains?.expired(removed);
    this.#journal.append({ type: 'segment-expired', id, camera });
  }

  /** The newest segment of a camera, also when it has expired meanwhile: what `gapBefore` counts from. */
  newest(camera: CameraId): SegmentRecord | undefined {
    return this.#newest.get(camera);
  }

  /** Of every camera's newest segment. */
  newestIds(): string[] {
    return [...this.#newest.values()].map(({ id }) => id);
  }

  /** How many segments a camera has. */
  count(camera: CameraId): number {
    return this.#cameras.get(camera)?.length ?? 0;
  }

  /** Cameras that have any. */
  cameras(): CameraId[] {
    return [...this.#cameras.keys()];
  }

  /** Bytes of a camera's segments. */
  bytesOf(camera: CameraId): number {
    return this.#bytes.get(camera) ?? 0;
  }

  /** A camera's segments, oldest first; whoever stops early has looked at no others. Not to be changed meanwhile. */
  *oldestOf(camera: CameraId): Generator<SegmentRecord, undefined> {
    const list = this.#cameras.get(camera);
    for (let i = 0; list && i < list.length; i++) {
      const segment = list.at(i);
      if (segment) yield segment;
    }
  }

  /** A camera's segments, oldest first. */
  ofCamera(camera: CameraId): SegmentRecord[] {
    return this.#cameras.get(camera)?.toArray() ?? [];
  }

  /** Segments of all cameras, oldest first; whoever stops early has looked at no others. Not to be changed meanwhile. */
  *oldestFirst(): Generator<SegmentRecord, undefined> {
    const cursors = [...this.#cameras.values()].map((list) => ({ list, next: 0 }));
    for (;;) {
      let oldest: SegmentRecord | undefined;
      let from: (typeof cursors)[number] | undefined;
      for (const cursor of cursors) {
        const candidate = cursor.list.at(cursor.next);
        if (!candidate || (oldest && oldest.start <= candidate.start)) continue;
        oldest = candidate;
        from = cursor;
      }
      if (!oldest || !from) return;
      from.next++;
      yield oldest;
    }
  }

  #grow(camera: CameraId, bytes: number): void {
    this.#totalBytes += bytes;
    this.#bytes.set(camera, this.bytesOf(camera) + bytes);
  }

  /** Everything there is, oldest first: also what to send when the control plane has lost its database. */
  list(): SegmentRecord[] {
    return [...this.#cameras.values()].flatMap((list) => list.toArray()).sort((a, b) => a.start - b.start);
  }
}
