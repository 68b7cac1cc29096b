/** kill -9 of a server's edge while cameras are recorded, and what of their pictures that costs. */
import type { NotingCamera } from './noting-camera.ts';
import { recordedPictures, segmentsOf, startOf } from './recordings.ts';
import { until } from './server.ts';
import type { TestServer } from './server.ts';

/** Pictures that were sent longer before the kill are not lost by it. */
const BEFORE_MS = 3_000;
const RECORDED_WITHIN_MS = 60_000;

/** Every camera has an open segment that began after `since` (Unix ms). */
export const recordedSince = (server: TestServer, cameras: readonly NotingCamera[], since: number): Promise<unknown> =>
  until('every camera is recorded', async () =>
    (await Promise.all(cameras.map(({ id }) => segmentsOf(server, id)))).every((segments) => segments.some((segment) => segment.open && startOf(segment) > since)), RECORDED_WITHIN_MS);

export interface AfterKill {
  readonly camera: string;
  /** Pictures sent before the kill that are in no file. */
  readonly lost: number;
  /** RTP timestamps of the pictures that are in files now. */
  readonly recorded: ReadonlySet<number>;
}

/** Kills the edge; resolves when another one records every camera, with what that cost each. */
export const killEdge = async (server: TestServer, cameras: readonly NotingCamera[]): Promise<AfterKill[]> => {
  const [edge] = await server.pids('edge');
  if (edge === undefined) throw new Error('no edge');
  const at = Date.now();
  process.kill(edge, 'SIGKILL');
  await until('another edge', async () => { const [now] = await server.pids('edge'); return now !== undefined && now !== edge; });
  await recordedSince(server, cameras, at);
  return Promise.all(cameras.map(async ({ id, sent }) => {
    const recorded = new Set((await recordedPictures(server.dataDir, id)).map(({ frame }) => frame.rtpTs));
    const lost = sent.filter((picture) => picture.at <= at && picture.at > at - BEFORE_MS && !recorded.has(picture.rtpTimestamp)).length;
    return { camera: id, lost, recorded };
  }));
};
