import { useRef } from 'preact/hooks';
import type { Camera } from '../api.ts';

const LINGER_MS = 10_000;

/** Whether something comes from the camera, or may again at any moment. */
export const isOn = (camera: Camera): boolean => camera.session != null && camera.session.phase !== 'ended';

/** Whether a camera is on or was so a moment ago: it keeps its place on the page, so that a restart of the camera or the server makes nothing jump. */
export const useRecentlyOn = (): ((camera: Camera) => boolean) => {
  const seen = useRef(new Map<string, number>());
  return (camera) => {
    const now = performance.now();
    if (isOn(camera)) seen.current.set(camera.id, now);
    return now - (seen.current.get(camera.id) ?? -Infinity) < LINGER_MS;
  };
};
