/** How single pictures are called in the object store: beside the segments of their hour. */
import { createHash } from 'node:crypto';
import type { Milliseconds } from '../../core/units.ts';

/** `{camera}/{YYYY}/{MM}/{DD}/{HH}/{captured at, Unix ms}.jpg`, the hour in UTC. */
export const frameKey = (camera: string, capturedAt: Milliseconds): string => {
  const at = Math.round(capturedAt);
  const [date = '', time = ''] = new Date(at).toISOString().split('T');
  return `${camera}/${date.replaceAll('-', '/')}/${time.slice(0, 2)}/${String(at)}.jpg`;
};

/** Of the JSON that says what the picture of `key` shows. */
export const descriptionKey = (key: string): string => key.replace(/\.jpg$/, '.json');

/** The same for the same picture, so that it is in the list once however often it is chosen. */
export const frameId = (key: string): string => createHash('sha256').update(key).digest('base64url').slice(0, 22);
