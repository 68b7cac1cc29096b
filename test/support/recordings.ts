import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { archiveKey } from '../../control-api/archive/keys.ts';
import type { FrameRef } from '../../core/frame-ref.ts';
import { recordedSamples, scanSegment } from '../../recorder/segment-index.ts';
import { countedFrames, packetsOf } from './mp4-packets.ts';
import { until } from './server.ts';
import type { TestServer } from './server.ts';

/** An item of `GET /v1/recordings/{camera}/segments`. */
export interface Segment {
  readonly id: string;
  readonly start: string;
  /** Seconds. */
  readonly duration: number;
  readonly bytes: number;
  readonly sha256: string | null;
  readonly prev_sha256: string | null;
  readonly gap_before: number | null;
  readonly tracks: readonly { readonly kind: string; readonly codec: string; readonly width: number | null; readonly height: number | null }[];
  /** A mark keeps it on disk. */
  readonly pinned: boolean;
  readonly archived: boolean;
  readonly open: boolean;
}

/** Unix ms. */
export const startOf = (segment: Segment): number => Date.parse(segment.start);
/** Unix ms. */
export const endOf = (segment: Segment): number => startOf(segment) + segment.duration * 1000;

/** Every segment of a camera, in order, page by page. */
export const segmentsOf = async (server: TestServer, camera: string): Promise<Segment[]> => {
  const all: Segment[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: { items: Segment[]; next_cursor: string | null } = await server.request('GET', `/v1/recordings/${camera}/segments?limit=100${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`);
    all.push(...page.items);
    cursor = page.next_cursor;
  }
  return all;
};

/** Between a segment's end and the news of the next one. */
const NEWS_MS = 1000;

/** Waits until the camera has segments, none is open, and no further one has come for a while. */
export const closedSegments = (server: TestServer, camera: string): Promise<Segment[]> => {
  let known = 0;
  let since = 0;
  return until(`all segments of ${camera} closed`, async () => {
    const segments = await segmentsOf(server, camera);
    if (segments.length !== known || segments.some(({ open }) => open)) {
      known = segments.length;
      since = performance.now();
    }
    return known > 0 && performance.now() - since >= NEWS_MS && segments;
  });
};

/** Why something is missing in the recordings of a camera, gap by gap. */
export const gapCausesOf = async (server: TestServer, camera: string): Promise<(string | null)[]> =>
  (await server.request<{ items: { cause: string | null }[] }>('GET', `/v1/recordings/${camera}/gaps?limit=100`)).items.map(({ cause }) => cause);

export const playbackPath = (camera: string, from: number, to: number): string =>
  `/v1/recordings/${camera}/playback?from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}`;

/** A segment as it lies somewhere. */
export interface SegmentFileOnDisk {
  readonly id: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly path: string;
}

/** Undefined for a file that is not there, or no more: retention may be at work. */
const contentOf = (path: string): Promise<Buffer | undefined> =>
  readFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });

const fileOf = async (id: string, path: string): Promise<SegmentFileOnDisk | undefined> => {
  const bytes = await contentOf(path);
  return bytes && { id, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex'), path };
};

/** Ids of the segments of a camera whose files are on disk, by start. */
export const idsOnDisk = async (dataDir: string, camera: string): Promise<string[]> =>
  (await readdir(join(dataDir, 'recordings', camera))).filter((name) => name.endsWith('.mp4')).sort().map((name) => `${camera}/${name.slice(0, -'.mp4'.length)}`);

/** What is on disk of a camera, by start. */
export const filesOf = async (dataDir: string, camera: string): Promise<SegmentFileOnDisk[]> =>
  (await Promise.all((await idsOnDisk(dataDir, camera)).map((id) => fileOf(id, pathOf(dataDir, id))))).filter((file) => file !== undefined);

const pathOf = (dataDir: string, id: string): string => join(dataDir, 'recordings', `${id}.mp4`);

/** A segment in the archive, where that is a directory in the usual place; undefined: it is not there. */
export const archivedFile = (dataDir: string, id: string): Promise<SegmentFileOnDisk | undefined> => fileOf(id, join(dataDir, 'archive', archiveKey(id) ?? ''));

/**
 * Waits until none of a camera's segments is open; then which of them have no file, on disk or in the archive's directory, that is byte for byte what the
 * index says and plays to its end, and why. What retention takes meanwhile is looked for where it is then.
 */
export const listedWithoutFile = async (server: TestServer, camera: string): Promise<string[]> => {
  const segments = await closedSegments(server, camera);
  const files = new Map((await filesOf(server.dataDir, camera)).map((file) => [file.id, file]));
  const wrong: string[] = [];
  for (const segment of segments) {
    const problem = await wrongWith(server, segment, files.get(segment.id));
    if (problem !== null) wrong.push(`${segment.id}: ${problem}`);
  }
  return wrong;
};

const wrongWith = async (server: TestServer, { id, bytes, sha256, archived }: Segment, onDisk: SegmentFileOnDisk | undefined, again = false): Promise<string | null> => {
  const file = onDisk ?? (archived ? await archivedFile(server.dataDir, id) : undefined);
  if (file !== undefined && (file.bytes !== bytes || file.sha256 !== sha256)) return `${String(file.bytes)} bytes of ${file.sha256}, listed as ${String(bytes)} of ${String(sha256)}`;
  try {
    if (file !== undefined) return (await countedFrames(file.path)) > 0 ? null : 'no picture can be decoded';
  } catch (error) {
    if (existsSync(file?.path ?? '')) throw error;
  }
  if (again) return 'there is no file';
  const now = (await segmentsOf(server, id.split('/')[0] ?? '')).find((each) => each.id === id);
  return now === undefined ? null : await wrongWith(server, now, undefined, true);
};

/** A picture in a recorded file, as the file itself tells of it. */
export interface RecordedPicture {
  readonly frame: FrameRef;
  /** Unix ms. */
  readonly wall: number;
  /** Of its bytes, as ffprobe writes it. */
  readonly hash: string;
}

/** Every recorded picture of a camera in decode order, file by file; of a file that is being written, what is there by now. */
export const recordedPictures = async (dataDir: string, camera: string): Promise<RecordedPicture[]> => {
  const pictures: RecordedPicture[] = [];
  for (const id of await idsOnDisk(dataDir, camera)) {
    const content = await contentOf(pathOf(dataDir, id));
    if (!content) continue;
    const bytes = { read: (position: number, length: number) => Promise.resolve(content.subarray(position, position + length)) };
    for (const sample of recordedSamples(await scanSegment(bytes, content.length))) {
      if (sample.kind !== 'video') continue;
      const hash = `SHA256:${createHash('sha256').update(content.subarray(sample.offset, sample.offset + sample.bytes)).digest('hex')}`;
      pictures.push({ frame: sample.frame, wall: sample.wall, hash });
    }
  }
  return pictures;
};

/** Names a picture in maps. */
export const pictureKey = (epoch: number, rtpTimestamp: number): string => `${String(epoch)}/${String(rtpTimestamp)}`;

/** Which frame of the clip each recorded picture of a camera is, by its bytes: nothing is assumed of when the clip began or how it was looped. */
export const recordedFramesOf = async (clipPath: string, dataDir: string, camera: string): Promise<ReadonlyMap<string, number>> => {
  const frames = await clipFrames(clipPath);
  return new Map((await recordedPictures(dataDir, camera)).flatMap(({ frame, hash }) => {
    const index = frames.get(hash);
    return index === undefined ? [] : [[pictureKey(frame.epoch, frame.rtpTs), index] as const];
  }));
};

/** Wall time (Unix ms) of every recorded picture of a camera by the hash of its bytes. */
export const wallTimesOf = async (dataDir: string, camera: string): Promise<Map<string, number>> =>
  new Map((await recordedPictures(dataDir, camera)).map(({ hash, wall }) => [hash, wall]));

/** Which picture of a clip, counted from 0 in decode order, has these bytes. Throws when two have the same. */
export const clipFrames = async (path: string): Promise<ReadonlyMap<string, number>> => {
  const packets = await packetsOf(path);
  const frames = new Map(packets.map(({ hash }, i) => [hash, i]));
  if (frames.size !== packets.length) throw new Error(`${path}: pictures cannot be told from one another by their bytes`);
  return frames;
};
