import { CAMERA_ID } from '../../core/frame-ref.ts';
import type { CameraId } from '../../core/frame-ref.ts';

export interface RtspUri {
  readonly camera: CameraId;
  /** What follows the camera: the control attribute of a media section, without the leading slash; empty for the aggregate. */
  readonly control: string;
  /** `?token=`, or null. */
  readonly token: string | null;
}

/**
 * Parses `rtsp://host:port/{camera}[/{control}][?token=…]`; null when it is none of ours. Never throws.
 *
 * Clients differ in where they put the control attribute of a URL with a query: ffmpeg appends it behind the query
 * (`/cam?token=x/streamid=0`), GStreamer puts it before. Tokens have no slash, so both are understood.
 */
export const parseRtspUri = (uri: string): RtspUri | null => {
  const [, target = ''] = /^rtsps?:\/\/[^/?#\s]*([^#\s]*)$/i.exec(uri) ?? [];
  const question = target.indexOf('?');
  const path = question < 0 ? target : target.slice(0, question);
  const query = question < 0 ? '' : target.slice(question + 1);
  const [, camera = '', behindPath = ''] = /^\/([^/]+)\/?(.*)$/.exec(path) ?? [];
  if (!CAMERA_ID.test(camera)) return null;
  const slash = query.indexOf('/');
  const behindQuery = slash < 0 ? '' : query.slice(slash + 1);
  const token = new URLSearchParams(slash < 0 ? query : query.slice(0, slash)).get('token');
  return { camera, control: behindPath === '' ? behindQuery : behindPath, token: token === '' ? null : token };
};
