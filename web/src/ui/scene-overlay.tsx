import { useEffect, useState } from 'preact/hooks';
import type { RefObject } from 'preact';
import type { Camera } from '../api.ts';
import { sceneOf } from '../scene/draft.ts';
import { SceneShapes } from './scene-shapes.tsx';
import { usePicturePixel } from './use-picture-pixel.ts';

/** The zones and lines of a camera's detectors over its video, which is letterboxed as the video is. */
export const SceneOverlay = (props: { camera: Camera; video: RefObject<HTMLVideoElement | null> }) => {
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const video = props.video.current;
    const measure = (): void => { if (video) setSize({ width: video.videoWidth, height: video.videoHeight }); };
    measure();
    video?.addEventListener('resize', measure);
    return () => video?.removeEventListener('resize', measure);
  }, []);
  const pixel = usePicturePixel(props.video, size);
  const scenes = props.camera.pipelines.map(sceneOf);
  const zones = scenes.flatMap((scene) => scene.zones);
  const lines = scenes.flatMap((scene) => scene.lines);
  if (size.width === 0 || zones.length + lines.length === 0) return null;
  return <svg class="scene-overlay" viewBox={`0 0 ${String(size.width)} ${String(size.height)}`} aria-hidden="true"><SceneShapes size={size} pixel={pixel} zones={zones} lines={lines} /></svg>;
};
