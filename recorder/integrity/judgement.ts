/** What is wrong with one camera's recordings, from what its files, the index and the signed manifest say. Pure. */
import type { ChainState } from './camera-chain.ts';
import type { SegmentCheck, UnreadableSegment } from './segment-check.ts';

export interface Problem {
  /** Of the segment; the camera or the manifest's file where it is not one segment's. */
  readonly id: string;
  readonly kind: 'missing' | 'changed' | 'truncated' | 'replaced' | 'unknown' | 'unproven' | 'damaged' | 'manifest';
  /** In words. */
  readonly problem: string;
}

/** What the index knows of a segment. */
export interface IndexedSegment {
  readonly id: string;
  readonly camera: string;
  readonly bytes: number;
  readonly sha256: string | null;
  readonly open: boolean;
  /** Given up, or only in the archive: its file need not be there. */
  readonly gone?: boolean;
}

export interface CameraEvidence {
  readonly camera: string;
  /** Of every file there was at first, but those the index calls open. */
  readonly checks: readonly (SegmentCheck | UnreadableSegment)[];
  /** Ids of the files that are there now. */
  readonly files: ReadonlySet<string>;
  /** Now, and at first; null: there is none. */
  readonly index: ReadonlyMap<string, IndexedSegment> | null;
  readonly indexedBefore: ReadonlyMap<string, IndexedSegment> | null;
  /** Null: there is none to go by. */
  readonly manifest: { readonly before: ChainState; readonly after: ChainState; readonly stopped: boolean } | null;
}

export interface Judgement {
  readonly problems: Problem[];
  /** Positions of segments that are gone and nothing here names. */
  readonly unnamed: readonly number[];
  /** Segments with a problem of which cannot be told any more what their position is: as many of `unnamed` may be theirs. */
  readonly unplaced: number;
}

export const judgeCamera = (evidence: CameraEvidence): Judgement => new CameraJudge(evidence).run();

const isCheck = (check: SegmentCheck | UnreadableSegment): check is SegmentCheck => 'sha256' in check;

class CameraJudge {
  readonly #evidence: CameraEvidence;
  readonly #problems: Problem[] = [];
  /** Files that are what their name says, by position; a signed one before any other. */
  readonly #at = new Map<number, SegmentCheck>();
  /** Segments whose position only others know. */
  readonly #placed = new Set<string>();

  constructor(evidence: CameraEvidence) {
    this.#evidence = evidence;
    for (const check of evidence.checks) {
      if (!isCheck(check) || !check.chain || check.saysId !== check.id) continue;
      if (this.#at.get(check.chain.position)?.signature !== 'valid') this.#at.set(check.chain.position, check);
    }
  }

  run(): Judgement {
    const { checks, files, index, indexedBefore, camera, manifest } = this.#evidence;
    const missed: string[] = [];
    for (const check of checks) {
      if (!files.has(check.id)) continue; // gone meanwhile: it is missed below if it should be there
      const found = this.#judge(check);
      if (found) this.#problems.push({ id: check.id, ...found });
    }
    for (const { id, camera: of, open, gone } of index?.values() ?? []) {
      if (of !== camera || open || gone === true || files.has(id) || !indexedBefore?.has(id)) continue;
      this.#problems.push({ id, kind: 'missing', problem: 'the recorded file is gone' });
      missed.push(id);
    }
    if (manifest?.after.anew) {
      const { upTo, at, reason } = manifest.after.anew;
      this.#problems.push({ id: camera, kind: 'manifest', problem: `the recordings up to no. ${String(upTo)} were signed anew at ${new Date(at).toISOString()} (${reason}): whether any were taken away before cannot be told` });
    }
    const unnamed = this.#missing();
    const lost = checks.filter((check) => files.has(check.id) && (!isCheck(check) || check.chain === null || check.saysId !== check.id)).map(({ id }) => id);
    const unplaced = [...lost, ...missed].filter((id) => !this.#placed.has(id)).length;
    return { unnamed, problems: this.#problems, unplaced };
  }

  #judge(check: SegmentCheck | UnreadableSegment): Omit<Problem, 'id'> | null {
    const row = this.#evidence.index?.get(check.id);
    if (row?.gone === true) return null; // waits to be deleted
    if (row?.open === true && !this.#isPinned(check)) return null; // is being written
    if (!isCheck(check)) return { kind: 'damaged', problem: `cannot be read: ${check.error}` };
    if (!row && this.#isUnfinished(check)) return null;
    if (check.saysId !== null && check.saysId !== check.id) return { kind: 'replaced', problem: `holds the recording ${check.saysId}` };
    const content = check.signature === 'valid' ? this.#authentic(check, row) : this.#unsigned(check, row);
    if (content) return content;
    if (this.#evidence.index && !row) return { kind: 'unknown', problem: 'not in the index' };
    return check.defect === null ? null : { kind: 'damaged', problem: check.defect };
  }

  /** Signed by us: it is what was recorded, but is it the one that belongs here? */
  #authentic(check: SegmentCheck, row: IndexedSegment | undefined): Omit<Problem, 'id'> | null {
    if (this.#witnesses(check).some(({ sha256 }) => sha256 !== check.sha256)) return { kind: 'replaced', problem: 'is signed, but is not the one that the recordings behind it continue' };
    if (row?.sha256 != null && row.sha256 !== check.sha256) return { kind: 'changed', problem: 'SHA-256 differs from the index' };
    return null;
  }

  #unsigned(check: SegmentCheck, row: IndexedSegment | undefined): Omit<Problem, 'id'> | null {
    const witnesses = this.#witnesses(check);
    const size = row && check.size < row.bytes ? `${String(check.size)} bytes, the index says ${String(row.bytes)}` : null;
    if (witnesses.some(({ sha256 }) => sha256 !== check.sha256) || (row?.sha256 != null && row.sha256 !== check.sha256)) {
      if (size !== null) return { kind: 'truncated', problem: size };
      const from = row?.sha256 != null && row.sha256 !== check.sha256 ? 'the index' : witnesses.find(({ sha256 }) => sha256 !== check.sha256)?.name ?? '';
      return { kind: 'changed', problem: `SHA-256 differs from ${from}` };
    }
    if (check.signature === 'invalid') return { kind: 'changed', problem: 'its signature does not fit its content' };
    if (witnesses.length > 0) return null;
    const { manifest, index } = this.#evidence;
    if (!manifest) return index || check.defect === null ? null : { kind: 'damaged', problem: check.defect };
    if (check.chain === null) return row ? null : { kind: 'unknown', problem: check.defect ?? 'neither signed nor in the index' };
    return { kind: row ? 'unproven' : 'unknown', problem: 'nothing signed vouches for it' };
  }

  /** Who else knows the SHA-256 of the file at this place, in a statement that is signed. */
  #witnesses({ id, chain }: SegmentCheck): { readonly name: string; readonly sha256: string }[] {
    const position = chain?.position ?? this.#positionOf(id);
    if (position === undefined) return [];
    const behind = this.#at.get(position + 1);
    const link = behind?.signature === 'valid' && behind.chain?.previousId === id ? behind.chain.previousSha256 : null;
    const run = this.#evidence.manifest?.after.runs.find(({ last, lastId }) => last === position && lastId === id);
    return [
      ...(link === null ? [] : [{ name: `what ${behind?.id ?? ''} continues`, sha256: link }]), ...(run?.lastSha256 == null ? [] : [{ name: 'the signed manifest', sha256: run.lastSha256 }]),
    ];
  }

  /** Of a file that does not say it any more. */
  #positionOf(id: string): number | undefined {
    for (const [position, { chain }] of this.#at) if (chain?.previousId === id) return position - 1;
    return this.#evidence.manifest?.after.runs.find(({ lastId }) => lastId === id)?.last;
  }

  /** A recorder is writing it, or was killed over it: the next start closes it. */
  #isUnfinished({ chain }: SegmentCheck): boolean {
    const { manifest } = this.#evidence;
    if (!chain || !manifest) return false;
    return manifest.after.open.includes(chain.position) || (!manifest.stopped && chain.position >= manifest.after.next);
  }

  #isPinned(check: SegmentCheck | UnreadableSegment): boolean {
    const position = (isCheck(check) ? check.chain?.position : undefined) ?? this.#positionOf(check.id);
    return position !== undefined && this.#evidence.manifest !== null && isPinned(this.#evidence.manifest.after, position);
  }

  /** Positions that are pinned before and after, and no file fills; those that a file behind them names become problems. */
  #missing(): number[] {
    const { manifest, files } = this.#evidence;
    if (!manifest) return [];
    const named = new Set(this.#problems.map(({ id }) => id));
    const unnamed: number[] = [];
    for (const { first, last, lastId } of manifest.after.runs) {
      for (let position = first; position <= last; position++) {
        const check = this.#at.get(position);
        if ((check && files.has(check.id)) || !isPinned(manifest.before, position)) continue;
        const behind = this.#at.get(position + 1);
        const id = behind?.chain?.previousId ?? (position === last && lastId !== '' ? lastId : null);
        if (id === null) unnamed.push(position);
        else if (files.has(id) || named.has(id)) this.#placed.add(id);
        else this.#problems.push({ id, kind: 'missing', problem: 'is gone, and retention did not take it' });
      }
    }
    return unnamed;
  }
}

const isPinned = ({ runs }: ChainState, position: number): boolean => runs.some(({ first, last }) => first <= position && position <= last);
