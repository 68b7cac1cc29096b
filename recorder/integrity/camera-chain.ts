/**
 * Which segments of one camera there are to be, by their positions in its chain. Pure: it is told, and never looks at a disk.
 *
 * A run is a row of positions without a hole in which every segment names the SHA-256 of the one before; the last one's is kept here. So a run,
 * however long, is vouched for by four values; a hole between two runs is what retention took.
 */
import type { ChainLink } from '../../core/fmp4/segment-info-box.ts';

export interface ChainRun {
  readonly first: number;
  readonly last: number;
  readonly lastId: string;
  /** Hex; null: not known any more, the last file's own signature has to do. */
  readonly lastSha256: string | null;
}

/** What is pinned of a camera in the signed manifest. */
export interface ChainState {
  /** The position the next segment gets. */
  readonly next: number;
  /** The segment begun last, and its SHA-256 once it is closed. */
  readonly head: { readonly id: string; readonly sha256: string | null } | null;
  /** By position. */
  readonly runs: readonly ChainRun[];
  /** Begun, and not closed in good order. */
  readonly open: readonly number[];
  /** The chain up to here was signed anew, since nothing signed before was there; what went missing before that cannot be told. */
  readonly anew: { readonly upTo: number; readonly at: number; readonly reason: string } | null;
}

export const EMPTY_CHAIN: ChainState = { next: 1, head: null, runs: [], open: [], anew: null };

/** What the chain needs of a segment's record. */
export interface ChainedSegment {
  readonly id: string;
  readonly sha256: string | null;
  readonly chain?: ChainLink;
}

interface Range { readonly first: number; readonly last: number }

export class CameraChain {
  #next: number;
  #head: ChainState['head'];
  readonly #runs: ChainRun[];
  readonly #open: Set<number>;
  #anew: ChainState['anew'];
  /** In runs, but not on the disk when this process began. */
  #missing: Range[] = [];

  constructor(state: ChainState = EMPTY_CHAIN) {
    this.#next = state.next;
    this.#head = state.head;
    this.#runs = [...state.runs];
    this.#open = new Set(state.open);
    this.#anew = state.anew;
  }

  get state(): ChainState {
    return { next: this.#next, head: this.#head, runs: [...this.#runs], open: [...this.#open].sort((a, b) => a - b), anew: this.#anew };
  }

  /** Whether a segment at `position` is pinned. */
  has(position: number): boolean {
    return this.#runs[this.#find(position)] !== undefined;
  }

  /** Whether a segment was begun at `position` and not closed in good order. */
  isOpen(position: number): boolean {
    return this.#open.has(position);
  }

  /** Whether `position` is yet to be given. */
  isBehindHead(position: number): boolean {
    return position >= this.#next;
  }

  /** A segment begins: its place in the chain. */
  begin(id: string): ChainLink {
    const link = { position: this.#next++, previousId: this.#head?.id ?? null, previousSha256: this.#head?.sha256 ?? null };
    this.#open.add(link.position);
    this.#head = { id, sha256: null };
    return link;
  }

  /** A segment that was begun came to nothing. Its position is given again unless another one was begun behind it. */
  abandon(id: string, link: ChainLink): void {
    this.#open.delete(link.position);
    if (this.#head?.id !== id) return;
    this.#next = link.position;
    this.#head = link.previousId === null ? null : { id: link.previousId, sha256: link.previousSha256 };
  }

  /** A segment is closed, or was found on the disk. One that is pinned already stays as it was pinned. */
  closed({ id, sha256, chain }: ChainedSegment): void {
    if (!chain || sha256 === null || this.has(chain.position)) return;
    const { position, previousSha256 } = chain;
    this.#open.delete(position);
    const before = this.#before(position);
    const run = this.#runs[before];
    const continues = run?.last === position - 1 && previousSha256 !== null && run.lastSha256 === previousSha256;
    const last = { last: position, lastId: id, lastSha256: sha256 };
    if (continues) this.#runs[before] = { ...run, ...last };
    else this.#runs.splice(before + 1, 0, { first: position, ...last });
    if (position >= this.#next) {
      this.#next = position + 1;
      this.#head = { id, sha256 };
    } else if (this.#head?.id === id) this.#head = { id, sha256 };
  }

  /** The chain begins behind a segment of a version that did not chain. */
  follow(id: string, sha256: string | null): void {
    this.#head ??= { id, sha256 };
  }

  /** Retention took a segment: from now on it is not to be there. With it goes what was missing before it. */
  expired({ chain }: ChainedSegment): void {
    if (!chain) return;
    this.#open.delete(chain.position);
    this.#remove(chain.position, chain);
    // An upload is begun late and is of earlier: what it leaves behind may still have all before it.
    const first = this.#firstPresent();
    const gone = this.#missing.filter(({ last }) => last < chain.position && last < first);
    if (gone.length > 0) this.#missing = this.#missing.slice(gone.length);
    for (const { first, last } of gone) for (let position = first; position <= last; position++) this.#remove(position, undefined);
    if (this.#anew && this.#anew.upTo < (this.#runs[0]?.first ?? Infinity)) this.#anew = null;
  }

  /** Notes what is not on the disk although it is pinned; how many segments. `present`: the positions found. Forgets open ones that are not there. */
  reconcile(present: ReadonlySet<number>): number {
    for (const position of this.#open) if (!present.has(position)) this.#open.delete(position);
    this.#missing = [];
    let count = 0;
    let from: number | undefined;
    const end = (last: number): void => {
      if (from !== undefined) this.#missing.push({ first: from, last });
      from = undefined;
    };
    for (const { first, last } of this.#runs) {
      for (let position = first; position <= last; position++) {
        if (present.has(position)) end(position - 1);
        else {
          from ??= position;
          count++;
        }
      }
      end(last);
    }
    return count;
  }

  /** Nothing signed was there: whatever is pinned now is pinned for the first time. */
  begunAnew(at: number, reason: string): void {
    const last = this.#runs.at(-1)?.last;
    if (last !== undefined) this.#anew = { upTo: last, at, reason };
  }

  /** The first position that is pinned and not missing; Infinity for none. */
  #firstPresent(): number {
    for (const run of this.#runs) {
      let position = run.first;
      for (const { first, last } of this.#missing) if (first <= position && position <= last) position = last + 1;
      if (position <= run.last) return position;
    }
    return Infinity;
  }

  #remove(position: number, link: ChainLink | undefined): void {
    const at = this.#find(position);
    const run = this.#runs[at];
    if (!run) return;
    const before = position > run.first ? [{ first: run.first, last: position - 1, lastId: link?.previousId ?? '', lastSha256: link?.previousSha256 ?? null }] : [];
    const behind = position < run.last ? [{ ...run, first: position + 1 }] : [];
    this.#runs.splice(at, 1, ...before, ...behind);
  }

  /** Index of the run that holds `position`, else -1. */
  #find(position: number): number {
    const at = this.#before(position + 1);
    const run = this.#runs[at];
    return run && position <= run.last ? at : -1;
  }

  /** Index of the last run that begins before `position`, else -1. */
  #before(position: number): number {
    let low = 0;
    for (let high = this.#runs.length; low < high;) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle]?.first ?? Infinity) < position) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
