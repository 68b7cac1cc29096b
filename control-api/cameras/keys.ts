import { createHash, hash, randomBytes, randomUUID } from 'node:crypto';
import type { Insertable } from 'kysely';
import { RTSP_REALM } from '../../core/rtsp-realm.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { CameraKeysTable } from '../../platform/database/schema.ts';

/** A new secret, to be shown once, and the row that stays. 192 random bits, so a plain hash is enough. */
export const newKey = (camera: string, kind: 'publish' | 'view', now: Milliseconds): { readonly secret: string; readonly row: Insertable<CameraKeysTable> } => {
  const secret = `${kind === 'publish' ? 'pk' : 'vk'}_${randomBytes(24).toString('base64url')}`;
  return {
    secret,
    row: {
      id: randomUUID(), camera_id: camera, kind, hash: hash('sha256', secret, 'hex'), ha1: createHash('md5').update(`${camera}:${RTSP_REALM}:${secret}`).digest('hex'),
      created_at: now, revoked_at: null,
    },
  };
};
