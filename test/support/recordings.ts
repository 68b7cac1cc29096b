import { createHash } from 'node:crypto';
import { open, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { FrameRef } from '../../core/frame-ref.ts';
import { bytesOf } from '../../recorder/segment-file.ts';
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

/** Waits until the camera has segments and none is open. */
export const closedSegments = (server: TestServer, camera: string): Promise<Segment[]> =>
  until(`all segments of ${camera} closed`, async () => {
    const segments = await segmentsOf(server, camera);
    return segments.length > 0 && segments.every(({ open }) => !open) && segments;
  });

/** Why something is missing in the recordings of a camera, gap by gap. */
export const gapCausesOf = async (server: TestServer, camera: string): Promise<(string | null)[]> =>
  (await server.request<{ items: { cause: string | null }[] }>('GET', `/v1/recordings/${camera}/gaps?limit=100`)).items.map(({ cause }) => cause);

export const playbackPath = (camera: string, from: number, to: number): string =>
  `/v1/recordings/${camera}/playback?from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}`;

/** What is on disk of a camera: id, size and SHA-256 of each file, by start. */
export const filesOf = async (dataDir: string, camera: string): Promise<{ readonly id: string; readonly bytes: number; readonly sha256: string; readonly path: string }[]> => {
  const folder = join(dataDir, 'recordings', camera);
  const names = (await readdir(folder)).filter((name) => name.endsWith('.mp4')).sort();
  return Promise.all(names.map(async (name) => {
    const bytes = await readFile(join(folder, name));
    return { id: `${camera}/${name.slice(0, -'.mp4'.length)}`, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex'), path: join(folder, name) };
  }));
};

/** Waits until none of a camera's segments is open; then which of them have no file that is byte for byte what the index says and plays to its end, and why. */
export const listedWithoutFile = async (server: TestServer, camera: string): Promise<string[]> => {
  const segments = await closedSegments(server, camera);
  const files = new Map((await filesOf(server.dataDir, camera)).map((file) => [file.id, file]));
  const wrong: string[] = [];
  for (const { id, bytes, sha256 } of segments) {
    const file = files.get(id);
    if (file === undefined) wrong.push(`${id}: there is no file`);
    else if (file.bytes !== bytes || file.sha256 !== sha256) wrong.push(`${id}: ${String(file.bytes)} bytes of ${file.sha256}, listed as ${String(bytes)} of ${String(sha256)}`);
    else if (!((await countedFrames(file.path)) > 0)) wrong.push(`${id}: no picture can be decoded`);
  }
  return wrong;
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
  for (const { path, bytes } of await filesOf(dataDir, camera)) {
    await using file = await open(path);
    const content = await readFile(path);
    for (const sample of recordedSamples(await scanSegment(bytesOf(file), bytes))) {
      if (sample.kind !== 'video') continue;
      const hash = `SHA256:${createHash('sha256').update(content.subarray(sample.offset, sample.offset + sample.bytes)).digest('hex')}`;
      pictures.push({ frame: sample.frame, wall: sample.wall, hash });
    }
  }
  return pictures;
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
