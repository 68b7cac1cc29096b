import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Scene, ScenePoint, SceneRule } from '../../media-control/port.ts';
import type { SceneRuleSchema, SceneSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';

const pointInit = ([x, y]: ScenePoint): { readonly x: number; readonly y: number } => ({ x, y });

const ruleInit = (rule: SceneRule): MessageInitShape<typeof SceneRuleSchema> => {
  const common = { id: rule.id, classes: [...rule.classes], minConfidence: rule.minConfidence };
  switch (rule.type) {
    case 'count': {
      const { zone, atLeast, forMs, clearMs } = rule;
      return { ...common, rule: { case: 'count', value: { ...(zone !== null && { zone }), atLeast, forMs, clearMs } } };
    }
    case 'dwell': {
      const { zone, forMs, clearMs } = rule;
      return { ...common, rule: { case: 'dwell', value: { ...(zone !== null && { zone }), forMs, clearMs } } };
    }
    case 'cross': {
      const { line, direction } = rule;
      return { ...common, rule: { case: 'cross', value: { line, direction } } };
    }
  }
};

/** A scene as it travels to the edges. */
export const sceneInit = ({ classes, zonesOnly, anchor, zones, lines, rules }: Scene): MessageInitShape<typeof SceneSchema> => ({
  classes: [...classes], zonesOnly, anchor,
  zones: zones.map(({ id, polygon }) => ({ id, polygon: polygon.map(pointInit) })),
  lines: lines.map(({ id, from, to }) => ({ id, from: pointInit(from), to: pointInit(to) })),
  rules: rules.map(ruleInit),
});
