import type { Scene as WireScene, SceneRule as WireRule } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import type { Scene, ScenePoint, SceneRule } from './port.ts';

const pointOf = (point: { readonly x: number; readonly y: number } | undefined): ScenePoint => [point?.x ?? 0, point?.y ?? 0];

/** None for a rule of a later version. */
const ruleOf = ({ id, classes, minConfidence, rule }: WireRule): readonly SceneRule[] => {
  const common = { id, classes: [...classes], minConfidence };
  switch (rule.case) {
    case 'count': {
      const { zone, atLeast, forMs, clearMs } = rule.value;
      return [{ type: 'count', ...common, zone: zone ?? null, atLeast, forMs, clearMs }];
    }
    case 'dwell': {
      const { zone, forMs, clearMs } = rule.value;
      return [{ type: 'dwell', ...common, zone: zone ?? null, forMs, clearMs }];
    }
    case 'cross': {
      const { line, direction } = rule.value;
      return [{ type: 'cross', ...common, line, direction: direction === 'to_left' || direction === 'to_right' ? direction : 'both' }];
    }
    case undefined:
      return [];
  }
};

/** A scene of the desired state as the edge's modules know it. */
export const sceneOf = (scene: WireScene): Scene => ({
  classes: [...scene.classes],
  zonesOnly: scene.zonesOnly,
  anchor: scene.anchor === 'centre' ? 'centre' : 'foot',
  zones: scene.zones.map(({ id, polygon }) => ({ id, polygon: polygon.map(pointOf) })),
  lines: scene.lines.map(({ id, from, to }) => ({ id, from: pointOf(from), to: pointOf(to) })),
  rules: scene.rules.flatMap(ruleOf),
});
