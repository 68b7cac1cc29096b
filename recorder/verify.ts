/**
 * `record verify` [REC-10]: is every recording there, whole and unchanged? Files, index and signed manifest are held against each other; whatever
 * does not fit is named. May run beside a recorder: what has changed meanwhile is looked at again before it is called wrong.
 */
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { CAMERA_ID } from '../core/frame-ref.ts';
import type { PublicSigningKey } from '../platform/signing-key.ts';
import { EMPTY_CHAIN } from './integrity/camera-chain.ts';
import { CHAIN_FILE, parseChainManifest, readChainFile } from './integrity/chain-manifest.ts';
import type { ChainManifest } from './integrity/chain-manifest.ts';
import { checkSegments } from './integrity/check-segments.ts';
import { judgeCamera } from './integrity/judgement.ts';
import type { IndexedSegment, Problem } from './integrity/judgement.ts';
import type { SegmentCheck, UnreadableSegment } from './integrity/segment-check.ts';
import { readManifestIds } from './segment-manifest.ts';
import { SEGMENT_FILE, segmentPath } from './segment-path.ts';

export interface VerifyReport {
  readonly checked: number;
  /** Of the files checked that nothing is wrong with. */
  readonly bytes: number;
  readonly problems: readonly Problem[];
}

export interface VerifyProgress {
  readonly done: number;
  readonly total: number;
  readonly bytes: number;
}

export interface VerifyOptions {
  /** Whose signatures count; absent: files are held against the index alone. */
  readonly key?: PublicSigningKey | undefined;
  /** Only this camera. */
  readonly camera?: string | undefined;
  /** The index anew, for what changed meanwhile; by default the first. */
  readonly again?: (() => Promise<readonly IndexedSegment[]>) | undefined;
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is asked for twice, before the files are read and after. */
interface Snapshot {
  readonly manifest: ChainManifest | null;
  /** Why there is no manifest to go by. */
  readonly manifestProblem: string | null;
  /** By camera, ids. */
  readonly files: ReadonlyMap<string, readonly string[]>;
  /** Null: there is no index to go by. */
  readonly index: ReadonlyMap<string, IndexedSegment> | null;
}

/**
 * Checks the recordings below `directory`. `index`: every segment known, those given up too; null: none, the files and the manifest alone.
 * Open segments are left out. Throws only when the directory cannot be listed, the index not be read or `signal` aborts.
 */
export const verifyRecordings = async (directory: string, index: readonly IndexedSegment[] | null, options: VerifyOptions = {}): Promise<VerifyReport> => {
  const before = await look(directory, index, options);
  const total = [...before.files.values()].reduce((sum, ids) => sum + ids.length, 0);
  const problems: Problem[] = [];
  let [done, bytes] = [0, 0];
  for (const camera of camerasOf(before, options.camera)) {
    const checks: (SegmentCheck | UnreadableSegment)[] = [];
    for await (const check of checkSegments(directory, before.files.get(camera) ?? [], options)) {
      checks.push(check);
      done++;
      bytes += 'size' in check ? check.size : 0;
      options.onProgress?.({ done, total, bytes });
    }
    // In almost every case that is all. If something seems wrong, it is read again: it may have been written, or deleted, meanwhile.
    const doubtful = new Set((await judge(directory, camera, checks, before, before)).map(({ id }) => id));
    if (doubtful.size > 0) {
      const after = await look(directory, options.again ? await options.again() : index, options);
      for (const check of checks) if (!('signature' in check && check.signature === 'valid') && before.index?.get(check.id)?.sha256 == null) doubtful.add(check.id); // was not closed
      const anew = checks.filter(({ id }) => doubtful.has(id)).map(({ id }) => id);
      checks.splice(0, checks.length, ...checks.filter(({ id }) => !doubtful.has(id)));
      for await (const check of checkSegments(directory, anew, options)) checks.push(check);
      problems.push(...(await judge(directory, camera, checks, before, after)));
    }
    const wrong = new Set(problems.map(({ id }) => id));
    for (const check of checks) if ('size' in check && wrong.has(check.id)) bytes -= check.size;
  }
  if (before.manifestProblem !== null && options.key) problems.push({ id: CHAIN_FILE, kind: 'manifest', problem: before.manifestProblem });
  return { checked: done, bytes, problems };
};

const GONE = 'is gone, and retention did not take it';

const look = async (directory: string, index: readonly IndexedSegment[] | null, { key, camera }: VerifyOptions): Promise<Snapshot> => {
  const listed = index?.filter((segment) => camera === undefined || segment.camera === camera);
  const files = await filesBelow(directory, camera);
  const manifest = key ? await readManifest(directory, key, files.size > 0) : NO_MANIFEST;
  return { ...manifest, files, index: listed ? new Map(listed.map((segment) => [segment.id, segment])) : null };
};

const NO_MANIFEST = { manifest: null, manifestProblem: null };

/** `wanted`: it is to be there. */
export const readManifest = async (directory: string, key: PublicSigningKey, wanted: boolean): Promise<Pick<Snapshot, 'manifest' | 'manifestProblem'>> => {
  try {
    const jws = await readChainFile(directory);
    if (jws !== undefined) return { manifest: await parseChainManifest(jws, key), manifestProblem: null };
    return { manifest: null, manifestProblem: wanted ? 'the signed manifest is missing' : null };
  } catch (error) {
    return { manifest: null, manifestProblem: `the signed manifest cannot be used: ${messageOf(error)}` };
  }
};

const camerasOf = ({ files, index, manifest }: Snapshot, only: string | undefined): string[] => {
  const cameras = new Set([...files.keys(), ...[...(index?.values() ?? [])].map(({ camera }) => camera)]);
  for (const camera of Object.keys(manifest?.cameras ?? {})) if (only === undefined || only === camera) cameras.add(camera);
  return [...cameras].sort();
};

const judge = async (directory: string, camera: string, checks: readonly (SegmentCheck | UnreadableSegment)[], before: Snapshot, after: Snapshot): Promise<Problem[]> => {
  const files = new Set(after.files.get(camera) ?? []);
  const { problems, unnamed, unplaced } = judgeCamera({
    camera, checks, files, index: after.index, indexedBefore: before.index,
    manifest: before.manifest && after.manifest
      ? { before: before.manifest.cameras[camera] ?? EMPTY_CHAIN, after: after.manifest.cameras[camera] ?? EMPTY_CHAIN, stopped: after.manifest.stopped } : null,
  });
  if (unnamed.length > 0) {
    const names = await readManifestIds(directory, camera, new Set(unnamed));
    const named = new Set(problems.map(({ id }) => id));
    const nameless: number[] = [];
    for (const position of unnamed) {
      const id = names.get(position);
      if (id === undefined) nameless.push(position);
      else if (!named.has(id) && !files.has(id)) problems.push({ id, kind: 'missing', problem: GONE });
    }
    if (nameless.length > unplaced) problems.push({ id: camera, kind: 'missing', problem: `${String(nameless.length - unplaced)} of the recordings no. ${nameless.join(', ')} ${GONE}` });
  }
  return Promise.all(problems.map(async (problem) => (problem.kind === 'missing' && (await isAside(directory, problem.id)) ? { ...problem, problem: `${problem.problem}; it lies in the folder "damaged"` } : problem)));
};

const isAside = async (directory: string, id: string): Promise<boolean> => {
  const [camera = '', name = ''] = id.split('/');
  if (!SEGMENT_FILE.test(`${name}.mp4`)) return false;
  try {
    await access(segmentPath(directory, id).replace(`${camera}/${name}`, join(camera, 'damaged', name)));
    return true;
  } catch {
    return false;
  }
};

const filesBelow = async (directory: string, only: string | undefined): Promise<Map<string, string[]>> => {
  const files = new Map<string, string[]>();
  for (const camera of await readdir(directory, { withFileTypes: true })) {
    if (!camera.isDirectory() || !CAMERA_ID.test(camera.name) || (only !== undefined && camera.name !== only)) continue;
    const names = (await readdir(join(directory, camera.name))).filter((name) => SEGMENT_FILE.test(name));
    files.set(camera.name, names.map((name) => `${camera.name}/${name.slice(0, -'.mp4'.length)}`));
  }
  return files;
};
