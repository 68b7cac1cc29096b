import type { DetectorSpec } from '../media-control/port.ts';
import type { ShownObjects } from './scene/scene-filter.ts';

/** A detector as its process knows it: rules are the edge's own, but what is left out is drawn nowhere. */
export interface SentDetector extends Omit<DetectorSpec, 'scene' | 'light'> {
  readonly shown?: ShownObjects;
}

/** Of what is configured; a scene that leaves nothing out is none. */
export const sentDetector = ({ scene, light: _, ...detector }: DetectorSpec): SentDetector => {
  if (!scene || (scene.classes.length === 0 && !scene.zonesOnly)) return detector;
  const { classes, zonesOnly, anchor, zones } = scene;
  return { ...detector, shown: { classes, zonesOnly, anchor, zones } };
};
