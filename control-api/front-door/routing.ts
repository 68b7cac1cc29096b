import { CAMERA_ID } from '../../core/frame-ref.ts';

/** A request that belongs to the edge (D-11). */
export interface EdgeRoute {
  readonly camera: string;
  /** Path and query as the edge knows them. */
  readonly target: string;
  /** For metrics: no ids in it. */
  readonly label: string;
  /** The protocol that may bring a camera into being (D-12). */
  readonly publishes: boolean;
  /** Its body, and then its answer, may take an hour. */
  readonly longBody?: boolean;
}

const MEDIA = /^\/(whip|whep|hls|ws\/stream)\/([^/?]+)(?:\/[^?]*)?(?:\?.*)?$/;
const CAMERA = /^(?:\/api)?(\/v1\/cameras\/([^/?]+)\/(detections\/live|mjpeg|snapshot)(?:\?.*)?)$/;
const UPLOADS = /^(?:\/api)?(\/v1\/recordings\/([^/?]+)\/uploads(?:\?.*)?)$/;
/** `.` and `..` as path segments, also written with percent signs or followed by a backslash: nothing of ours has them. */
const DOTS = /[/\\](?:\.|%2e){1,2}(?:[/\\?]|%2f|%5c|$)/i;

/** The edge's part of the front door. Undefined: not a media URL. Null: one, but of no camera there could be. */
export const edgeRouteOf = (url: string): EdgeRoute | null | undefined => {
  const media = MEDIA.exec(url);
  const camera = media === null ? CAMERA.exec(url) : null;
  const uploads = media === null && camera === null ? UPLOADS.exec(url) : null;
  const id = media?.[2] ?? camera?.[2] ?? uploads?.[2];
  if (id === undefined) return undefined;
  const [path = ''] = url.split('?', 1);
  if (!CAMERA_ID.test(id) || DOTS.test(path)) return null;
  if (media !== null) return { camera: id, target: url, label: `/${media[1] ?? ''}/{camera}`, publishes: media[1] === 'whip' };
  if (uploads !== null) return { camera: id, target: uploads[1] ?? url, label: '/v1/recordings/{camera}/uploads', publishes: true, longBody: true };
  return { camera: id, target: camera?.[1] ?? url, label: `/v1/cameras/{id}/${camera?.[3] ?? ''}`, publishes: false };
};
