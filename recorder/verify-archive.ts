/**
 * `record verify --archive` [REC-10]: is every archived recording in the object store, whole and unchanged? Each object is held against the
 * index, its own signature, what the archived ones behind it say of it, and the signed manifest, as far as that still covers it. May run
 * beside a server: what seems wrong is looked at again before it is called wrong.
 */
import { MediaError, messageOf } from '../core/errors.ts';
import { MAX_GET_BYTES } from '../platform/object-store/object-store.ts';
import type { ObjectStore } from '../platform/object-store/object-store.ts';
import type { PublicSigningKey } from '../platform/signing-key.ts';
import { EMPTY_CHAIN } from './integrity/camera-chain.ts';
import { CHAIN_FILE } from './integrity/chain-manifest.ts';
import type { ChainManifest } from './integrity/chain-manifest.ts';
import { judgeCamera } from './integrity/judgement.ts';
import type { IndexedSegment, Problem } from './integrity/judgement.ts';
import { checkObject } from './integrity/object-check.ts';
import type { SegmentCheck } from './integrity/segment-check.ts';
import { readManifest } from './verify.ts';
import type { VerifyProgress } from './verify.ts';

export interface ArchiveReport {
  /** Objects that were read, or are not there. */
  readonly checked: number;
  /** Of the objects that nothing is wrong with. */
  readonly bytes: number;
  readonly problems: readonly Problem[];
  /** Good by the index, without a signature of this installation. */
  readonly unsigned: number;
  /** Those the store did not give: nothing can be said of them. */
  readonly unread: readonly { readonly id: string; readonly error: string }[];
}

export interface VerifyArchiveOptions {
  readonly objects: ObjectStore;
  readonly keyOf: (segmentId: string) => string | undefined;
  /** Where the signed manifest is. */
  readonly directory: string;
  /** Whose signatures count; absent: objects are held against the index alone. */
  readonly key?: PublicSigningKey | undefined;
  /** Of these, the ones that are still in the archive, as the index says now. */
  readonly again: (ids: readonly string[]) => Promise<readonly IndexedSegment[]>;
  /** Objects read at a time. */
  readonly concurrency: number;
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** So many objects in a row that the store does not give, and it is no use to ask for more. */
const MAX_FAILURES = 5;

type Looked = { readonly check: SegmentCheck } | { readonly problem: Problem } | { readonly id: string; readonly error: string };

/**
 * Checks the objects of `segments`, the archived ones of the index. Throws what the store says when it gives nothing at all, and when `signal`
 * aborts.
 */
export const verifyArchive = async (segments: readonly IndexedSegment[], options: VerifyArchiveOptions): Promise<ArchiveReport> => {
  const { directory, key } = options;
  const { manifest, manifestProblem } = key ? await readManifest(directory, key, false) : { manifest: null, manifestProblem: null };
  const checker = new ArchiveChecker(options, segments.length);
  const report = { checked: 0, bytes: 0, unsigned: 0, problems: [] as Problem[], unread: [] as { id: string; error: string }[] };
  for (const [camera, all] of [...Map.groupBy(segments, (segment) => segment.camera)].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const looked = new Map(await checker.lookAt(all));
    const first = judge(camera, looked, all, manifest);
    // In almost every case that is all. What seems wrong may have been deleted meanwhile, because no mark wants it any more.
    const doubtful = new Set(first.map(({ id }) => id));
    const still = doubtful.size === 0 ? [] : await options.again([...doubtful]);
    for (const id of doubtful) looked.delete(id);
    for (const [id, anew] of await checker.lookAt(still)) looked.set(id, anew);
    const problems = doubtful.size === 0 ? first : judge(camera, looked, [...all.filter(({ id }) => !doubtful.has(id)), ...still], manifest);
    const wrong = new Set(problems.map(({ id }) => id));
    // Objects are looked at several at a time: what is found is told in the order of the recordings all the same.
    report.problems.push(...problems.toSorted((one, other) => (one.id < other.id ? -1 : one.id > other.id ? 1 : 0)));
    for (const result of looked.values()) {
      if ('error' in result) report.unread.push(result);
      else report.checked++;
      if (!('check' in result) || wrong.has(result.check.id)) continue;
      report.bytes += result.check.size;
      if (result.check.signature !== 'valid') report.unsigned++;
    }
  }
  if (manifestProblem !== null) report.problems.push({ id: CHAIN_FILE, kind: 'manifest', problem: manifestProblem });
  return report;
};

/** Reads objects, some at a time. */
class ArchiveChecker {
  readonly #options: VerifyArchiveOptions;
  readonly #total: number;
  readonly #signal: AbortSignal;
  #done = 0;
  #bytes = 0;
  #failures = 0;

  constructor(options: VerifyArchiveOptions, total: number) {
    this.#options = options;
    this.#total = total;
    this.#signal = options.signal ?? new AbortController().signal;
  }

  /** In no order. */
  async lookAt(segments: readonly IndexedSegment[]): Promise<[string, Looked][]> {
    const found: [string, Looked][] = [];
    let next = 0;
    let broken = false;
    const reader = async (): Promise<void> => {
      for (let segment = segments[next++]; segment !== undefined && !broken; segment = segments[next++]) {
        try {
          found.push([segment.id, await this.#lookAt(segment)]);
        } catch (error) {
          broken = true;
          throw error;
        }
        this.#done = Math.min(this.#done + 1, this.#total);
        this.#options.onProgress?.({ done: this.#done, total: this.#total, bytes: this.#bytes });
      }
    };
    await Promise.all(Array.from({ length: Math.max(1, this.#options.concurrency) }, reader));
    return found;
  }

  async #lookAt(segment: IndexedSegment): Promise<Looked> {
    const { objects, keyOf, key } = this.#options;
    const { id, bytes } = segment;
    const signal = this.#signal;
    signal.throwIfAborted();
    const objectKey = keyOf(id);
    if (objectKey === undefined) return { problem: { id, kind: 'unknown', problem: 'is no name a recording has' } };
    try {
      const head = await objects.head(objectKey, signal);
      this.#failures = 0;
      if (head === undefined) return missing(id);
      if (head.size < bytes) return { problem: { id, kind: 'truncated', problem: `${String(head.size)} bytes, the index says ${String(bytes)}` } };
      if (head.size > bytes) return { problem: { id, kind: 'changed', problem: `${String(head.size)} bytes, the index says ${String(bytes)}` } };
      const read = async (start: number, end: number): Promise<Buffer> => {
        const piece = await objects.get(objectKey, start, end, signal);
        this.#bytes += piece.length;
        return piece;
      };
      return { check: await checkObject(id, bytes, read, MAX_GET_BYTES, key) };
    } catch (error) {
      if (!(error instanceof MediaError)) throw error;
      if (error.code === 'NOT_FOUND') return missing(id);
      if (++this.#failures >= MAX_FAILURES) throw error;
      return { id, error: messageOf(error) };
    }
  }
}

const missing = (id: string): Looked => ({ problem: { id, kind: 'missing', problem: 'its object is gone from the archive' } });

const judge = (camera: string, looked: ReadonlyMap<string, Looked>, segments: readonly IndexedSegment[], manifest: ChainManifest | null): Problem[] => {
  const checks = [...looked.values()].flatMap((result) => ('check' in result ? [result.check] : []));
  const files = new Set(checks.map(({ id }) => id));
  const index = new Map(segments.filter(({ id }) => files.has(id)).map((segment) => [segment.id, segment]));
  const pinned = manifest?.cameras[camera] ?? EMPTY_CHAIN;
  const { problems } = judgeCamera({
    camera, checks, files, index, indexedBefore: index,
    // Nothing is missed for its sake: what it pins is on the edge's disk, and need not be in the archive.
    manifest: manifest ? { before: EMPTY_CHAIN, after: { ...pinned, anew: null }, stopped: true } : null,
  });
  return [...[...looked.values()].flatMap((result) => ('problem' in result ? [result.problem] : [])), ...problems];
};
