import type { RuleFinding } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { videoOf } from '../events/service.ts';
import type { NewEvent, RuleEvent } from '../events/service.ts';

/** Nobody is asked what was made then: an event is told within the transaction that stores it. */
const NO_PRODUCT: RuleEvent['product_info'] = { work_order_id: null, instruction_id: null, product_type: null, machine_number: null };

/** The event that a rule of a camera's scene says something [INF-6]. */
export const ruleEvent = (finding: RuleFinding): NewEvent => {
  const { id, phase, camera, detector, model, rule, type, place = null, from, to, count, classes, tracks, direction = null, epoch, rtpTimestamp } = finding;
  const body = {
    event_type: `rule_${phase}`, ...videoOf({ camera, from, to }), product_info: NO_PRODUCT,
    rule: {
      occurrence_id: id, id: rule, type, detector, model, zone: type === 'cross' ? null : place, line: type === 'cross' ? place : null, direction,
      count, class_names: classes, track_ids: tracks, epoch, rtp_timestamp: rtpTimestamp,
    },
  };
  return { topic: 'video-analysis-events', camera, at: Math.round(to), body };
};
