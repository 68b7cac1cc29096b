import type { Camera } from '../api.ts';
import { linkTo } from '../router.ts';
import { SessionBadge } from './session-badge.tsx';

/** A camera's name and state, and the way between its pages. */
export const CameraTitle = (props: { camera: Pick<Camera, 'id' | 'name' | 'session'>; tab: 'live' | 'recordings' | 'scene' }) => {
  const { camera, tab } = props;
  const current = (of: typeof tab): { 'aria-current'?: 'page' } => (of === tab ? { 'aria-current': 'page' } : {});
  return (
    <div class="title">
      <div class="name"><h1>{camera.name}</h1><SessionBadge session={camera.session ?? null} /></div>
      <nav class="tabs" aria-label="Camera">
        <a {...current('live')} {...linkTo(`/cameras/${camera.id}`)}>Live</a>
        <a {...current('recordings')} {...linkTo(`/cameras/${camera.id}/recordings`)}>Recordings</a>
        <a {...current('scene')} {...linkTo(`/cameras/${camera.id}/scene`)}>Zones</a>
      </nav>
    </div>
  );
};
