/** How segments are called in the object store. */
import { CAMERA_ID } from '../../core/frame-ref.ts';

const SEGMENT_ID = /^([a-z0-9-]{1,63})\/((\d{1,15})-[A-Za-z0-9_]{1,8}-\d{1,9})$/;
const KEY = /^([a-z0-9-]{1,63})\/\d{4,6}\/\d{2}\/\d{2}\/\d{2}\/((\d{1,15})-[A-Za-z0-9_]{1,8}-\d{1,9})\.mp4$/;
/** The last instant `Date` knows, Unix ms. */
const MAX_DATE = 8.64e15;

/** `{camera}/{YYYY}/{MM}/{DD}/{HH}/{start}-{session}-{sequence}.mp4`, the hour (UTC) in which the segment begins. Undefined for what is no segment's id. */
export const archiveKey = (segmentId: string): string | undefined => {
  const [, camera, name, start] = SEGMENT_ID.exec(segmentId) ?? [];
  if (camera === undefined || name === undefined || !CAMERA_ID.test(camera) || Number(start) > MAX_DATE) return undefined;
  const date = new Date(Number(start));
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${camera}/${String(date.getUTCFullYear()).padStart(4, '0')}/${two(date.getUTCMonth() + 1)}/${two(date.getUTCDate())}/${two(date.getUTCHours())}/${name}.mp4`;
};

/** The segment an object is; undefined for what is none of ours or not where we would have put it. */
export const segmentOfKey = (key: string): { readonly id: string; readonly camera: string } | undefined => {
  const [, camera, name] = KEY.exec(key) ?? [];
  if (camera === undefined || name === undefined) return undefined;
  const id = `${camera}/${name}`;
  return archiveKey(id) === key ? { id, camera } : undefined;
};
